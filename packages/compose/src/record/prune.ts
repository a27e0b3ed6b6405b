import { forgetCommits } from '../files/place.ts';
import type { Site } from '../site.ts';
import { keepTag } from '../stage/images.ts';
import { obsoleteReleases, type ReleaseList, type ReleaseRecord } from './release-record.ts';

/** Old releases go, with images that only they used. */
export async function prune(site: Site, list: ReleaseList, serving: string): Promise<void> {
  const { state, docker, name, settings, context, host } = site;
  const gone = obsoleteReleases(list, serving, settings.keepReleases);
  if (gone.length === 0) return;
  await docker.untag(
    gone
      .filter(broughtByUs)
      .flatMap(({ id, images }) => Object.keys(images).map((service) => keepTag(name, id, service))),
  );
  const unused = unusedImages(list, gone);
  const now = await docker.images([...unused.keys()]);
  // The tag may stand for a newer image by now.
  await docker.untag(
    [...unused].flatMap(([reference, id]) => (now.get(reference)?.id === id ? [reference] : [])),
  );
  await forgetCommits(site, gone);
  for (const { id } of gone) {
    await state.remove(state.releasePath(id));
    await state.clearBad(id);
  }
  context.log.info(
    `${host}: ${gone.length} old releases removed, ${list.releases.length - gone.length} kept`,
  );
}

/** What ran before our first deploy was brought by somebody else: its images are not ours to remove. */
const broughtByUs = ({ baseline }: ReleaseRecord) => !baseline;

/** Reference → id of the images that we brought and that only the releases that go have used. Pure. */
export function unusedImages(list: ReleaseList, gone: readonly ReleaseRecord[]): Map<string, string> {
  const kept = new Set(
    list.releases
      .filter((release) => !gone.includes(release))
      .flatMap(({ images }) => Object.values(images).map(({ id }) => id)),
  );
  return new Map(
    gone.filter(broughtByUs).flatMap(({ images }) =>
      Object.values(images)
        .filter(({ id }) => !kept.has(id))
        .map(({ id, reference }) => [reference, id] as const),
    ),
  );
}

import { messageOf } from '@lockkeeper/action';
import { forgetCommits } from '../files/place.ts';
import type { NamedImage } from '../host/images.ts';
import { obsoleteReleases, type ReleaseList, type ReleaseRecord } from '../record/release-record.ts';
import { cameWith } from '../record/staging-note.ts';
import type { Site } from '../site.ts';
import { keepTag } from './images.ts';

/**
 * Once it is settled what serves, old releases go, with images that only they used; so does what runs that ended too
 * early had brought. Never throws: what serves is proven, and the next run tries again.
 */
export async function prune(site: Site): Promise<void> {
  const { settings, context, host, releases: list, serving } = site;
  if (!list || !serving) return;
  site.releases = undefined;
  const gone = obsoleteReleases(list, serving, settings.keepReleases);
  if (gone.length + list.interrupted.length === 0) return;
  try {
    site.lock?.check();
    await dropReleases(site, list, gone);
    await dropInterrupted(site, list, gone);
  } catch (error) {
    context.log.warning(`${host}: old releases stay until the next deploy: ${messageOf(error)}`);
  }
}

async function dropReleases(site: Site, list: ReleaseList, gone: readonly ReleaseRecord[]): Promise<void> {
  if (gone.length === 0) return;
  const { state, docker, name, settings, context, host } = site;
  const unused = unusedImages(list, gone);
  const now = await docker.images(unused.map(({ reference }) => reference));
  await docker.drop({
    names: [
      ...gone
        // What ran before our first deploy may have no other name any more, and is not ours to remove.
        .filter(({ baseline }) => !baseline)
        .flatMap(({ id, images }) => Object.keys(images).map((service) => keepTag(name, id, service))),
      // The tag may stand for a newer image by now.
      ...unused.flatMap(({ reference, id }) => (now.get(reference)?.id === id ? [reference] : [])),
    ],
    ids: unused.map(({ id }) => id),
  });
  await forgetCommits(site, gone);
  await state.forget(gone.map(({ id }) => id));
  context.log.info(
    `${host}: no longer kept: ${gone.map(({ id }) => id).join(', ')} (keep-releases: ${settings.keepReleases})`,
  );
}

async function dropInterrupted(site: Site, list: ReleaseList, gone: readonly ReleaseRecord[]): Promise<void> {
  if (list.interrupted.length === 0) return;
  const { state, docker } = site;
  await docker.drop(leftByInterrupted(list, gone, await docker.namedImages()));
  await state.remove(...list.interrupted.map(({ id }) => state.notePath(id)));
}

const idsOf = ({ images }: Pick<ReleaseRecord, 'images'>) => Object.values(images).map(({ id }) => id);

const idsThatStay = (releases: readonly ReleaseRecord[], gone: readonly ReleaseRecord[]) =>
  new Set(releases.filter((release) => !gone.includes(release)).flatMap(idsOf));

/** Ids of a release's images that are ours to remove: not those that ran, or lay there, before we came. */
function idsBrought(release: ReleaseRecord): string[] {
  return release.baseline ? [] : (release.brought ?? idsOf(release));
}

/** The images that we brought and that only the releases that go have used, with the reference of the Compose file. Pure. */
export function unusedImages(
  { releases }: Pick<ReleaseList, 'releases'>,
  gone: readonly ReleaseRecord[],
): Array<{ reference: string; id: string }> {
  const kept = idsThatStay(releases, gone);
  return gone.flatMap((release) => {
    const brought = idsBrought(release);
    return Object.values(release.images).filter(({ id }) => brought.includes(id) && !kept.has(id));
  });
}

/** What goes of runs that ended before their release had a record: our tags, and images that no release has. Pure. */
export function leftByInterrupted(
  { releases, interrupted }: Pick<ReleaseList, 'releases' | 'interrupted'>,
  gone: readonly ReleaseRecord[],
  here: readonly NamedImage[],
): { names: string[]; ids: string[] } {
  const kept = idsThatStay(releases, gone);
  const ours = (tag: string) =>
    tag.startsWith('lockkeeper/') && interrupted.some(({ id }) => tag.endsWith(`-${id}`));
  const came = here.filter(
    (image) =>
      !kept.has(image.id) &&
      interrupted.some(
        (note) => cameWith(note, image) || (image.tags.some(ours) && !note.had.includes(image.id)),
      ),
  );
  const wanted = new Set(interrupted.flatMap((note) => note.wanted));
  return {
    names: [
      ...here.flatMap(({ tags }) => tags.filter(ours)),
      ...came.flatMap(({ tags }) => tags.filter((tag) => wanted.has(tag))),
    ],
    ids: came.map(({ id }) => id),
  };
}

/** Of a release's images those that are ours to remove one day: they came with this run, or with one before it. Pure. */
export function broughtImages(
  images: ReleaseRecord['images'],
  had: readonly string[],
  { releases, interrupted }: Pick<ReleaseList, 'releases' | 'interrupted'>,
): string[] {
  const before = new Set(releases.flatMap(idsBrought));
  const came = (id: string) =>
    before.has(id) || !had.includes(id) || interrupted.some((note) => !note.had.includes(id));
  return [...new Set(idsOf({ images }))].filter(came);
}

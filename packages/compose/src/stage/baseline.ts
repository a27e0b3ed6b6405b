import { UserError } from '@lockkeeper/action';
import type { Container } from '../host/containers.ts';
import type { ReleaseImage } from '../outcome.ts';
import { judge } from '../prove/verdict.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';
import { behindEach, type ComposeConfig, needsOf } from './compose-config.ts';
import { keepTags } from './images.ts';
import { mountedFiles } from './mounted-files.ts';
import { layOut, lookForFiles, type Sources } from './release-tree.ts';
import { besideThemselves } from './why-not-blue-green.ts';

type Override = Record<string, { image?: string; environment?: Record<string, string> }>;

/**
 * The way back for a host where something runs that is no recorded release, such as before our first deploy:
 * it is recorded as one, with its files as they lie, its images and, where the file changed since, the
 * environment of its containers. `known`: what the project's own files say, where they are those of the release
 * to come.
 */
export async function recordWhatRuns(
  site: Site,
  containers: readonly Container[],
  known?: Sources & { config: ComposeConfig },
): Promise<void> {
  const { state, host, context } = site;
  // After an interrupted run what runs is its mixture; the way back is what ran before it.
  if (site.pending) return;
  const own = containers.filter(({ oneOff, service }) => !oneOff && service);
  if (!own.some(({ status }) => status === 'running')) return;
  const serving = site.serving ? await state.release(site.serving).catch(() => undefined) : undefined;
  if (serving && runsAsRecorded(own, serving.images)) return;
  const id = baselineId(context.release);
  const directory = state.releasePath(id);
  const { files, hostEnv } = known ?? (await filesOf(site, own));
  const rendered = known?.config ?? (await layOut(site, directory, { files, env: hostEnv })).config;
  const override = imagesAsStarted(own, rendered);
  const lay = () =>
    layOut(site, directory, {
      files,
      env: hostEnv,
      override: Object.keys(override).length > 0 ? JSON.stringify({ services: override }) : undefined,
    });
  const { config: first, ...laid } = await lay();
  let { hashes, args } = laid;
  const differing = own.filter(
    ({ service, configHash }) => first.services[service] && configHash && hashes[service] !== configHash,
  );
  if (differing.length > 0) {
    // The file or its variables changed since these were started: at least their environment is kept as it was.
    for (const { service, environment } of differing)
      override[service] = { ...override[service], environment: environmentAsStarted(environment) };
    ({ hashes, args } = await lay());
    context.log.warning(
      `${host}: the Compose file or its variables changed since ${differing.map(({ service }) => service).join(', ')} started; going back would use the old image and environment with the file as it lies now`,
    );
  }
  const covered = [
    ...new Set(own.filter(({ service }) => first.services[service]).map(({ service }) => service)),
  ];
  const images = Object.fromEntries(
    own.map(({ service, reference, image }) => [service, { reference, id: image }]),
  );
  const good = judge(
    containers,
    covered.map((service) => ({ service, replicas: 1 })),
    host,
  );
  await site.docker.tag(keepTags(site.name, id, images));
  const record: ReleaseRecord = {
    version: 1,
    id,
    commit: 'initial',
    createdAt: site.now(),
    baseline: true,
    project: site.name,
    services: covered,
    named: covered,
    replicas: Object.fromEntries(
      covered.map((service) => [service, own.filter((container) => container.service === service).length]),
    ),
    needs: needsOf(first, covered),
    behind: behindEach(first),
    beside: besideThemselves(first, covered),
    images,
    hashes,
    mounts: await mountedFiles(context.shell, first, covered),
    content: '',
    envFile: null,
    files: serving && serving.files !== 'host' ? 'left' : 'host',
    sources: Object.fromEntries(covered.map((service) => [service, first.services[service]?.mounts ?? []])),
    verifiedAt: good.state === 'good' ? site.now() : null,
  };
  await state.saveRelease(record, { [`${directory}/args`]: args });
  await state.setServing(id);
  site.serving = id;
  context.log.info(`${host}: recorded what runs now as release ${id}`);
  if (good.state !== 'good') context.log.warning(`${host}: what runs now is not healthy: ${good.reason}`);
}

/** The Compose files that containers were started from, where they still lie there; else the project's. */
async function filesOf(site: Site, own: readonly Container[]): Promise<Sources> {
  const started = startedFrom(own, site.directory);
  try {
    if (started) return await lookForFiles(site, { wanted: started });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  return lookForFiles(site);
}

/** Compose files relative to the project directory; undefined where they are not the project's own. Pure. */
export function startedFrom(own: readonly Container[], directory: string): string[] | undefined {
  const files = own.find(({ configFiles }) => configFiles.length > 0)?.configFiles ?? [];
  const ours = files.every(
    (file) => file.startsWith(`${directory}/`) && !file.startsWith(`${directory}/.lockkeeper/`),
  );
  return files.length > 0 && ours ? files.map((file) => file.slice(directory.length + 1)) : undefined;
}

/** `20261121-031200-a1b2c3d-k3f9` → `20261121-031200-initial-k3f9`. */
export function baselineId(release: string): string {
  return release.replace(/-[a-z0-9]+-([a-z0-9]{4})$/, '-initial-$1');
}

/** Whether containers run the images of a record; services that it does not know are not its concern. Pure. */
export function runsAsRecorded(
  own: readonly Container[],
  images: Readonly<Record<string, ReleaseImage>>,
): boolean {
  return own.every((container) => {
    const image = images[container.service];
    return !image || image.id === container.image;
  });
}

/** For services whose file names another image today than the one they were started by. Pure. */
export function imagesAsStarted(own: readonly Container[], config: ComposeConfig): Override {
  const override: Override = {};
  for (const container of own) {
    const service = config.services[container.service];
    if (service && container.reference && service.image !== container.reference)
      override[container.service] = { image: literally(container.reference) };
  }
  return override;
}

/** `NAME=value` lines of a container as Compose's `environment:`. Pure. */
export function environmentAsStarted(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), literally(line.slice(at + 1))];
    }),
  );
}

/** Compose expands `$`, except where it is doubled. */
function literally(text: string): string {
  return text.replaceAll('$', '$$$$');
}

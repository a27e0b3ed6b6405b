import { placeFiles, rememberHead } from '../files/place.ts';
import type { Container } from '../host/containers.ts';
import type { PendingRecord, ReleaseRecord } from '../record/release-record.ts';
import { scaleArguments } from '../singletons.ts';
import type { Site } from '../site.ts';
import { movable, movableReferences } from '../stage/images.ts';
import { reloadAfterUp, swapBlueGreen } from './blue-green.ts';
import { changesOf, upAlone, upInGroups } from './groups.ts';
import { repair } from './leftovers.ts';
import { begin, setPhase } from './under-way.ts';

type Hook = 'pre-deploy' | 'post-deploy' | 'pre-rollback';

/** Runs lines of the user on the host with the release's Compose. */
export async function runHook({ state, docker }: Site, id: string, name: Hook, lines: string): Promise<void> {
  if (!lines.trim()) return;
  const directory = state.releasePath(id);
  const file = `${directory}/${name}`;
  await state.write({ [file]: lines.replaceAll('\r\n', '\n') });
  await docker.hook(directory, file, name);
}

/** Runs the `pre-deploy` hook. */
export function preDeploy(site: Site, id: string): Promise<void> {
  return hookBefore(site, id, 'pre-deploy', site.settings.preDeploy);
}

/** Replaces the containers. What ran before is written down on the host first. */
export async function switchTo(site: Site, id: string): Promise<void> {
  const { rollbackTo, preRollback } = site.settings;
  if (rollbackTo) await hookBefore(site, id, 'pre-rollback', preRollback);
  const placed = site.pending?.to === id && site.pending.token === site.context.lockToken;
  const before = placed ? undefined : await place(site, id, 'switched');
  if (placed) await setPhase(site, 'switched');
  const record = await site.state.release(id);
  await bringUp(site, record, before ?? (await site.docker.containersOf(site.name)));
}

/** The host's Compose means the release already, and nothing is replaced yet. */
async function hookBefore(site: Site, id: string, name: Hook, lines: string): Promise<void> {
  if (!lines.trim()) return;
  await place(site, id, 'placed');
  await runHook(site, id, name, lines);
}

/** Write-ahead, then files, env file and tags: from here on the host's Compose means the new release. Answers what ran before. */
async function place(site: Site, id: string, phase: PendingRecord['phase']): Promise<Container[]> {
  const { state, docker } = site;
  site.lock?.check();
  const record = await state.release(id);
  site.name = record.project;
  const references = movableReferences(record.images);
  const [containers, present] = await Promise.all([
    docker.containersOf(site.name),
    docker.images(references),
  ]);
  const tags = Object.fromEntries(
    references.map((reference) => [reference, present.get(reference)?.id ?? null]),
  );
  const head = record.files === 'git' ? await rememberHead(site) : undefined;
  await begin(site, { to: id, from: site.serving ?? null, tags, phase, head }, containers);
  await placeFiles(site, record, { back: false });
  const moving = Object.values(record.images).filter(
    ({ id, reference }) => movable(reference) && present.get(reference)?.id !== id,
  );
  await docker.putInPlace(
    state.releasePath(id),
    record.envFile ?? '',
    moving.flatMap((image) => [image.id, image.reference]),
  );
  return containers;
}

/**
 * Blue-green services first, then docker compose up for all that the release was asked for; or, on the way
 * back, for `only` these services, without their dependencies.
 */
export async function bringUp(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  back?: { only: readonly string[]; timeout?: number },
): Promise<void> {
  const { docker, settings, host, context } = site;
  site.lock?.check();
  site.remember(before);
  await repair(site, before);
  const directory = site.state.releasePath(record.id);
  const replicas = site.replicasOf(record);
  const { timeout = settings.healthTimeout } = back ?? {};
  const swapped = await swapBlueGreen(site, record, before, { back: back !== undefined, timeout });
  const others = (back?.only ?? record.services).filter((service) => !swapped.includes(service));
  const changes = changesOf(site, record, before, others);
  const replaced = changes.filter(({ change }) => change === 'recreate').map(({ service }) => service);
  if (swapped.length === 0 || replaced.some((service) => usersMiss(service, swapped, record, before)))
    site.replacing();
  if (settings.strategy === 'stop-first' && replaced.length > 0) {
    context.log.info(
      `${host}: stopping ${replaced.join(', ')} first; users are without it until the new one is up`,
    );
    await docker.compose(directory, ['stop', ...replaced], 'docker compose stop');
  }
  const up = ['up', '-d', '--no-build', '--pull', 'never'];
  if (back) {
    const args = [...up, '--no-deps', ...scaleArguments(replicas, others), ...others];
    if (others.length > 0) await docker.compose(directory, args, 'docker compose up');
  } else {
    if (swapped.length > 0) await upInGroups(site, record, changes);
    const orphans = settings.removeOrphans ? ['--remove-orphans'] : [];
    const scales = scaleArguments(replicas, record.services);
    await docker.compose(directory, [...up, ...orphans, ...scales, ...record.named], 'docker compose up');
  }
  await reloadAfterUp(site, record, before, others);
  // Compose does not look into mounted files: a changed nginx.conf alone recreates nothing.
  const mounting = others.filter((service) => site.remounted.includes(service) && replicas[service] !== 0);
  if (mounting.length === 0) return;
  const after = await docker.containersOf(site.name);
  const forced = mounting.filter((service) => sameContainers(before, after, service));
  if (forced.length === 0) return;
  const scales = scaleArguments(replicas, forced);
  if (!back) await upAlone(site, record, forced, { recreate: '--force-recreate', scales });
  // What they depend on may be as no release wants it, and is left so.
  else
    await docker.compose(
      directory,
      [...up, '--no-deps', '--force-recreate', ...scales, ...forced],
      'docker compose up',
    );
}

/**
 * Whether users of swapped services notice that another one is replaced: the proxy itself, or what a swapped
 * one depends on; not a worker. Pure.
 */
export function usersMiss(
  service: string,
  swapped: readonly string[],
  { needs }: Pick<ReleaseRecord, 'needs'>,
  before: readonly Container[],
): boolean {
  return (
    swapped.some((one) => needs[one]?.includes(service)) ||
    before.some((container) => container.service === service && container.ports.length > 0)
  );
}

/** Whether a service has just the containers it had. Pure. */
export function sameContainers(
  before: readonly Container[],
  after: readonly Container[],
  service: string,
): boolean {
  const ids = (containers: readonly Container[]) =>
    containers
      .filter((container) => container.service === service && !container.oneOff)
      .map(({ id }) => id)
      .sort()
      .join();
  return ids(before) === ids(after);
}

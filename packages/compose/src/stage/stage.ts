import { UserError } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import type { Container } from '../host/containers.ts';
import { onHost } from '../host/next-command.ts';
import { checkSpace } from '../host/preflight.ts';
import type { ReleaseImage, ServiceChange, StagedRelease } from '../outcome.ts';
import { releaseIdPattern } from '../record/release-id.ts';
import { contentHash, previousRelease, type ReleaseRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';
import { recordWhatRuns } from './baseline.ts';
import { type ComposeConfig, checkServices, needsOf, withDependencies } from './compose-config.ts';
import { composeDirectory } from './compose-files.ts';
import { requireVariables } from './env-file.ts';
import { keepTag } from './images.ts';
import { changedMounts, mountedFiles } from './mounted-files.ts';
import { ownContainers } from './ownership.ts';
import { planChanges } from './plan.ts';
import { imagesAtHand, pullImages } from './pull.ts';
import { type LaidOut, layOut, lookForFiles, type Sources } from './release-tree.ts';
import {
  type BlueGreenQuestion,
  besideThemselves,
  blueGreenDoubts,
  type Obstacle,
  refuseBlueGreen,
  whyNotBlueGreen,
} from './why-not-blue-green.ts';

/** Pulls and records this run's release; changes no container. `pins` are digests that another host resolved, by service. */
export async function stageRelease(
  site: Site,
  pins: Readonly<Record<string, string>>,
): Promise<StagedRelease> {
  const { settings, state, context } = site;
  const wantedPins = { ...pins, ...settings.pinnedImages };
  if (settings.dryRun) {
    const directory = await state.temporary();
    try {
      return await planOnly(site, directory, wantedPins);
    } finally {
      await state.remove(directory);
    }
  }
  const directory = state.releasePath(context.release);
  const sources = await lookForFiles(site);
  const { laid, services } = await readProject(site, directory, sources);
  const { config, hashes, args } = laid;
  // Each question costs two journeys to the host and back: these do not depend on one another.
  const [containers, present, mounts, serving] = await Promise.all([
    containersOf(site, config, sources.files),
    site.docker.images(services.flatMap((service) => config.services[service]?.image ?? [])),
    mountedFiles(context.shell, config, services),
    site.serving ? state.release(site.serving).catch(() => undefined) : undefined,
  ]);
  await checkBlueGreen(site, { config, services, files: sources.files, containers });
  await recordWhatRuns(site, containers, { ...sources, config });
  checkSpace(site.free, context.shell);
  const images = await pullImages(site, {
    directory,
    config,
    services,
    pins: wantedPins,
    containers,
    before: present,
  });
  const record: ReleaseRecord = {
    version: 1,
    id: context.release,
    commit: context.commit,
    createdAt: site.now(),
    baseline: false,
    project: site.name,
    services,
    named: settings.services,
    replicas: site.replicasOf({ services, replicas: replicasInFile(config) }),
    needs: needsOf(config, services),
    beside: besideThemselves(config, services),
    images,
    hashes,
    mounts,
    content: '',
    envFile: settings.envFile === undefined ? null : settings.envFilePath,
    verifiedAt: null,
  };
  record.content = contentHash(record, settings.environment, settings.envFile ?? sources.hostEnv);
  await state.saveRelease(record, { [`${directory}/args`]: args });
  // What runs may just have been recorded as a release.
  let before = serving;
  if (site.serving && site.serving !== serving?.id) before = await state.release(site.serving);
  const plan = planFor(site, { laid, services, images, containers, before, now: record });
  for (const { service, change, why } of plan)
    context.log.info(`${site.host}: ${service}: ${change}, ${why}`);
  const unchanged =
    !site.pending &&
    before?.content === record.content &&
    plan.every(({ change }) => change === 'unchanged' || change === 'orphan');
  return { id: context.release, images, plan, unchanged };
}

/** What the inputs and the host make of the project, judged before anything is pulled or recorded. */
async function readProject(
  site: Site,
  directory: string,
  { files, hostEnv }: Sources,
): Promise<{ laid: LaidOut; services: string[] }> {
  const { settings, host } = site;
  const env = settings.envFile ?? hostEnv;
  requireVariables(settings, env ?? '', host);
  const laid = await layOut(site, directory, { files, env });
  checkServices(
    laid.config,
    [
      ...settings.services,
      ...Object.keys(settings.pinnedImages),
      ...settings.blueGreenServices,
      ...settings.singletonServices,
    ],
    host,
  );
  return { laid, services: withDependencies(laid.config, settings.services) };
}

async function containersOf(
  site: Site,
  config: ComposeConfig,
  files: readonly string[],
): Promise<Container[]> {
  const { name, directory, host } = site;
  const home = composeDirectory(directory, files);
  const all = await site.docker.containers(
    `com.docker.compose.project=${name}`,
    `com.docker.compose.project.working_dir=${home}`,
  );
  const containers = ownContainers(all, { name, home, directory, host });
  if (config.name !== name) throw new UserError(`Compose calls this project ${config.name}, not ${name}`);
  return containers;
}

/** Refuses `strategy: blue-green` before anything changes, where a service cannot run beside itself. */
async function checkBlueGreen(
  site: Site,
  known: { services: readonly string[] } & Pick<BlueGreenQuestion, 'config' | 'files' | 'containers'>,
): Promise<void> {
  const { settings, docker, host, context } = site;
  if (settings.strategy !== 'blue-green') return;
  const obstacles = new Map<string, Obstacle[]>();
  for (const service of settings.blueGreenServices) {
    if (!known.services.includes(service)) continue;
    const running = known.containers.filter(
      (container) => container.service === service && container.status === 'running',
    );
    const question = {
      ...known,
      blueGreen: settings.blueGreenServices,
      reload: settings.blueGreenReload,
      memory: running.length > 0 ? await docker.memory(running.map(({ id }) => id)) : undefined,
    };
    obstacles.set(service, whyNotBlueGreen(service, question));
    for (const doubt of blueGreenDoubts(service, question)) context.log.warning(`${host}: ${doubt}`);
  }
  refuseBlueGreen(obstacles, host);
}

async function planOnly(
  site: Site,
  directory: string,
  pins: Readonly<Record<string, string>>,
): Promise<StagedRelease> {
  const sources = await lookForFiles(site);
  const { laid, services } = await readProject(site, directory, sources);
  const containers = await containersOf(site, laid.config, sources.files);
  await checkBlueGreen(site, { config: laid.config, services, files: sources.files, containers });
  const images = await imagesAtHand(site, { config: laid.config, services, pins });
  const plan = planFor(site, { laid, services, images, containers });
  return { id: site.context.release, images, plan, unchanged: false };
}

function planFor(
  site: Site,
  known: {
    laid: LaidOut;
    services: readonly string[];
    images: Record<string, ReleaseImage>;
    containers: readonly Container[];
    before?: ReleaseRecord;
    now?: ReleaseRecord;
  },
): ServiceChange[] {
  const { laid, services, images, containers, before, now } = known;
  const changed = before && now ? changedMounts(before.mounts, now.mounts) : {};
  site.remounted = Object.keys(changed);
  return planChanges(containers, {
    services,
    known: Object.keys(laid.config.services),
    hashes: laid.hashes,
    images,
    replicas: site.replicasOf({ services, replicas: replicasInFile(laid.config) }),
    changedMounts: changed,
  });
}

function replicasInFile({ services }: ComposeConfig): Record<string, number> {
  return Object.fromEntries(Object.entries(services).map(([service, { replicas }]) => [service, replicas]));
}

/** `previous` or an id → a recorded release that can be switched to, its images all on the host. */
export async function resolveRelease(site: Site, name: string): Promise<StagedRelease> {
  const { state, host } = site;
  const list = await state.releases();
  const id = name === 'previous' ? previousRelease(list, site.pending?.from ?? site.serving) : name;
  if (!id)
    throw new UserError(`${host} has no previous release to go back to`, {
      next: onHost(site.context.shell, 'cat .lockkeeper/audit.log', site.directory),
    });
  if (!releaseIdPattern.test(id) || !list.releases.some((release) => release.id === id))
    throw new UserError(
      `${host} has no release ${id}; it has ${list.releases.map((release) => release.id).join(', ') || 'none'}`,
    );
  const record = await state.release(id);
  site.name = record.project;
  const present = await site.docker.images(Object.values(record.images).map((image) => image.id));
  for (const [service, image] of Object.entries(record.images))
    if (!present.has(image.id))
      throw new UserError(`the image of ${service} in release ${id} is no longer on ${host}`, {
        next: onHost(site.context.shell, `docker pull ${word(image.digest ?? image.reference)}`),
      });
  const containers = await site.docker.containersOf(site.name);
  if (!site.settings.dryRun) await recordWhatRuns(site, containers, await lookForFiles(site));
  const plan = planChanges(containers, {
    services: record.services,
    known: record.services,
    hashes: record.hashes,
    images: record.images,
    replicas: site.replicasOf(record),
    changedMounts: {},
  });
  return { id, images: record.images, plan, unchanged: false };
}

/** A staged release that is not wanted after all goes away. */
export async function discardRelease({ state, docker, name }: Site, id: string): Promise<void> {
  const record = await state.release(id).catch(() => undefined);
  if (record) await docker.untag(Object.keys(record.images).map((service) => keepTag(name, id, service)));
  await state.remove(state.releasePath(id));
}

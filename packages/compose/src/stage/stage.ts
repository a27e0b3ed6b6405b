import { UserError } from '@lockkeeper/action';
import { word } from '@lockkeeper/ssh';
import { Deadline } from '@lockkeeper/wait';
import { bringFiles } from '../files/bring-files.ts';
import { remountedBetween, servicesThatMount } from '../files/changed-files.ts';
import { forgetCommits, keepCommit } from '../files/place.ts';
import type { ReleaseFiles } from '../files/release-files.ts';
import type { Container } from '../host/containers.ts';
import { onHost } from '../host/next-command.ts';
import { checkSpace } from '../host/preflight.ts';
import type { ReleaseImage, ServiceChange, StagedRelease } from '../outcome.ts';
import { releaseIdPattern } from '../record/release-id.ts';
import { contentHash, previousRelease, type ReleaseRecord } from '../record/release-record.ts';
import { parseStagingNote } from '../record/staging-note.ts';
import type { Site } from '../site.ts';
import { recordWhatRuns } from './baseline.ts';
import {
  behindEach,
  type ComposeConfig,
  checkServices,
  needsOf,
  withDependencies,
} from './compose-config.ts';
import { composeDirectory } from './compose-files.ts';
import { requireVariables } from './env-file.ts';
import { keepTag } from './images.ts';
import { changedMounts, mountedFiles } from './mounted-files.ts';
import { ownContainers } from './ownership.ts';
import { planChanges } from './plan.ts';
import { broughtImages } from './prune.ts';
import { bringImages, imagesAtHand } from './pull.ts';
import { type LaidOut, layOut, lookForFiles, type Sources } from './release-tree.ts';
import {
  type BlueGreenQuestion,
  besideThemselves,
  blueGreenDoubts,
  type Obstacle,
  refuseBlueGreen,
  whyNotBlueGreen,
} from './why-not-blue-green.ts';

/** What another host found out, for this one to take the same. */
export interface Resolved {
  /** Digests, by service. */
  pins?: Readonly<Record<string, string>>;
  /** What `git-ref` stands for. */
  commit?: string;
}

/** Brings files and images of this run's release to the host and records it; changes no container. */
export async function stageRelease(site: Site, { pins, commit }: Resolved): Promise<StagedRelease> {
  const { settings, state, context } = site;
  const deadline = new Deadline(context.clock, settings.stageTimeout);
  const directory = settings.dryRun ? await state.temporary() : state.releasePath(context.release);
  try {
    checkSpace(site.free, context.shell);
    const own = await bringFiles(site, directory, { deadline, commit });
    const staging: Staging = { own, pins: { ...pins, ...settings.pinnedImages }, deadline };
    const staged = await (settings.dryRun ? planOnly : stageFiles)(site, directory, staging);
    if (settings.dryRun) await state.remove(directory);
    // What was uploaded is needed to go back to; git has its commits itself.
    else if (own) await state.remove(own.view, ...(own.from === 'git' ? [own.tree] : []));
    return staged;
  } catch (error) {
    await state.remove(directory).catch(() => {});
    throw error;
  }
}

interface Staging {
  own: ReleaseFiles | undefined;
  pins: Readonly<Record<string, string>>;
  deadline: Deadline;
}

async function stageFiles(
  site: Site,
  directory: string,
  { own, pins, deadline }: Staging,
): Promise<StagedRelease> {
  const { settings, state, context } = site;
  const sources = await lookForFiles(site, { own });
  const { laid, services } = await readProject(site, directory, sources, own);
  const { config, hashes, args } = laid;
  // Each question costs two journeys to the host and back: these do not depend on one another.
  const [containers, present, mounts, serving, note, list] = await Promise.all([
    containersOf(site, config, sources.files),
    site.docker.images(services.flatMap((service) => config.services[service]?.image ?? [])),
    mountedFiles(context.shell, config, services, own),
    site.serving ? state.release(site.serving).catch(() => undefined) : undefined,
    site.docker.noteImages(
      state.notePath(context.release),
      services.flatMap((service) => pins[service] ?? config.services[service]?.image ?? []),
    ),
    state.releases(),
  ]);
  await checkBlueGreen(site, { config, services, files: sources.files, containers });
  await recordWhatRuns(site, containers, own ? undefined : { ...sources, config });
  const images = await bringImages(site, {
    directory,
    config,
    services,
    pins,
    containers,
    before: present,
    files: own,
    deadline,
  });
  const record: ReleaseRecord = {
    version: 1,
    id: context.release,
    commit: own?.commit ?? context.commit,
    createdAt: site.now(),
    baseline: false,
    project: site.name,
    services,
    named: settings.services,
    replicas: site.replicasOf({ services, replicas: replicasInFile(config) }),
    needs: needsOf(config, services),
    behind: behindEach(config),
    beside: besideThemselves(config, services),
    images,
    brought: broughtImages(images, parseStagingNote(note).had, list),
    hashes,
    mounts,
    content: '',
    envFile: settings.envFile === undefined ? null : settings.envFilePath,
    files: own?.from ?? (serving && serving.files !== 'host' ? 'left' : 'host'),
    git: own?.commit ? { commit: own.commit, branch: null } : undefined,
    tree: own?.content,
    sources: Object.fromEntries(services.map((service) => [service, config.services[service]?.mounts ?? []])),
    verifiedAt: null,
  };
  record.content = contentHash(record, settings.environment, settings.envFile ?? sources.hostEnv);
  if (record.git) await keepCommit(site, record.id, record.git.commit);
  await state.saveRelease(record, { [`${directory}/args`]: args });
  // What runs may just have been recorded as a release.
  let before = serving;
  if (site.serving && site.serving !== serving?.id) before = await state.release(site.serving);
  const plan = planFor(site, { laid, services, images, containers, own, before, now: record });
  for (const { service, change, why } of plan)
    context.log.info(`${site.host}: ${service}: ${change}, ${why}`);
  const unchanged =
    !site.pending &&
    before?.content === record.content &&
    own?.inPlace !== false &&
    plan.every(({ change }) => change === 'unchanged' || change === 'orphan');
  return { id: context.release, images, plan, unchanged, commit: own?.commit };
}

/** What the inputs and the host make of the project, judged before anything is pulled or recorded. */
async function readProject(
  site: Site,
  directory: string,
  { files, hostEnv }: Sources,
  own: ReleaseFiles | undefined,
): Promise<{ laid: LaidOut; services: string[] }> {
  const { settings, host } = site;
  const env = settings.envFile ?? hostEnv;
  requireVariables(settings, env ?? '', host);
  const laid = await layOut(site, directory, { files, env, own });
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

async function planOnly(site: Site, directory: string, { own, pins }: Staging): Promise<StagedRelease> {
  const sources = await lookForFiles(site, { own });
  const { laid, services } = await readProject(site, directory, sources, own);
  const containers = await containersOf(site, laid.config, sources.files);
  await checkBlueGreen(site, { config: laid.config, services, files: sources.files, containers });
  const images = await imagesAtHand(site, { config: laid.config, services, pins, containers });
  const plan = planFor(site, { laid, services, images, containers, own });
  return { id: site.context.release, images, plan, unchanged: false, commit: own?.commit };
}

function planFor(
  site: Site,
  known: {
    laid: LaidOut;
    services: readonly string[];
    images: Record<string, ReleaseImage>;
    containers: readonly Container[];
    own?: ReleaseFiles;
    before?: ReleaseRecord;
    now?: ReleaseRecord;
  },
): ServiceChange[] {
  const { laid, services, images, containers, own, before, now } = known;
  const sources = Object.fromEntries(
    services.map((service) => [service, laid.config.services[service]?.mounts ?? []]),
  );
  const changed = {
    ...(before && now ? changedMounts(before.mounts, now.mounts) : {}),
    ...(own ? servicesThatMount(own.changed, own.root, sources) : {}),
  };
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
  if (!site.settings.dryRun) await recordWhatRuns(site, containers);
  const left = site.serving ? await state.release(site.serving).catch(() => undefined) : undefined;
  site.remounted = await remountedBetween(site, left, record);
  const plan = planChanges(containers, {
    services: record.services,
    known: record.services,
    hashes: record.hashes,
    images: record.images,
    replicas: site.replicasOf(record),
    changedMounts: Object.fromEntries(site.remounted.map((service) => [service, ['files']])),
  });
  return { id, images: record.images, plan, unchanged: false };
}

/** A staged release that is not wanted after all goes away. */
export async function discardRelease(site: Site, id: string): Promise<void> {
  const { state, docker, name } = site;
  const record = await state.release(id).catch(() => undefined);
  if (record) {
    await docker.drop({ names: Object.keys(record.images).map((service) => keepTag(name, id, service)) });
    await forgetCommits(site, [record]);
  }
  // What it brought stays for the run that tries again; its note tells the run after that whose it is.
  const note = record?.brought?.length === 0 ? [state.notePath(id)] : [];
  await state.remove(state.releasePath(id), ...note);
}

import { UserError } from '@lockkeeper/action';
import { moved, type ReleaseFiles } from '../files/release-files.ts';
import { type HostName, onHost } from '../host/next-command.ts';
import type { BuildConfig, ComposeConfig } from './compose-config.ts';
import type { ImageQuestion } from './images.ts';

/**
 * The services whose images are built, dependencies first and otherwise in the order of the file: what was asked
 * for, and what it depends on only where that is not here. Services that share an image are built once. Pure.
 */
export function whatToBuild(
  { config, services, named, pins, containers }: ImageQuestion,
  present: ReadonlySet<string>,
): string[] {
  const running = new Set(containers.map(({ service }) => service));
  const references = new Set<string>();
  return dependenciesFirst(config, services).filter((service) => {
    const { image = '', build } = config.services[service]!;
    if (!build || pins[service] || references.has(image)) return false;
    const sharers = services.filter((other) => config.services[other]?.image === image);
    const wanted =
      sharers.some((other) => named.includes(other)) || !(present.has(image) || running.has(service));
    if (wanted) references.add(image);
    return wanted;
  });
}

/** Services so that each stands after what it depends on, and otherwise as the file has them. Pure. */
export function dependenciesFirst(config: ComposeConfig, services: readonly string[]): string[] {
  const wanted = new Set(services);
  const ordered = new Set<string>();
  const visited = new Set<string>();
  const visit = (service: string) => {
    if (visited.has(service)) return;
    visited.add(service);
    config.services[service]?.dependsOn.forEach(visit);
    if (wanted.has(service)) ordered.add(service);
  };
  Object.keys(config.services).forEach(visit);
  return [...ordered];
}

/** How one service is built, besides what its Compose file says. */
export interface BuildOverride {
  image: string;
  build: {
    context?: string;
    dockerfile?: string;
    additional_contexts?: Record<string, string>;
    args?: Record<string, string>;
  };
}

/** A Dockerfile that is built from a copy, for the sake of the ignore file beside it. */
export interface DockerfileCopy {
  context: string;
  dockerfile: string;
}

/**
 * A service's build, moved into the release's own tree. `copy` stands for its Dockerfile where the context holds
 * our record, which must not get into an image: BuildKit reads `<Dockerfile>.dockerignore` beside it. Pure.
 */
export function buildOverride(
  build: BuildConfig,
  {
    tag,
    files,
    args,
    copy,
  }: { tag: string; files?: ReleaseFiles; args: Readonly<Record<string, string>>; copy?: string },
): BuildOverride {
  const own = (path: string) => (files && moved(path, files.root, files.tree)) ?? path;
  const { context, more } = inTree(build, files);
  const dockerfile = copy ?? (build.dockerfile.startsWith('/') ? own(build.dockerfile) : undefined);
  return {
    image: tag,
    build: {
      ...(context && { context }),
      ...(dockerfile && { dockerfile }),
      ...(Object.keys(more).length > 0 && { additional_contexts: more }),
      ...(Object.keys(args).length > 0 && {
        args: Object.fromEntries(
          Object.entries(args).map(([name, value]) => [name, value.replaceAll('$', '$$$$')]),
        ),
      }),
    },
  };
}

/** The contexts of a build as they lie in the release's tree, where it has one. Pure. */
function inTree({ context, more }: BuildConfig, files: ReleaseFiles | undefined) {
  const own = (path: string) => (files && moved(path, files.root, files.tree)) ?? path;
  return {
    context: own(context),
    more: Object.fromEntries(Object.entries(more).map(([name, path]) => [name, own(path)])),
  };
}

/**
 * Where the record below the project directory would be part of what a build reads: its Dockerfile to copy, and
 * contexts where nothing but an ignore file of the user's own keeps it out. Pure.
 */
export function recordInContext(
  build: BuildConfig,
  directory: string,
  files: ReleaseFiles | undefined,
): { copy?: DockerfileCopy; guarded: string[] } {
  const holds = (path: string) => path === directory || directory.startsWith(`${path.replace(/\/$/, '')}/`);
  const { context, more } = inTree(build, files);
  const exposed = context.startsWith('/') && holds(context);
  return {
    ...(exposed && !build.inline && { copy: { context, dockerfile: build.dockerfile } }),
    guarded: [
      ...(exposed && build.inline ? [context] : []),
      ...Object.values(more).filter((path) => path.startsWith('/') && holds(path)),
    ],
  };
}

/** Whether an ignore file keeps the record out of a context. Only what is plain is believed. Pure. */
export function ignoresRecord(dockerignore: string): boolean {
  const lines = dockerignore.split(/\r?\n/).map((line) => line.trim().replace(/^\/|\/$/g, ''));
  const last = (test: (line: string) => boolean) => lines.findLastIndex(test);
  const ignored = last((line) => ['.lockkeeper', '**/.lockkeeper', '*', '**', '.*'].includes(line));
  const back = last((line) => line.startsWith('!') && /lockkeeper|[*?[]/.test(line));
  return ignored >= 0 && ignored > back;
}

/** Kilobytes that are free for a build; undefined where the host does not tell. */
export interface Room {
  /** Memory that programs can get, swap included. */
  memory?: number;
  /** Where Docker keeps images. */
  disk?: number;
}

/** With less of either even a small build (an interpreter and a few packages) ends half-way, taking what runs with it. */
const least = { memory: 256 * 1024, disk: 1024 * 1024 };

/** Reads what `roomToBuild` prints. Pure. */
export function parseRoom(text: string): Room {
  const told = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  const [memory, disk] = [told('memory'), told('disk')];
  return { ...(!Number.isNaN(memory) && { memory }), ...(!Number.isNaN(disk) && { disk }) };
}

/** Throws UserError where there is no room to build. Pure. */
export function checkRoom({ memory, disk }: Room, host: HostName): void {
  const megabytes = (kilobytes: number) => `${Math.round(kilobytes / 1024)} MB`;
  if (memory !== undefined && memory < least.memory)
    throw new UserError(
      `${host.name} has ${megabytes(memory)} of memory left, swap included: too little to build an image (${megabytes(least.memory)} at least)`,
      {
        next: onHost(
          host,
          'sudo fallocate -l 2G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile',
        ),
      },
    );
  if (disk !== undefined && disk < least.disk)
    throw new UserError(
      `${host.name} has ${megabytes(disk)} of disk left for images: too little to build one (${megabytes(least.disk)} at least)`,
      { next: onHost(host, 'docker builder prune') },
    );
}

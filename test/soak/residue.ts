import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '@lockkeeper/lab';

/** What lies and runs on a host. The lab's engine has no networks of its own that could be left. */
export interface Residue {
  /** Names in the user's home and the project's directory. */
  files: string[];
  /** Paths below the record's directory, without what is in releases. */
  record: string[];
  /** Ids of releases. */
  releases: string[];
  /** Ids of images. */
  images: string[];
  /** Of those, what the records of releases name. */
  named: string[];
  /** Name and status of every container. */
  containers: string[];
  /** Directories of containers that the engine keeps. */
  containerDirectories: number;
  volumes: string[];
  /** Of the host's processes, those that are no container's. */
  processes: string[];
  /** SSH connections that are open. */
  sessions: number;
}

/** Looks at a host of the lab, whose project lies in ~/app. */
export function residueOf(host: Host): Residue {
  const project = join(host.home, 'app');
  const record = join(project, '.lockkeeper');
  const below = (directory: string): string[] => {
    try {
      return (readdirSync(directory, { recursive: true, encoding: 'utf8' }) as string[]).sort();
    } catch {
      return [];
    }
  };
  const releases = below(join(record, 'releases')).filter((path) => !path.includes('/'));
  const engineDirectory = host.engine.settings.directory;
  return {
    files: [
      ...readdirSync(host.home).map((name) => `~/${name}`),
      ...readdirSync(project).map((name) => `~/app/${name}`),
    ].sort(),
    record: below(record).filter((path) => !path.startsWith('releases/')),
    releases,
    images: host.engine.images
      .all()
      .map(({ id }) => id)
      .sort(),
    named: releases.flatMap((id) => imagesNamed(join(record, 'releases', id, 'release.json'))),
    containers: host.engine
      .containers()
      .map(({ name, status }) => `${name} ${status}`)
      .sort(),
    containerDirectories: below(join(engineDirectory, 'containers')).filter((path) => !path.includes('/'))
      .length,
    volumes: below(join(engineDirectory, 'volumes')).filter((path) => !path.includes('/')),
    processes: strays(host),
    sessions: host.sessions,
  };
}

/** None where a run was killed before it wrote the record. */
function imagesNamed(file: string): string[] {
  try {
    const { images } = JSON.parse(readFileSync(file, 'utf8')) as { images: Record<string, { id: string }> };
    return Object.values(images).map(({ id }) => id);
  } catch {
    return [];
  }
}

/** Processes that carry a host's mark and that no container of it started. */
function strays({ engine }: Host): string[] {
  const [[name, mark]] = Object.entries(engine.settings.marker) as [[string, string]];
  const parents = new Map<number, number>();
  const marked = new Map<number, string>();
  for (const entry of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const pid = Number(entry);
      const stat = readFileSync(`/proc/${entry}/stat`, 'latin1');
      parents.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
      const environment = readFileSync(`/proc/${entry}/environ`, 'latin1').split('\0');
      if (pid !== process.pid && environment.includes(`${name}=${mark}`))
        marked.set(pid, readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim());
    } catch {
      // Gone meanwhile, or somebody else's.
    }
  }
  const containers = new Set(engine.containers().map(({ pid }) => pid));
  const ofContainer = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (containers.has(pid) || ofContainer(parents.get(pid)));
  return [...marked].filter(([pid]) => !ofContainer(pid)).map(([pid, command]) => `${pid} ${command}`);
}

/** What of a record's directory stays between deploys; the rest belongs to a run. */
const staying =
  /^(\.gitignore|audit\.log|bad|bad\/[^/]+|releases|serving|staging|staging\/[^/]+|steps|host-id|fleet[^/]*)$/;

/**
 * What is left over on a host that was `before` as it is now; nothing is an empty list. `keep` is keep-releases, and
 * `failures` how many deploys there were since one succeeded: what they brought, and a note of it, stays for
 * the next. Pure.
 */
export function leftOver(
  before: Residue,
  now: Residue,
  { keep, failures }: { keep: number; failures: number },
): string[] {
  const known = new Set([...before.files, '~/app/.lockkeeper']);
  // Beside the newest, what serves and what served before it may be older.
  const mostReleases = keep + 2 + failures;
  const marks = now.record.filter((path) => path.startsWith('bad/')).map((path) => path.slice('bad/'.length));
  const notes = now.record.filter((path) => path.startsWith('staging/'));
  const nobodys = now.images.filter((id) => !before.images.includes(id) && !now.named.includes(id));
  return [
    ...now.files.filter((file) => !known.has(file)).map((file) => `the file ${file}`),
    ...before.files.filter((file) => !now.files.includes(file)).map((file) => `${file} is gone`),
    ...[...now.record.filter((path) => !staying.test(path)), ...notes.slice(failures)].map(
      (path) => `.lockkeeper/${path}`,
    ),
    ...marks.filter((id) => !now.releases.includes(id)).map((id) => `the mark of ${id}, which is gone`),
    ...(now.releases.length > mostReleases
      ? [`${now.releases.length} releases, at most ${mostReleases}`]
      : []),
    ...nobodys.slice(failures).map((id) => `the image ${id}, which no release names`),
    ...difference('container', before.containers, now.containers),
    ...(now.containerDirectories > now.containers.length
      ? [`${now.containerDirectories} directories of ${now.containers.length} containers`]
      : []),
    ...difference('volume', before.volumes, now.volumes),
    ...now.processes.map((process) => `the process ${process}`),
    ...(now.sessions > 0 ? [`${now.sessions} SSH connections`] : []),
  ];
}

const difference = (what: string, before: readonly string[], now: readonly string[]) => [
  ...now.filter((one) => !before.includes(one)).map((one) => `the ${what} ${one}`),
  ...before.filter((one) => !now.includes(one)).map((one) => `the ${what} ${one} is gone`),
];

import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Apt, openApt } from './apt.ts';
import { cache, once } from './cache.ts';
import { codename } from './prerequisites.ts';

/**
 * Which Compose a host has: `stable`, the plugin of the Debian release after the machine's (2.26 in trixie);
 * `newest`, the newest that any of Debian's suites gives (2.40 in forky); `v1`, this Debian's docker-compose.
 */
export type ComposeChoice = 'stable' | 'newest' | 'v1' | 'none';

export interface ComposeFiles {
  version: string;
  /** Of the plugin; or the directory into which v1 was unpacked. */
  path: string;
}

export const releases = ['bookworm', 'trixie', 'forky', 'sid'];

/** Downloads it, or finds what was downloaded before. */
export async function findCompose(choice: Exclude<ComposeChoice, 'none'>): Promise<ComposeFiles> {
  const own = await codename();
  if (choice === 'v1') return composeV1(own);
  const later = releases.slice(releases.indexOf(own) + 1);
  if (choice === 'stable') return plugin(later[0]!);
  const found: ComposeFiles[] = [];
  for (const suite of later.slice(1))
    found.push(
      ...(await plugin(suite).then(
        (one) => [one],
        () => [],
      )),
    );
  const newest = found.sort((a, b) => compareVersions(a.version, b.version)).at(-1);
  if (!newest) throw new Error(`no suite of Debian after ${later[0]} gives docker-compose`);
  return newest;
}

/** The one file of Debian's docker-compose package that matters; it runs on older releases too. */
async function plugin(suite: string): Promise<ComposeFiles> {
  const { version, path } = await fetched(suite, (apt, empty) => apt.unpack(['docker-compose'], empty));
  return { version, path: join(path, 'usr/libexec/docker/cli-plugins/docker-compose') };
}

/** Compose v1 is a Python program: it keeps its whole Python beside it, so that it does not meet the host's. */
async function composeV1(suite: string): Promise<ComposeFiles> {
  const found = await fetched(suite, async (apt, empty) => {
    const needed = await apt.closure(['docker-compose']);
    await apt.unpack(
      needed.filter((name) => /python|docker-compose|yaml|ffi|expat|ssl|zlib/.test(name)),
      empty,
    );
    await writeFile(join(empty, 'docker-compose'), starter);
    await chmod(join(empty, 'docker-compose'), 0o755);
  });
  if (!found.version.startsWith('1.')) throw new Error(`Debian ${suite} gives no Compose v1`);
  return found;
}

async function fetched(
  suite: string,
  unpack: (apt: Apt, into: string) => Promise<void>,
): Promise<ComposeFiles> {
  const path = await once(join(cache, 'compose', suite), async (empty) => {
    const apt = await openApt(suite);
    const version = await apt?.version('docker-compose');
    if (!apt || !version) throw new Error(`Debian ${suite} gives no docker-compose`);
    await unpack(apt, empty);
    await writeFile(join(empty, 'version'), version);
  });
  return { version: await readFile(join(path, 'version'), 'utf8'), path };
}

/** Where v1 lies on a host. */
export const v1Home = '/opt/compose-v1';

const starter = `#!/bin/sh
PYTHONHOME=${v1Home}/usr PYTHONPATH=${v1Home}/usr/lib/python3/dist-packages
LD_LIBRARY_PATH=${v1Home}/usr/lib/$(uname -m)-linux-gnu:${v1Home}/lib/$(uname -m)-linux-gnu
export PYTHONHOME PYTHONPATH LD_LIBRARY_PATH
exec ${v1Home}/usr/bin/python3.* ${v1Home}/usr/bin/docker-compose "$@"
`;

/** By their numbers, so that 2.9 comes before 2.40. Pure. */
function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => (version.match(/\d+/g) ?? []).map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

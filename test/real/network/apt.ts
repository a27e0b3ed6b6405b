import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cache } from './cache.ts';
import { ask, run } from './command.ts';
import { codename } from './prerequisites.ts';

/** apt with directories of its own, for one suite; the machine's own lists and packages are not touched. */
export interface Apt {
  suite: string;
  /** The newest version that the suite has of a package. */
  version(name: string): Promise<string | undefined>;
  /** The names of all packages that some need, themselves included, on a machine that has none. */
  closure(names: readonly string[]): Promise<string[]>;
  /** Downloads packages, without what they depend on, and unpacks them into a directory. */
  unpack(names: readonly string[], into: string): Promise<void>;
}

/** A suite of Debian, asked from the very mirror that this machine uses. Undefined where it does not have it. */
export async function openApt(suite: string): Promise<Apt | undefined> {
  const directory = join(cache, 'apt', suite);
  const lists = join(directory, 'lists');
  const sources = join(directory, 'sources.list');
  const status = join(directory, 'status');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(directory, 'cache/archives/partial'), { recursive: true });
  await writeFile(status, '');
  await writeFile(sources, await sourcesOf(suite));
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${lists}`,
    `Dir::State::status=${status}`,
    `Dir::Cache=${join(directory, 'cache')}`,
    'Acquire::Languages=none',
    'APT::Install-Recommends=false',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  const update = await ask('apt-get', [...options, 'update', '--error-on=any']);
  const known = (await readdir(lists)).some((name) => name.includes('_Packages'));
  // Without a network what was fetched before still serves.
  if (update.code !== 0 && !known) return undefined;
  return {
    suite,
    version: async (name) => {
      const { stdout } = await ask('apt-cache', [...options, 'show', '--no-all-versions', name]);
      return /^Version: (?:\d+:)?(\S+)$/m.exec(stdout)?.[1];
    },
    closure: async (names) => {
      const plan = await run('apt-get', [...options, '-qq', '--simulate', 'install', ...names]);
      return [...plan.matchAll(/^Inst (\S+) /gm)].map(([, name]) => name!);
    },
    unpack: async (names, into) => {
      const downloads = await mkdtemp(join(directory, 'download-'));
      try {
        await run('apt-get', [...options, '-qq', 'download', ...names], { cwd: downloads });
        for (const file of await readdir(downloads))
          await run('dpkg-deb', ['-x', join(downloads, file), into]);
      } finally {
        await rm(downloads, { recursive: true, force: true });
      }
    },
  };
}

/** The machine's own sources of its release, with another suite in their place. */
async function sourcesOf(suite: string): Promise<string> {
  const own = await codename();
  const text = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)|$(ORIGIN)',
    'Created-By: Packages',
  ]);
  const lines = text.split('\n').flatMap((line) => {
    const [uri, release, component, signedBy = '', origin] = line.split('|');
    if (release !== own || origin !== 'Debian') return [];
    const key = signedBy.startsWith('/') ? `[signed-by=${signedBy}] ` : '';
    return [`deb ${key}${uri} ${suite} ${component}`];
  });
  if (lines.length === 0) throw new Error(`apt has no source of Debian ${own}; apt-get update first`);
  return `${[...new Set(lines)].join('\n')}\n`;
}

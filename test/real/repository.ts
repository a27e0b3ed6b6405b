import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from './network/command.ts';

/** Runs git as nobody in particular: no settings of this machine count. */
async function runGit(cwd: string, ...args: string[]): Promise<string> {
  const identity = ['-c', 'user.name=octo', '-c', 'user.email=octo@example.com', '-c', 'safe.directory=*'];
  const env = ['env', '-i', `PATH=${process.env.PATH}`, 'HOME=/nonexistent', 'GIT_CONFIG_NOSYSTEM=1'];
  return run(env[0]!, [...env.slice(1), 'git', '-C', cwd, ...identity, ...args]);
}

/** A repository that the hosts of a network fetch from, with a `main` branch. */
export interface Repository {
  /** Commits files on main, pushes them and answers the commit. */
  commit(files: Record<string, string>): Promise<string>;
  close(): Promise<void>;
}

/** A bare repository in a directory that a git server shows. */
export async function openRepository(bare: string): Promise<Repository> {
  const work = await mkdtemp(join(tmpdir(), 'repository-'));
  await run('git', ['init', '-q', '--bare', '-b', 'main', bare]);
  await runGit(work, 'init', '-q', '-b', 'main');
  await runGit(work, 'remote', 'add', 'origin', bare);
  return {
    async commit(files) {
      for (const [path, content] of Object.entries(files)) await write(work, path, content);
      await runGit(work, 'add', '-A');
      await runGit(work, 'commit', '-q', '-m', 'change');
      await runGit(work, 'push', '-q', 'origin', 'HEAD:main');
      return runGit(work, 'rev-parse', 'HEAD');
    },
    close: () => rm(work, { recursive: true, force: true }),
  };
}

/** A file below a directory. */
export async function write(directory: string, path: string, content: string): Promise<void> {
  const file = join(directory, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

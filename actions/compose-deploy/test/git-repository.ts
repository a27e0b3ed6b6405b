import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs git as nobody in particular: no settings of this computer count. */
export async function git(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute('git', args, {
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.com',
      GIT_TERMINAL_PROMPT: '0',
    },
  });
  return stdout.trim();
}

export interface Repository {
  /** A bare repository, as a server has it. */
  origin: string;
  /** Commits these files (undefined removes one) on main, pushes, and answers the commit. */
  commit(files: Record<string, string | undefined>): Promise<string>;
  /** Runs git in the clone that commits are made in. */
  git(...args: string[]): Promise<string>;
  close(): Promise<void>;
}

/** A repository with a `main` branch, empty yet. */
export async function openRepository(): Promise<Repository> {
  const scratch = await mkdtemp(join(tmpdir(), 'compose-deploy-git-'));
  const origin = join(scratch, 'shop');
  const work = join(scratch, 'work');
  await git(scratch, 'init', '-q', '--bare', '-b', 'main', origin);
  await git(scratch, 'init', '-q', '-b', 'main', work);
  await git(work, 'remote', 'add', 'origin', origin);
  return {
    origin,
    git: (...args) => git(work, ...args),
    async commit(files) {
      for (const [path, content] of Object.entries(files)) {
        const file = join(work, path);
        if (content === undefined) await rm(file);
        else {
          await mkdir(dirname(file), { recursive: true });
          await writeFile(file, content);
        }
      }
      await git(work, 'add', '-A');
      await git(work, 'commit', '-q', '-m', 'change');
      await git(work, 'push', '-q', 'origin', 'HEAD:main');
      return git(work, 'rev-parse', 'HEAD');
    },
    close: () => rm(scratch, { recursive: true, force: true }),
  };
}

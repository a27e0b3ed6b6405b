import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** What was downloaded or made of it, for the next run; outside the repository. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lockkeeper-real');

/** Makes `directory` of the cache once, whole or not at all; who else wants it meanwhile waits. */
export async function once(directory: string, make: (empty: string) => Promise<void>): Promise<string> {
  const isThere = () =>
    stat(directory).then(
      () => true,
      () => false,
    );
  if (await isThere()) return directory;
  await mkdir(dirname(directory), { recursive: true });
  await locked(`${directory}.lock`, async () => {
    if (await isThere()) return;
    const part = await mkdtemp(`${directory}.part-`);
    try {
      await make(part);
      await rename(part, directory);
    } finally {
      await rm(part, { recursive: true, force: true });
    }
  });
  return directory;
}

/** One process at a time, also when one of them is killed: the kernel holds the lock for a child. */
async function locked(file: string, work: () => Promise<void>): Promise<void> {
  const child = spawn('flock', [file, 'sh', '-c', 'echo locked; cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`flock ${file} ended with ${code}`)));
    });
    await work();
  } finally {
    child.stdin.end();
  }
}

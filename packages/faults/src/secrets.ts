import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { leakedForms } from '@lockkeeper/runner';

/** What must not be seen: each secret whole, and each line of it that could not be anything else. */
export function needlesOf(secrets: Iterable<string>): string[] {
  return [
    ...new Set(
      [...secrets]
        .flatMap((secret) => [secret, ...secret.split('\n')])
        .map((part) => part.trim())
        .filter((part) => part.length >= 12 && !/^-----(BEGIN|END) [A-Z ]+-----$/.test(part)),
    ),
  ];
}

/** Whether a text holds one, plain or as hex, base64, URL or gzip. */
export const shows = (text: string, needles: readonly string[]): boolean =>
  needles.some((needle) => leakedForms(text, needle).length > 0);

/** The files below a directory that hold one; links are not followed. */
export function filesThatShow(directory: string, needles: readonly string[]): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      try {
        return shows(readFileSync(path, 'latin1'), needles);
      } catch (error) {
        // Gone meanwhile: hosts go on living.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw error;
      }
    });
}

/**
 * Looks at the arguments of every new process of this machine, over and over, as anybody logged in can: those of the
 * runner's and of the hosts'. Answers the names of programs that showed a secret so far. Linux only.
 */
export function watchArguments(needles: () => readonly string[]): { seen(): string[]; stop(): void } {
  const seen = new Set<string>();
  // Between fork and exec a process still has its parent's arguments: each is read at its first two looks.
  let looks = new Map<string, number>();
  const look = () => {
    const plain = needles();
    const now = new Map<string, number>();
    for (const pid of existsSync('/proc/self/cmdline') ? readdirSync('/proc') : []) {
      if (!/^\d+$/.test(pid)) continue;
      const count = looks.get(pid) ?? 0;
      now.set(pid, count + 1);
      if (count >= 2) continue;
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        if (plain.some((needle) => line.includes(needle))) seen.add(line.split('\0')[0]!);
      } catch {
        // Gone in the meantime.
      }
    }
    looks = now;
  };
  const timer = setInterval(look, 50);
  return { seen: () => [...seen], stop: () => clearInterval(timer) };
}

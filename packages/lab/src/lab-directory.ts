import { readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const prefix = 'lockkeeper-lab-';
const owner = new RegExp(`^${prefix}(\\d+)-`);

/** What the directory of a lab of this process begins with: its owner can be told when nobody can ask it any more. */
export const labDirectoryPrefix = () => `${prefix}${process.pid}-`;

/**
 * Takes away the directories of labs whose process was killed. The hosts of such a lab clear away what was theirs, so
 * only empty ones are taken; one whose number another process has by now waits for a later lab.
 */
export function sweepLabDirectories(parent: string): void {
  for (const name of readdirSync(parent)) {
    const [, pid] = owner.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      rmdirSync(join(parent, name));
    } catch {
      // Not empty, another user's, or swept by a lab that opens at this moment.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

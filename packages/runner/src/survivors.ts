import { readdirSync, readFileSync } from 'node:fs';

export interface TrackedProcess {
  pid: number;
  /** The command line, arguments separated by spaces. */
  command: string;
  /** The environment it was started with, as NAME=value lines. */
  environment: string;
}

/**
 * Finds running processes that carry `RUNNER_TRACKING_ID=<id>` in their environment: what a job has started,
 * children of children too. One that scrubbed its environment escapes, as it escapes the runner.
 * Linux only; elsewhere nothing is found.
 */
export function trackedProcesses(trackingId: string): TrackedProcess[] {
  const wanted = `RUNNER_TRACKING_ID=${trackingId}`;
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch {
    return [];
  }
  const found: TrackedProcess[] = [];
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const variables = readFileSync(`/proc/${entry}/environ`, 'utf8').split('\0');
      if (!variables.includes(wanted)) continue;
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').join(' ').trim();
      found.push({ pid: Number(entry), command, environment: variables.join('\n') });
    } catch {
      // Gone in the meantime, or another user's: not ours.
    }
  }
  return found;
}

/** Sends SIGKILL; a process that is already gone is no error. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

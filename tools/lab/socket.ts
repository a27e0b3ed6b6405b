import { lstatSync, mkdirSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LabFacts, LabState } from './facts.ts';

/** A mistake of who typed the command: one line, exit status 2. */
export class UsageError extends Error {}

/**
 * Where the lab of this user, or of this job, keeps its socket and its log: readable by nobody else, because
 * whoever reads the socket reads the secrets.
 */
export function labDirectory(env: Record<string, string | undefined> = process.env): string {
  const user = process.getuid?.() ?? 0;
  const directory = join(env.RUNNER_TEMP || tmpdir(), `lockkeeper-lab-${user}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(directory);
  if (uid !== user || (mode & 0o77) !== 0)
    throw new UsageError(
      `${directory} can be read by others; expected mode 0700 and you as its owner. Next: rm -r ${directory}`,
    );
  return directory;
}

export const socketOf = (directory: string) => join(directory, 'socket');

/** The lab that is open here, asked over its socket. */
export interface OpenLab {
  facts(): Promise<LabFacts>;
  state(): Promise<LabState>;
  /** Answers the digest. */
  push(version: string, sick?: string): Promise<string>;
  /** Resolves when everything of the lab is down; answers the id of the process that held it. */
  close(): Promise<number>;
}

/** Throws UsageError when no lab is open. */
export function openLabAt(directory: string): OpenLab {
  const socket = socketOf(directory);
  const ask = <T>(method: string, path: string, body?: object) => exchange<T>(socket, method, path, body);
  return {
    facts: () => ask('GET', '/facts'),
    state: () => ask('GET', '/state'),
    push: async (version, sick) => (await ask<{ digest: string }>('POST', '/push', { version, sick })).digest,
    close: async () => {
      const { pid } = await ask<{ pid: number }>('POST', '/close');
      await ended(pid, 10_000);
      return pid;
    },
  };
}

/** Everything the process held is down already: one that does not end by itself in time is killed. */
async function ended(pid: number, ms: number): Promise<void> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      process.kill(pid, performance.now() < end ? 0 : 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      throw error;
    }
    if (performance.now() > end) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function exchange<T>(socketPath: string, method: string, path: string, body?: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: 60_000 }, async (response) => {
      try {
        const answer = JSON.parse(Buffer.concat(await response.toArray()).toString()) as T & {
          error?: string;
        };
        if (response.statusCode === 200) resolve(answer);
        else reject(new Error(answer.error));
      } catch (error) {
        reject(error);
      }
    });
    call.on('timeout', () =>
      call.destroy(new Error(`the lab at ${socketPath} did not answer ${path} in 60 s`)),
    );
    call.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        ['ENOENT', 'ECONNREFUSED'].includes(error.code ?? '')
          ? new UsageError('no lab is open. Next: pnpm lab')
          : error,
      ),
    );
    call.end(body && JSON.stringify(body));
  });
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CommandResult,
  CommandTimedOut,
  ConnectionLost,
  type RunOptions,
  type Shell,
  Unreachable,
} from '@lockkeeper/ssh';

/** Shells that a host may have as `sh`, with the tools that come with it; those that this computer has. */
export const shells = ['sh', ...(existsSync('/bin/busybox') ? ['busybox'] : [])] as const;

/** This computer as a host: scripts run in a real shell, and what they start outlives a connection that is cut. */
export interface LocalHost extends Shell {
  /** Of the project; it has a `.lockkeeper` with a lock of `token`. */
  readonly directory: string;
  readonly token: string;
  /** The connection is cut, and cannot be made again while this is true. */
  away: boolean;
  cut(): void;
  /** Cut when so many bytes of stdout came. */
  cutAfter(bytes: number): void;
  /** The steps that lie in the record now. */
  steps(): string[];
  /** The process that runs its one step, as it recorded itself. */
  runner(): number;
  lock(token: string): void;
  /** A file in the home directory. */
  put(name: string, content: string): void;
  /** A command that the host has. */
  command(name: string, script: string): void;
  /** From now on the host has its own commands alone, and this one not. */
  forget(command: string): void;
  /** Processes whose command line holds a word. */
  running(word: string): number[];
}

export async function localHost(kind: (typeof shells)[number] = 'sh'): Promise<LocalHost> {
  const scratch = await mkdtemp(join(tmpdir(), 'lockkeeper-host-'));
  const directory = join(scratch, 'project');
  const state = join(directory, '.lockkeeper');
  const bin = join(scratch, 'bin');
  mkdirSync(join(state, 'steps'), { recursive: true });
  mkdirSync(bin);
  if (kind === 'busybox') execFileSync('/bin/busybox', ['--install', '-s', bin]);
  const open = new Set<{ child: ChildProcess; lose: () => void }>();
  let elsewhere = `:${process.env.PATH}`;
  let cutAt = Number.POSITIVE_INFINITY;
  let losses = 0;

  const host: LocalHost = {
    name: 'host',
    directory,
    token: 'a1',
    away: false,
    get losses() {
      return losses;
    },
    lock: (token) => writeFileSync(join(state, 'lock'), `${token}\nsomebody\n`),
    forget: (command) => {
      elsewhere = '';
      rmSync(join(bin, command));
    },
    put: (name, content) => writeFileSync(join(scratch, name), content),
    command: (name, script) => writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 }),
    runner: () => Number(readFileSync(join(state, 'steps', host.steps()[0]!, 'run'), 'utf8').split(' ')[0]),
    steps: () => readdirSync(join(state, 'steps')),
    running: (word) =>
      readdirSync('/proc')
        .filter((entry) => /^\d+$/.test(entry))
        .map(Number)
        .filter((pid) => {
          try {
            // A process that ended and was not waited for has no command line.
            return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word) && pid !== process.pid;
          } catch {
            return false;
          }
        }),
    cut: () => {
      losses++;
      for (const { lose } of [...open]) lose();
    },
    cutAfter: (bytes) => {
      cutAt = bytes;
    },
    tunnel: () => Promise.reject(new Error('no tunnel is expected')),
    close: async () => {
      // What a test left running knows the directory in its arguments.
      for (const pid of host.running(scratch))
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has ended by itself.
        }
      await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
    },
    run: (script, options: RunOptions = {}) =>
      new Promise<CommandResult>((resolve, reject) => {
        const { args = [], stdin, stdout: sink, onOutput, timeout, signal } = options;
        if (signal?.aborted) return reject(signal.reason);
        if (host.away) return reject(new Unreachable('host:22 does not answer'));
        const child = spawn('sh', ['-euc', script, 'lockkeeper', ...args], {
          detached: true,
          env: { HOME: scratch, PATH: `${bin}${elsewhere}` },
        });
        const said = { stdout: '', stderr: '' };
        let done = false;
        const finish = (settle: () => void) => {
          if (done) return;
          done = true;
          open.delete(me);
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
          // As sshd does: the command lives on and loses its pipes.
          for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.destroy();
          settle();
        };
        const me = { child, lose: () => finish(() => reject(new ConnectionLost('the connection was lost'))) };
        const abort = () => finish(() => reject(signal?.reason));
        const timer =
          timeout === undefined
            ? undefined
            : setTimeout(() => finish(() => reject(new CommandTimedOut('no end'))), timeout);
        signal?.addEventListener('abort', abort);
        open.add(me);
        child.stdout.on('data', (data: Buffer) => {
          if (done) return;
          const taken = data.subarray(0, Math.min(data.length, cutAt));
          cutAt -= taken.length;
          if (sink) sink.write(taken);
          else said.stdout += taken.toString();
          if (cutAt > 0) return;
          cutAt = Number.POSITIVE_INFINITY;
          host.cut();
        });
        child.stderr.on('data', (data) => {
          if (done) return;
          said.stderr += data;
          onOutput?.(String(data), 'stderr');
        });
        child.stdin.on('error', () => {});
        child.stdin.end(typeof stdin === 'string' ? stdin : '');
        child.on('close', (code) => finish(() => resolve({ code: code ?? 255, ...said })));
      }),
  };
  host.lock(host.token);
  return host;
}

import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

export type StreamName = 'stdout' | 'stderr';

export interface ProcessSpec {
  file: string;
  args: string[];
  cwd: string;
  /** The whole environment of the process. */
  env: Record<string, string>;
  onStart?: (pid: number) => void;
  onLine: (text: string, stream: StreamName) => void;
  /** Aborted when the process is to end: SIGINT, then SIGTERM, then SIGKILL. */
  signal?: AbortSignal;
  /** Aborted when nobody is left to wait: the answer comes at once and no signal is sent. */
  abandon?: AbortSignal;
  ladder?: { interruptMs: number; terminateMs: number };
  pipeGraceMs?: number;
  drain?: 'stderr-first' | 'random';
  random?: () => number;
}

export interface ProcessEnd {
  /** Undefined when a signal ended it, or when it was abandoned. */
  exitCode?: number;
  signal?: NodeJS.Signals;
  /** The ladder was used: the exit code means nothing. */
  cancelled: boolean;
  /** The process is gone, but a child still holds its output open. */
  heldPipes: boolean;
  abandoned: boolean;
}

/** A process that could not be started. */
export class LaunchError extends Error {
  override name = 'LaunchError';
}

/** The runner's own delays (ProcessInvoker.cs), in ms. */
export const runnerLadder = { interruptMs: 7500, terminateMs: 2500 };
export const runnerPipeGraceMs = 5000;

/**
 * Splits a stream of text into lines on `\n`, `\r` or `\r\n`, as .NET's ReadLine does: a `\r` at the end of
 * what has come so far waits for the next character. What has no line end comes at the end.
 */
export class LineSplitter {
  #rest = '';

  push(text: string): string[] {
    const all = this.#rest + text;
    const lines: string[] = [];
    let start = 0;
    for (let at = 0; at < all.length; at++) {
      const character = all[at];
      if (character !== '\n' && character !== '\r') continue;
      if (character === '\r' && at + 1 === all.length) break;
      lines.push(all.slice(start, at));
      if (character === '\r' && all[at + 1] === '\n') at++;
      start = at + 1;
    }
    this.#rest = all.slice(start);
    return lines;
  }

  end(): string[] {
    const rest = this.#rest;
    this.#rest = '';
    if (rest === '') return [];
    return [rest.endsWith('\r') ? rest.slice(0, -1) : rest];
  }
}

/** How long lines of both streams gather before they are shown, in ms: long enough to be read out of order. */
const gatherMs = 2;

/** Shows the lines of two streams in the order in which the runner drains them: stderr first, or by chance. */
class Drain {
  readonly #queues: Record<StreamName, string[]> = { stderr: [], stdout: [] };
  readonly #show: (text: string, stream: StreamName) => void;
  readonly #pick: () => StreamName;
  #timer: NodeJS.Timeout | undefined;

  constructor(spec: ProcessSpec) {
    this.#show = spec.onLine;
    const random = spec.random ?? Math.random;
    this.#pick = () => (spec.drain === 'random' && random() < 0.5 ? 'stdout' : 'stderr');
  }

  add(stream: StreamName, lines: string[]): void {
    for (const line of lines) this.#queues[stream].push(line);
    if (lines.length > 0) this.#timer ??= setTimeout(() => this.flush(), gatherMs);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const next: Record<StreamName, number> = { stderr: 0, stdout: 0 };
    for (;;) {
      const picked = this.#pick();
      const other = picked === 'stderr' ? 'stdout' : 'stderr';
      const stream = next[picked] < this.#queues[picked].length ? picked : other;
      const line = this.#queues[stream][next[stream]];
      if (line === undefined) break;
      next[stream]++;
      this.#show(line, stream);
    }
    this.#queues.stderr = [];
    this.#queues.stdout = [];
  }
}

function launchReason(error: NodeJS.ErrnoException): string {
  if (error.code === 'E2BIG') return 'Argument list too long';
  if (error.code === 'ENOENT') return 'No such file or directory';
  if (error.code === 'EACCES') return 'Permission denied';
  return error.message;
}

/**
 * Runs a process as the runner does: stdin closed, two pipes, no terminal, the environment exactly as given.
 * Cancelling signals this one process only, never its children; a child that keeps the pipes open delays the
 * end by `pipeGraceMs` and lives on.
 * @throws LaunchError when the process cannot be started.
 */
export function runProcess(spec: ProcessSpec): Promise<ProcessEnd> {
  const { interruptMs, terminateMs } = spec.ladder ?? runnerLadder;
  const graceMs = spec.pipeGraceMs ?? runnerPipeGraceMs;
  return new Promise((resolve, reject) => {
    const refuse = (error: unknown) =>
      reject(
        new LaunchError(
          `An error occurred trying to start process '${spec.file}' with working directory '${spec.cwd}'. ${launchReason(error as NodeJS.ErrnoException)}`,
          { cause: error },
        ),
      );
    let child: ReturnType<typeof spawn>;
    try {
      child = spawn(spec.file, spec.args, {
        cwd: spec.cwd,
        env: spec.env,
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: false,
      });
    } catch (error) {
      refuse(error);
      return;
    }
    const drain = new Drain(spec);
    const timers = new Set<NodeJS.Timeout>();
    const after = (ms: number, perform: () => void) => timers.add(setTimeout(perform, ms));
    let cancelled = false;
    let open = 2;
    let gone: { code: number | null; signal: NodeJS.Signals | null } | undefined;
    let settled = false;

    const settle = (end: Partial<ProcessEnd>) => {
      if (settled) return;
      settled = true;
      for (const timer of timers) clearTimeout(timer);
      spec.signal?.removeEventListener('abort', climbDown);
      spec.abandon?.removeEventListener('abort', abandon);
      child.stdout?.destroy();
      child.stderr?.destroy();
      drain.flush();
      const result: ProcessEnd = { cancelled, heldPipes: false, abandoned: false, ...end };
      if (gone?.code !== null && gone?.code !== undefined) result.exitCode = gone.code;
      if (gone?.signal) result.signal = gone.signal;
      resolve(result);
    };
    const climbDown = () => {
      if (settled) return;
      cancelled = true;
      child.kill('SIGINT');
      after(interruptMs, () => {
        child.kill('SIGTERM');
        after(terminateMs, () => child.kill('SIGKILL'));
      });
    };
    const abandon = () => {
      child.unref();
      settle({ abandoned: true });
    };
    const read = (stream: Readable, name: StreamName) => {
      const decoder = new StringDecoder('utf8');
      const splitter = new LineSplitter();
      stream.on('data', (chunk: Buffer) => drain.add(name, splitter.push(decoder.write(chunk))));
      stream.on('error', () => stream.destroy());
      stream.on('close', () => {
        if (settled) return;
        drain.add(name, [...splitter.push(decoder.end()), ...splitter.end()]);
        open--;
        if (open === 0 && gone) settle({});
      });
    };

    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      settled = true;
      refuse(error);
    });
    if (child.pid === undefined) return;
    // The kernel is to take the step before the runner when memory is short; not every system has this file.
    writeFile(`/proc/${child.pid}/oom_score_adj`, '500').catch(() => undefined);
    read(child.stderr!, 'stderr');
    read(child.stdout!, 'stdout');
    child.stdin!.on('error', () => undefined);
    child.stdin!.end();
    child.on('exit', (code, signal) => {
      if (settled) return;
      gone = { code, signal };
      if (open === 0) settle({});
      else after(graceMs, () => settle({ heldPipes: true }));
    });
    spec.onStart?.(child.pid);
    if (spec.signal?.aborted) climbDown();
    else spec.signal?.addEventListener('abort', climbDown);
    if (spec.abandon?.aborted) abandon();
    else spec.abandon?.addEventListener('abort', abandon);
  });
}

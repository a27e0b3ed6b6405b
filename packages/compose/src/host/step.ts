import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { type Log, messageOf, UserError } from '@lockkeeper/action';
import { CommandTimedOut, type RunOptions } from '@lockkeeper/ssh';
import { type Clock, Deadline } from '@lockkeeper/wait';
import { lastLine } from './answer.ts';
import { isOutage, type SteadyShell } from './steady-shell.ts';
import * as scripts from './step-scripts.ts';

/** How a step ended. */
export type StepEnd =
  | { how: 'ended'; code: number }
  /** Its process is gone and left no exit code: it was killed, or the host restarted. */
  | { how: 'gone'; restarted: boolean }
  /** It was never run: the lock is another run's. */
  | { how: 'fenced' }
  /** Its time was up, or the connection that carried its output is lost; whether it could be stopped. */
  | { how: 'overdue' | 'cut'; stopped: boolean }
  /** The host cannot be asked any more. */
  | { how: 'unknown'; why: UserError };

export interface StepCommand {
  /** Constant POSIX sh, as for `Shell.run`; it reads nothing. */
  script: string;
  args: readonly string[];
  /** Milliseconds until it is stopped. */
  timeout: number;
  onOutput: (text: string) => void;
}

interface StepSettings {
  /** The project's. */
  directory: string;
  lockToken: string;
  clock: Clock;
  log: Log;
  signal?: AbortSignal;
}

/** Tenths of a second between the request to end and the end by force: a cancelled action has 7 s for everything. */
const grace = 30;
const stopTimeout = 6_000;
/** What follows a step may be killed on the host; so often that is no accident. */
const mostAttempts = 5;
/** Of the step's own time, until a later run may end it: its own run does so before. */
const slack = 60;

/**
 * Commands that change a host, one after another. Each is started once and goes on when the connection is lost; its
 * output is then taken up where it stopped. Ending the run, or its time, ends it.
 */
export class Steps {
  readonly #shell: SteadyShell;
  readonly #settings: StepSettings;
  /** Main and post have the same token: their steps must not be taken for one another. */
  readonly #prefix: string;
  #count = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** A step whose end was never heard of. */
  #unended: string | undefined;

  constructor(shell: SteadyShell, settings: StepSettings) {
    this.#shell = shell;
    this.#settings = settings;
    this.#prefix = `${settings.lockToken}.${randomBytes(4).toString('hex')}`;
  }

  /** Throws the signal's reason when the run is cancelled, UserError when the step cannot be started. */
  run(command: StepCommand): Promise<StepEnd> {
    return this.#inTurn(command, (id, deadline) => this.#follow(id, command, deadline));
  }

  /**
   * A step whose stdout goes into a stream and nowhere else: it lasts as long as the connection. stderr goes to
   * `onOutput`. An error of the stream ends it and is thrown.
   */
  pipe(command: StepCommand, stdout: Writable): Promise<StepEnd> {
    return this.#inTurn(command, async (id, deadline) => {
      try {
        const { code } = await this.#ask(scripts.attachStep, [id, scripts.runner], command, {
          timeout: deadline.remaining(),
          stdout,
          onOutput: command.onOutput,
        });
        return { how: 'ended', code };
      } catch (error) {
        const away = await this.#outage(error);
        return away ?? { how: 'cut', stopped: await this.#stop(id) };
      }
    });
  }

  #inTurn(
    command: StepCommand,
    work: (id: string, deadline: Deadline) => Promise<StepEnd>,
  ): Promise<StepEnd> {
    const turn = this.#turn.then(() => this.#begin(command, work));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #begin(
    { timeout }: StepCommand,
    work: (id: string, deadline: Deadline) => Promise<StepEnd>,
  ): Promise<StepEnd> {
    const { clock, signal } = this.#settings;
    signal?.throwIfAborted();
    if (this.#unended && !(await this.#stop(this.#unended)))
      throw new UserError(`${this.#shell.name}: an earlier command of this run cannot be stopped`);
    const id = `${this.#prefix}.${++this.#count}`;
    this.#unended = id;
    try {
      const end = await work(id, new Deadline(clock, timeout));
      if (end.how === 'ended' || end.how === 'fenced') this.#unended = undefined;
      // What waited for a container may be gone, and the container not.
      if (end.how === 'gone') await this.#stop(id);
      return end;
    } catch (error) {
      const started = signal?.aborted || !(error instanceof UserError);
      const stopped = started && (await this.#stop(id));
      if (signal?.aborted) throw signal.reason;
      if (error instanceof CommandTimedOut) return { how: 'overdue', stopped };
      throw error;
    }
  }

  async #follow(id: string, command: StepCommand, deadline: Deadline): Promise<StepEnd> {
    const output = new Output(command.onOutput);
    for (let attempt = 1; ; attempt++) {
      // It may have ended while the host was away: that much time there is.
      const timeout = attempt === 1 ? deadline.remaining() : Math.max(deadline.remaining(), 5_000);
      try {
        const { code, stderr } = await this.#ask(
          scripts.followStep,
          [id, String(output.bytes), scripts.runner],
          command,
          { timeout, stdout: output },
        );
        const end = parseEnd(stderr);
        if (end) return end;
        // Only what followed it was killed.
        if (code > 128 && attempt < mostAttempts) continue;
        throw new UserError(`${this.#shell.name} cannot run a command: ${lastLine(stderr)}`);
      } catch (error) {
        const away = await this.#outage(error);
        if (away) return away;
      }
    }
  }

  /** Waits for the host to be there again; the end of the step when it stays away. Throws what is no outage. */
  async #outage(error: unknown): Promise<StepEnd | undefined> {
    const { signal } = this.#settings;
    if (!isOutage(error)) throw error;
    try {
      await this.#shell.reconnect(signal);
      return undefined;
    } catch (cause) {
      if (signal?.aborted || !(cause instanceof UserError)) throw cause;
      return { how: 'unknown', why: cause };
    }
  }

  #ask(
    script: string,
    ids: readonly string[],
    { args, script: own, timeout }: StepCommand,
    options: RunOptions,
  ) {
    const { directory, lockToken, signal } = this.#settings;
    const limit = Math.ceil(timeout / 1000) + slack;
    return this.#shell.raw.run(script, {
      ...options,
      args: [directory, lockToken, ...ids, String(limit), own, ...args],
      signal,
    });
  }

  /** Whether nothing of the step lives any more. */
  async #stop(id: string): Promise<boolean> {
    const { directory, log } = this.#settings;
    try {
      const { stdout } = await this.#shell.raw.run(scripts.stopStep, {
        args: [directory, id, String(grace)],
        timeout: stopTimeout,
      });
      if (stdout.includes('alive')) return false;
      this.#unended = undefined;
      return true;
    } catch (error) {
      log.warning(
        `${this.#shell.name}: a command may still run there, it could not be stopped: ${messageOf(error)}`,
      );
      return false;
    }
  }
}

/** What `followStep` told on stderr; undefined when it did not get that far. Pure. */
export function parseEnd(stderr: string): StepEnd | undefined {
  const told = stderr.trimEnd().split('\n').at(-1) ?? '';
  const [, code] = /^ended (\d+)$/.exec(told) ?? [];
  if (code !== undefined) return { how: 'ended', code: Number(code) };
  if (told === 'ended fenced') return { how: 'fenced' };
  if (told === 'gone' || told === 'restarted') return { how: 'gone', restarted: told === 'restarted' };
  return undefined;
}

/** Counts what came, also when a connection ended in the middle of a character. */
class Output extends Writable {
  bytes = 0;
  readonly #decoder = new StringDecoder('utf8');
  readonly #onText: (text: string) => void;

  constructor(onText: (text: string) => void) {
    super();
    this.#onText = onText;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.bytes += chunk.length;
    this.#onText(this.#decoder.write(chunk));
    callback();
  }
}

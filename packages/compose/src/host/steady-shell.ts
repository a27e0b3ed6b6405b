import { type Duplex, Readable } from 'node:stream';
import { type Log, messageOf, UserError } from '@lockkeeper/action';
import {
  type CommandResult,
  CommandTimedOut,
  ConnectionLost,
  type RunOptions,
  type Shell,
  Unreachable,
} from '@lockkeeper/ssh';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';

interface Patience {
  /** Milliseconds that a lost connection may stay away. */
  within: number;
  clock: Clock;
  log: Log;
}

const pause = 1_000;

/**
 * A shell for scripts that may run twice without harm: one that a lost connection cut off runs again. What must run
 * once is a step.
 */
export class SteadyShell implements Shell {
  /** Where a lost connection is an error. */
  readonly raw: Shell;
  readonly #patience: Patience;
  #reconnecting: Promise<void> | undefined;

  constructor(raw: Shell, patience: Patience) {
    this.raw = raw;
    this.#patience = patience;
  }

  get name(): string {
    return this.raw.name;
  }

  get login(): string | undefined {
    return this.raw.login;
  }

  get losses(): number {
    return this.raw.losses;
  }

  async run(script: string, options: RunOptions = {}): Promise<CommandResult> {
    const { within, clock } = this.#patience;
    const repeatable = !options.stdout && !(options.stdin instanceof Readable);
    let deadline: Deadline | undefined;
    for (;;) {
      try {
        return await this.raw.run(script, options);
      } catch (error) {
        if (!isOutage(error) || !repeatable || deadline?.passed()) throw forUsers(this, error);
        deadline ??= new Deadline(clock, within);
        await this.reconnect(options.signal);
      }
    }
  }

  tunnel(host: string, port: number): Promise<Duplex> {
    return this.raw.tunnel(host, port);
  }

  close(): Promise<void> {
    return this.raw.close();
  }

  /** Waits until the host answers again; all that wait share it. Throws UserError when it stays away too long. */
  async reconnect(signal?: AbortSignal): Promise<void> {
    this.#reconnecting ??= this.#reconnect().finally(() => {
      this.#reconnecting = undefined;
    });
    await unlessAborted(this.#reconnecting, signal);
  }

  async #reconnect(): Promise<void> {
    const { within, clock, log } = this.#patience;
    const deadline = new Deadline(clock, within);
    log.info(`${this.name}: the connection was lost; connecting again`);
    for (;;) {
      try {
        await this.raw.run(':', { timeout: Math.max(pause, deadline.remaining()) });
        log.info(`${this.name}: connected again after ${formatDuration(deadline.elapsed())}`);
        return;
      } catch (error) {
        if (!isOutage(error) && !(error instanceof CommandTimedOut)) throw error;
        if (deadline.remaining() <= pause)
          throw new UserError(
            `the connection to ${this.name} was lost and did not come back within ${formatDuration(within)} (${messageOf(error)})`,
            { next: this.login },
          );
        await clock.sleep(pause);
      }
    }
  }
}

/** Whether the cause may pass by itself: the host may be there again in a moment. */
export function isOutage(error: unknown): error is ConnectionLost | Unreachable {
  return error instanceof ConnectionLost || error instanceof Unreachable;
}

/** A lost connection and a script without end are the world's doing, not a fault of ours. */
function forUsers(shell: Shell, error: unknown): unknown {
  if (!(error instanceof ConnectionLost) && !(error instanceof CommandTimedOut)) return error;
  return new UserError(messageOf(error), { next: shell.login, cause: error });
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

import type { Duplex, Readable, Writable } from 'node:stream';

export interface RunOptions {
  /** Positional arguments of the script: `$1`, `$2`, … Quoted, so they are data; visible to `ps` on the host: no secrets. */
  args?: readonly string[];
  /**
   * What the script reads: the only way for a secret to travel. A stream is read as fast as the host takes it, and
   * destroyed at the end of the command, whether that read all of it or not; when it fails, so does the command.
   */
  stdin?: string | Buffer | Readable;
  /**
   * Takes stdout byte for byte instead of `onOutput` and the result; the host is asked for more only as fast as it
   * drains. It is not ended; when it fails, the command is given up with its error.
   */
  stdout?: Writable;
  /** Called with each piece of output as it comes. */
  onOutput?: (text: string, stream: 'stdout' | 'stderr') => void;
  /**
   * Milliseconds until the command is given up with `CommandTimedOut`, connecting anew included; without it the
   * connection's keepalive is the only limit.
   */
  timeout?: number;
  signal?: AbortSignal;
}

export interface CommandResult {
  code: number;
  /** The last `keptOutput` characters at most; '' where a stream took them. */
  stdout: string;
  stderr: string;
}

/** A place where scripts run: a host over SSH, or a stand-in of it in a test. */
export interface Shell {
  /** For messages and as the prefix of log lines, such as `10.0.0.5`. */
  readonly name: string;
  /** How a person reaches it: `ssh deploy@10.0.0.5`. */
  readonly login?: string;
  /** How many connections were lost so far: one more says that what was under way was cut off. */
  readonly losses: number;
  /**
   * Runs a constant POSIX `sh` script under `set -eu`. A non-zero exit is an answer, not an error.
   * Throws `ConnectionLost` when no exit code came, `CommandTimedOut` after `timeout`, the signal's reason when aborted,
   * `Unreachable` or another UserError when the host cannot be connected to.
   */
  run(script: string, options?: RunOptions): Promise<CommandResult>;
  /** A TCP connection that starts on the host (SSH's direct-tcpip). Throws when the host cannot connect. */
  tunnel(host: string, port: number): Promise<Duplex>;
  close(): Promise<void>;
}

/** How much of each output stream is kept: enough for `docker inspect` of a hundred containers. */
export const keptOutput = 8 * 1024 * 1024;

/** The SSH connection ended before the command's exit code came: nobody knows what became of the command. */
export class ConnectionLost extends Error {
  override name = 'ConnectionLost';
}

/** The command did not end in time; on the host it may still run. */
export class CommandTimedOut extends Error {
  override name = 'CommandTimedOut';
}

/** One word of a shell command line, whatever it contains. */
export function quoted(word: string): string {
  if (word.includes('\0')) throw new TypeError('a NUL character cannot be an argument of a command');
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The command line that runs a constant script with arguments, for whatever login shell the user has. */
export function commandLine(script: string, args: readonly string[] = []): string {
  return ['sh', '-euc', quoted(script), 'lockkeeper', ...args.map(quoted)].join(' ');
}

/** Keeps the end of a growing text within `limit` characters. */
export class Tail {
  #text = '';
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(text: string): void {
    this.#text += text;
    // Cut now and then, not at each piece: cutting copies.
    if (this.#text.length > this.#limit * 2) this.#text = this.#text.slice(-this.#limit);
  }

  toString(): string {
    return this.#text.length > this.#limit ? this.#text.slice(-this.#limit) : this.#text;
  }
}

import type { Duplex } from 'node:stream';
import limited from 'p-limit';
import { execute } from './command.ts';
import { type DialContext, dial, type Session } from './dial.ts';
import { loginCommand } from './login.ts';
import { type CommandResult, ConnectionLost, type RunOptions, type Shell } from './shell.ts';
import type { SshTarget } from './target.ts';

/** Commands at the same time; sshd refuses a channel beyond its MaxSessions, 10 unless configured. */
const atOnce = 8;

/**
 * One verified connection to a host. When it is lost, the command under way throws `ConnectionLost` and the
 * next one connects anew, with the same proof of the host key. Throws UserError when it cannot connect.
 */
export async function connect(target: SshTarget, context: DialContext): Promise<Shell> {
  const shell = new SshShell(target, context);
  await shell.open();
  return shell;
}

class SshShell implements Shell {
  readonly name: string;
  readonly login: string;
  losses = 0;
  readonly #target: SshTarget;
  #context: DialContext;
  #session: Promise<Session> | undefined;
  #closed = false;
  readonly #channels = limited(atOnce);

  constructor(target: SshTarget, context: DialContext) {
    this.name = target.host;
    this.login = loginCommand(target);
    this.#target = target;
    this.#context = context;
  }

  /** The live session, or a new one; those who ask at the same time share it. */
  open(): Promise<Session> {
    if (this.#closed) return Promise.reject(this.#ended());
    if (!this.#session) {
      const session = dial(this.#target, this.#context);
      // A run that is cancelled must still be able to reconnect and go back: the signal ends the first dial only.
      this.#context = { ...this.#context, signal: undefined };
      this.#session = session;
      const forget = () => {
        if (this.#session === session) this.#session = undefined;
      };
      session.then(
        ({ client }) =>
          client.once('close', () => {
            this.losses++;
            forget();
          }),
        forget,
      );
    }
    return this.#session;
  }

  run(script: string, options: RunOptions = {}): Promise<CommandResult> {
    const client = () => this.open().then((session) => session.client);
    return this.#channels(() => execute(client, this.name, script, options)).catch((error: unknown) => {
      // Not an outage: whoever waits for the host to come back would wait on a connection that nobody ends.
      throw this.#closed && error instanceof ConnectionLost ? this.#ended(error) : error;
    });
  }

  async tunnel(host: string, port: number): Promise<Duplex> {
    const { client } = await this.open();
    return new Promise((resolve, reject) =>
      client.forwardOut('127.0.0.1', 0, host, port, (error, channel) =>
        error ? reject(error) : resolve(channel),
      ),
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    const session = await this.#session?.catch(() => undefined);
    if (!session) return;
    const closed = new Promise<void>((resolve) => session.client.once('close', () => resolve()));
    session.end();
    // A host that went silent never confirms the end.
    const timer = setTimeout(() => session.client.destroy(), 2_000);
    await closed;
    clearTimeout(timer);
  }

  #ended(cause?: unknown): Error {
    return new Error(`this run has ended its connection to ${this.name}`, { cause });
  }
}

import { type Duplex, Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type ssh2 from 'ssh2';
import { type DialContext, dial, type Session } from './dial.ts';
import { loginCommand } from './login.ts';
import {
  type CommandResult,
  CommandTimedOut,
  ConnectionLost,
  commandLine,
  keptOutput,
  type RunOptions,
  type Shell,
  Tail,
} from './shell.ts';
import type { SshTarget } from './target.ts';

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
  readonly #target: SshTarget;
  #context: DialContext;
  #session: Promise<Session> | undefined;

  constructor(target: SshTarget, context: DialContext) {
    this.name = target.host;
    this.login = loginCommand(target);
    this.#target = target;
    this.#context = context;
  }

  /** The live session, or a new one; those who ask at the same time share it. */
  open(): Promise<Session> {
    if (!this.#session) {
      const session = dial(this.#target, this.#context);
      // A run that is cancelled must still be able to reconnect and go back: the signal ends the first dial only.
      this.#context = { ...this.#context, signal: undefined };
      this.#session = session;
      const forget = () => {
        if (this.#session === session) this.#session = undefined;
      };
      session.then(({ client }) => client.once('close', forget), forget);
    }
    return this.#session;
  }

  async run(script: string, options: RunOptions = {}): Promise<CommandResult> {
    options.signal?.throwIfAborted();
    const { client } = await this.open();
    return execute(client, this.name, script, options);
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
    const session = await this.#session?.catch(() => undefined);
    if (!session) return;
    const closed = new Promise<void>((resolve) => session.client.once('close', () => resolve()));
    session.end();
    // A host that went silent never confirms the end.
    const timer = setTimeout(() => session.client.destroy(), 2_000);
    await closed;
    clearTimeout(timer);
  }
}

function execute(
  client: ssh2.Client,
  name: string,
  script: string,
  { args, stdin, onOutput, timeout, signal }: RunOptions,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    let channel: ssh2.ClientChannel | undefined;
    let timer: NodeJS.Timeout | undefined;
    let done = false;
    const finish = (settle: () => void) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      client.removeListener('close', lost);
      settle();
    };
    const giveUp = (error: unknown) =>
      finish(() => {
        // OpenSSH passes the signal on; other servers ignore it, and the command goes on without us.
        channel?.signal('TERM');
        channel?.close();
        reject(error);
      });
    const lost = () =>
      finish(() => reject(new ConnectionLost(`the connection to ${name} was lost during a command`)));
    const cancel = () => giveUp(signal?.reason);
    client.once('close', lost);
    signal?.addEventListener('abort', cancel, { once: true });
    if (timeout !== undefined)
      timer = setTimeout(() => giveUp(new CommandTimedOut(`no end of the command on ${name}`)), timeout);

    const onChannel = (error: Error | undefined, opened: ssh2.ClientChannel) => {
      if (error)
        return finish(() => reject(new ConnectionLost(`${name} opened no channel: ${error.message}`)));
      channel = opened;
      if (done) return opened.close();
      const kept = { stdout: new Tail(keptOutput), stderr: new Tail(keptOutput) };
      let exit: number | undefined;
      const take = (stream: 'stdout' | 'stderr') => {
        const decoder = new StringDecoder('utf8');
        return (data: Buffer) => {
          const text = decoder.write(data);
          kept[stream].add(text);
          onOutput?.(text, stream);
        };
      };
      opened.on('data', take('stdout'));
      opened.stderr.on('data', take('stderr'));
      opened.on('exit', (code: number | null, signalName?: string) => {
        exit = code ?? 255;
        if (code === null) kept.stderr.add(`killed by ${signalName}\n`);
      });
      opened.on('close', () => {
        if (exit === undefined) return lost();
        const code = exit;
        finish(() => resolve({ code, stdout: kept.stdout.toString(), stderr: kept.stderr.toString() }));
      });
      // The host may close its end before it has read all: that shows in the exit code.
      opened.on('error', () => {});
      if (stdin instanceof Readable) stdin.pipe(opened);
      else opened.end(stdin ?? '');
    };
    try {
      client.exec(commandLine(script, args), onChannel);
    } catch {
      lost();
    }
  });
}

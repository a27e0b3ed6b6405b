import { finished, Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type ssh2 from 'ssh2';
import {
  type CommandResult,
  CommandTimedOut,
  ConnectionLost,
  commandLine,
  keptOutput,
  type RunOptions,
  Tail,
} from './shell.ts';

/** One command in a channel of its own; connecting counts towards its time. Settles as `Shell.run` says. */
export function execute(
  connect: () => Promise<ssh2.Client>,
  name: string,
  script: string,
  { args, stdin, stdout, onOutput, timeout, signal }: RunOptions,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const source = stdin instanceof Readable ? stdin : undefined;
    let client: ssh2.Client | undefined;
    let channel: ssh2.ClientChannel | undefined;
    let timer: NodeJS.Timeout | undefined;
    let done = false;
    const finish = (settle: () => void) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      client?.removeListener('close', lost);
      unwatch();
      stdout?.removeListener('drain', flow);
      // Whoever fills it learns that nobody reads it any more.
      source?.destroy();
      settle();
    };
    const giveUp = (error: unknown) =>
      finish(() => {
        // It reaches a command that may still read; of others only the output is cut off.
        channel?.signal('TERM');
        channel?.close();
        reject(error);
      });
    const lost = () =>
      finish(() => reject(new ConnectionLost(`the connection to ${name} was lost during a command`)));
    const cancel = () => giveUp(signal?.reason);
    // The two streams share one window: what is held back holds back both, and nothing piles up here.
    const hold = () => {
      channel?.pause();
      channel?.stderr.pause();
    };
    const flow = () => {
      channel?.stderr.resume();
      channel?.resume();
    };
    // Half an input must not pass for a whole one: the command is stopped, not told that this was the end.
    if (source) finished(source, { writable: false }, (error) => error && giveUp(error));
    const unwatch = stdout
      ? finished(stdout, { readable: false }, (error) => error && giveUp(error))
      : () => {};
    stdout?.on('drain', flow);
    signal?.addEventListener('abort', cancel, { once: true });
    if (timeout !== undefined)
      timer = setTimeout(
        () => giveUp(new CommandTimedOut(`no end of the command on ${name}`)),
        Math.min(timeout, longestTimer),
      );

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
          if (done) return;
          const text = decoder.write(data);
          kept[stream].add(text);
          onOutput?.(text, stream);
        };
      };
      const pass = (to: NonNullable<typeof stdout>) => (data: Buffer) => {
        if (!done && !to.write(data)) hold();
      };
      opened.on('data', stdout ? pass(stdout) : take('stdout'));
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
      if (source) source.pipe(opened);
      else opened.end(stdin ?? '');
    };
    if (signal?.aborted) return cancel();
    connect().then(
      (connected) => {
        if (done) return;
        client = connected;
        client.once('close', lost);
        try {
          client.exec(commandLine(script, args), onChannel);
        } catch {
          lost();
        }
      },
      (error) => finish(() => reject(error)),
    );
  });
}

/** Node takes no longer one: 24.8 days. */
const longestTimer = 2 ** 31 - 1;

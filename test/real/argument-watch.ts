import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { leaksIn } from '@lockkeeper/runner';
import { allProcesses } from './network/processes.ts';

export interface Found {
  samples: number;
  /** Commands that held a secret: which of them (its place in the list), and the program. */
  found: string[];
}

/** Looks at the arguments of every process of the machine, hosts and containers included, all the time. */
export class ArgumentWatch {
  readonly #child: ChildProcess;
  readonly #answer: Promise<Found>;

  private constructor(child: ChildProcess, answer: Promise<Found>) {
    this.#child = child;
    this.#answer = answer;
  }

  /** In a process of its own, which does nothing else; the secrets travel by stdin. */
  static async begin(secrets: readonly string[]): Promise<ArgumentWatch> {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('argument-watch.ts', import.meta.url))],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    const first = new Promise<void>((resolve) => child.once('message', () => resolve()));
    child.send(secrets);
    await first;
    const answer = new Promise<Found>((resolve, reject) => {
      child.once('message', (found) => resolve(found as Found));
      child.once('exit', (code) => reject(new Error(`the watch ended with ${code}`)));
    });
    return new ArgumentWatch(child, answer);
  }

  async end(): Promise<Found> {
    this.#child.send('end');
    return this.#answer;
  }
}

function watch(secrets: readonly string[]): void {
  const found = new Set<string>();
  const known = new Set<string>();
  let samples = 0;
  const look = () => {
    samples++;
    for (const { argv, command } of allProcesses()) {
      if (known.has(command)) continue;
      known.add(command);
      for (const { canary } of leaksIn('', command, secrets)) found.add(`secret ${canary} in ${argv[0]}`);
    }
  };
  look();
  process.send!('watching');
  const timer = setInterval(look, 5);
  process.once('disconnect', () => process.exit());
  process.once('message', () => {
    clearInterval(timer);
    process.send!({ samples, found: [...found] }, () => process.exit());
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.once('message', (secrets) => watch(secrets as string[]));

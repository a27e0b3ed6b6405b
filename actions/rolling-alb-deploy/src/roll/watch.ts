import { AwsCallError, type TargetHealth } from '@lockkeeper/aws';
import { backoff, type Deadline } from '@lockkeeper/wait';
import { keyOf } from '../plan/capacity.ts';
import type { RollContext } from './roll-context.ts';

/** Health by group and place. */
export type Look = Map<string, Map<string, TargetHealth>>;

/** Sees the target groups, and waits without missing a cancel. */
export class Watch {
  readonly #context: RollContext;
  readonly #said = new Map<string, string>();

  constructor(context: RollContext) {
    this.#context = context;
  }

  /** One look after another, 1 s apart at first and backing off to 5 s, until the deadline; always at least one. */
  async *looks(deadline: Deadline): AsyncGenerator<Look> {
    const { clock, signal } = this.#context;
    const interval = backoff({ first: 1_000, max: 5_000, factor: 1.3 });
    for (let attempt = 0; ; attempt++) {
      const look = await this.look();
      if (look) yield look;
      if (deadline.passed()) return;
      await clock.sleep(Math.min(interval(attempt), Math.max(1, deadline.remaining())), signal);
    }
  }

  /** One describe a group, for all its targets. Undefined when AWS gave no answer this time; a refusal is thrown. */
  async look(): Promise<Look | undefined> {
    const { groups, gate, log } = this.#context;
    try {
      const entries = await this.abortable(
        Promise.all(
          [...groups.keys()].map(async (arn) => {
            const health = await gate.health(arn);
            return [arn, new Map(health.map((target) => [keyOf(target), target]))] as const;
          }),
        ),
      );
      this.#said.delete('look');
      return new Map(entries);
    } catch (error) {
      if (!(error instanceof AwsCallError) || error.kind !== 'unsure') throw error;
      this.say('look', `${error.message}; asking again`, (line) => log.info(line));
      return undefined;
    }
  }

  /** Runs a call that changes membership. False: nobody knows whether it happened, so look before doing it again. */
  async change(call: () => Promise<void>): Promise<boolean> {
    try {
      await this.abortable(call());
      return true;
    } catch (error) {
      if (!(error instanceof AwsCallError) || error.kind !== 'unsure') throw error;
      this.#context.log.info(`${error.message}; looking at what became of it`);
      return false;
    }
  }

  /** The end of the work, or of the run's signal, whichever comes first. */
  async abortable<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    let stop = () => {};
    const aborted = new Promise<never>((_resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      signal.removeEventListener('abort', stop);
      // What lost the race may still fail; nobody waits for it any more.
      work.catch(() => {});
    }
  }

  /** Speaks on change only. */
  say(about: string, text: string, speak: (line: string) => void): void {
    if (this.#said.get(about) === text) return;
    this.#said.set(about, text);
    speak(text);
  }
}

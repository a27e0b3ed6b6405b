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

  /** One look after another, as `answers` has it. */
  async *looks(deadline: Deadline): AsyncGenerator<Look> {
    yield* this.answers(deadline, () => this.#lookAtGroups());
  }

  /** Asks again and again, 1 s apart at first and backing off to 5 s, until the deadline; always at least once. */
  async *answers<T>(deadline: Deadline, ask: () => Promise<T>): AsyncGenerator<T> {
    const { clock, signal } = this.#context;
    const interval = backoff({ first: 1_000, max: 5_000, factor: 1.3 });
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#answer(ask);
      if (answer !== undefined) yield answer;
      if (deadline.passed()) return;
      await clock.sleep(Math.min(interval(attempt), Math.max(1, deadline.remaining())), signal);
    }
  }

  /** One describe a group, for all its targets. Undefined when AWS gave no answer this time; a refusal is thrown. */
  look(): Promise<Look | undefined> {
    return this.#answer(() => this.#lookAtGroups());
  }

  async #lookAtGroups(): Promise<Look> {
    const { groups, gate } = this.#context;
    const entries = await Promise.all(
      [...groups.keys()].map(async (arn) => {
        const health = await gate.health(arn);
        return [arn, new Map(health.map((target) => [keyOf(target), target]))] as const;
      }),
    );
    return new Map(entries);
  }

  async #answer<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      const answer = await this.abortable(ask());
      this.#said.delete('answer');
      return answer;
    } catch (error) {
      if (!(error instanceof AwsCallError) || error.kind !== 'unsure') throw error;
      this.say('answer', `${error.message}; asking again`, (line) => this.#context.log.info(line));
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

import type { SecurityGroups } from '@lockkeeper/aws';
import type { Clock } from '@lockkeeper/wait';
import type { StepOutside } from '../src/ingress.ts';

/** How a process dies at one of its calls: before it is sent, with it on its way, or before its answer is heard. */
export interface Death {
  at: number;
  how: 'before' | 'on its way' | 'after';
  name?: string;
}

const forEver = () => new Promise<never>(() => {});

/**
 * The life of a process that can be killed at any call or writing of its state. From then on nothing of it is done
 * or heard any more, as after kill -9.
 */
export class Fate {
  /** The calls and writings so far, by their names. */
  readonly points: string[] = [];
  readonly died: Promise<'killed'>;
  /** Hears of every point, before it. */
  onPoint: (at: number) => unknown = () => {};
  readonly #death: Death | undefined;
  #onItsWay: (() => Promise<unknown>) | undefined;
  #dead = false;
  #die!: () => void;

  constructor(death?: Death) {
    this.#death = death;
    this.died = new Promise((resolve) => {
      this.#die = () => {
        this.#dead = true;
        resolve('killed');
      };
    });
  }

  /** Lets a call arrive that was on its way; answers whether there was one. */
  async arrive(): Promise<boolean> {
    const call = this.#onItsWay;
    this.#onItsWay = undefined;
    await call?.();
    return call !== undefined;
  }

  /** The same outside world, for as long as the process lives. */
  rules(outside: StepOutside): StepOutside {
    const { groups, clock, save } = outside;
    const mortal = (name: string, method: (...args: unknown[]) => Promise<unknown>) => {
      return (...args: unknown[]) => this.#call(name, () => method(...args));
    };
    const calls = Object.entries(groups).map(([name, method]) => [
      name,
      name === 'now' || name === 'close' ? method : mortal(name, method),
    ]);
    const mortalClock: Clock = {
      now: clock.now,
      sleep: (ms, signal) => (this.#dead ? forEver() : clock.sleep(ms, signal)),
    };
    return {
      ...outside,
      groups: Object.fromEntries(calls) as SecurityGroups,
      clock: mortalClock,
      save: (record) => this.#write(() => save(record)),
    };
  }

  async #call(name: string, send: () => Promise<unknown>): Promise<unknown> {
    if (this.#dead) return forEver();
    const at = this.points.push(name) - 1;
    await this.onPoint(at);
    if (this.#death?.at !== at) return send();
    if (this.#death.how === 'after') await send();
    if (this.#death.how === 'on its way') this.#onItsWay = send;
    this.#die();
    return forEver();
  }

  #write(save: () => void): void {
    if (this.#dead) return;
    const at = this.points.push('save') - 1;
    const dies = this.#death?.at === at;
    if (!dies || this.#death?.how === 'after') save();
    if (dies) this.#die();
  }
}

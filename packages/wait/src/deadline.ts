import type { Clock } from './clock.ts';

/** A point in time by which something must have happened. */
export class Deadline {
  readonly ms: number;
  readonly #clock: Clock;
  readonly #end: number;

  constructor(clock: Clock, ms: number) {
    this.ms = ms;
    this.#clock = clock;
    this.#end = clock.now() + ms;
  }

  /** Milliseconds left, never below 0. */
  remaining(): number {
    return Math.max(0, this.#end - this.#clock.now());
  }

  passed(): boolean {
    return this.remaining() === 0;
  }

  /** Milliseconds since the deadline was set. */
  elapsed(): number {
    return this.ms - (this.#end - this.#clock.now());
  }
}

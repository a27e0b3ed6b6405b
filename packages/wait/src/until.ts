import type { Clock } from './clock.ts';
import type { Deadline } from './deadline.ts';
import { formatDuration } from './duration.ts';

export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
  readonly waitedMs: number;
  constructor(what: string, waitedMs: number) {
    super(`waited ${formatDuration(waitedMs)} for ${what}`);
    this.waitedMs = waitedMs;
  }
}

/** Grows from `first` by `factor` up to `max` milliseconds; attempts count from 0. */
export function backoff({ first, factor = 1.5, max }: { first: number; factor?: number; max: number }) {
  return (attempt: number) => Math.min(max, first * factor ** attempt);
}

/**
 * Asks until the answer is not undefined. The last question is put no later than the deadline.
 * Throws TimeoutError when the deadline passes, the signal's reason when it is aborted, and at once
 * whatever `poll` throws.
 */
export async function until<T>(
  poll: () => Promise<T | undefined>,
  {
    clock,
    deadline,
    interval,
    signal,
    what,
  }: {
    clock: Clock;
    deadline: Deadline;
    interval: number | ((attempt: number) => number);
    signal?: AbortSignal;
    what: string;
  },
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    const answer = await poll();
    if (answer !== undefined) return answer;
    if (deadline.passed()) throw new TimeoutError(what, deadline.elapsed());
    const pause = typeof interval === 'number' ? interval : interval(attempt);
    await clock.sleep(Math.min(pause, deadline.remaining()), signal);
  }
}

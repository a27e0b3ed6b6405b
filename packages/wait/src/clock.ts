/** Time as an argument: the system's in production, a fake in tests. */
export interface Clock {
  /** Milliseconds since the Unix epoch; never goes backwards. */
  now(): number;
  /** Waits `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

const epoch = Date.now() - performance.now();

/** The machine's clock, monotonic: a correction of the wall clock in mid-deploy moves no deadline. */
export const systemClock: Clock = {
  now: () => epoch + performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop);
        resolve();
      }, ms);
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', stop, { once: true });
    }),
};

export interface FakeClock extends Clock {
  /** Moves time on, waking every sleeper that falls due, in order. */
  advance(ms: number): Promise<void>;
}

/**
 * A clock for tests. With `autoAdvance` (the default) a sleep passes at once and moves time on by its
 * length, so that code which only ever waits runs to its end; without, time moves by `advance` alone.
 */
export function fakeClock(start = 0, { autoAdvance = true } = {}): FakeClock {
  let time = start;
  let sleepers: Array<{ due: number; wake: () => void }> = [];
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

  const advance = async (ms: number) => {
    const end = time + ms;
    for (;;) {
      await settle();
      const next = sleepers.filter((s) => s.due <= end).sort((a, b) => a.due - b.due)[0];
      if (!next) break;
      sleepers = sleepers.filter((s) => s !== next);
      time = Math.max(time, next.due);
      next.wake();
    }
    time = end;
  };

  let moving = false;
  const moveOn = async () => {
    // Let everything that can run reach its own sleep first, so that parallel sleeps end in order of time.
    await settle();
    while (sleepers.length > 0) {
      sleepers.sort((a, b) => a.due - b.due);
      const next = sleepers.shift()!;
      time = Math.max(time, next.due);
      next.wake();
      await settle();
    }
    moving = false;
  };

  return {
    now: () => time,
    advance,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = { due: time + Math.max(0, ms), wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener(
          'abort',
          () => {
            sleepers = sleepers.filter((s) => s !== sleeper);
            reject(signal.reason);
          },
          { once: true },
        );
        if (autoAdvance && !moving) {
          moving = true;
          void moveOn();
        }
      }),
  };
}

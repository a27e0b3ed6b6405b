/** Lab time: what AWS would count in seconds passes `scale` times as fast as on the wall. */
export interface LabClock {
  readonly scale: number;
  /** Milliseconds of lab time since the Unix epoch. */
  now(): number;
  /** Waits that many milliseconds of lab time. */
  sleep(ms: number): Promise<void>;
  /** Calls `fn` after that many milliseconds of lab time, unless cancelled or the clock is closed. */
  after(ms: number, fn: () => void): { cancel(): void };
  /** Drops everything still waiting; sleepers never wake. */
  close(): void;
}

/** A clock that starts at the present and runs `scale` times as fast (1 is real time). */
export function labClock(scale: number): LabClock {
  if (!(scale > 0)) throw new RangeError(`a time scale is a number above 0, not ${scale}`);
  const epoch = Date.now();
  const start = performance.now();
  const waiting = new Set<NodeJS.Timeout>();
  const after: LabClock['after'] = (ms, fn) => {
    const timer = setTimeout(
      () => {
        waiting.delete(timer);
        fn();
      },
      Math.max(0, ms / scale),
    );
    waiting.add(timer);
    return {
      cancel() {
        clearTimeout(timer);
        waiting.delete(timer);
      },
    };
  };
  return {
    scale,
    now: () => epoch + (performance.now() - start) * scale,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    after,
    close() {
      for (const timer of waiting) clearTimeout(timer);
      waiting.clear();
    },
  };
}

import type { LabClock } from '../src/clock.ts';

/** A lab clock that stands still until a test moves it. */
export function fakeLabClock(): LabClock & { advance(ms: number): void } {
  let now = 1_800_000_000_000;
  let waiting: Array<{ at: number; fn: () => void }> = [];
  const after: LabClock['after'] = (ms, fn) => {
    const entry = { at: now + Math.max(0, ms), fn };
    waiting.push(entry);
    return {
      cancel() {
        waiting = waiting.filter((other) => other !== entry);
      },
    };
  };
  return {
    scale: 1,
    now: () => now,
    after,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    close() {
      waiting = [];
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        waiting = waiting.filter((other) => other !== due);
        now = Math.max(now, due.at);
        due.fn();
      }
      now = end;
    },
  };
}

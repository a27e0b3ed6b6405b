import { describe, expect, it } from '@jest/globals';
import {
  backoff,
  Deadline,
  fakeClock,
  formatDuration,
  parseDuration,
  systemClock,
  until,
} from '../src/index.ts';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['0s', 0],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '5', '5 m', 'm', '-1s', '1w', '5m3', 'abc'])('refuses %j', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});

it.each([
  [0, '0 ms'],
  [350, '350 ms'],
  [4000, '4 s'],
  [4400, '4.4 s'],
  [59_600, '1 min'],
  [125_000, '2 min 5 s'],
  [3_780_000, '1 h 3 min'],
])('formats %d ms as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

describe('until', () => {
  it('answers with the first thing that is not undefined', async () => {
    const clock = fakeClock();
    const answers = [undefined, undefined, 'ready'];
    const answer = await until(async () => answers.shift(), {
      clock,
      deadline: new Deadline(clock, 60_000),
      interval: 2000,
      what: 'the port',
    });
    expect([answer, clock.now()]).toEqual(['ready', 4000]);
  });

  it('asks a last time at the deadline, then says what it waited for', async () => {
    const clock = fakeClock();
    const asked: number[] = [];
    const waiting = until(async () => void asked.push(clock.now()), {
      clock,
      deadline: new Deadline(clock, 5000),
      interval: 2000,
      what: 'web to be healthy',
    });
    await expect(waiting).rejects.toThrow('waited 5 s for web to be healthy');
    expect(asked).toEqual([0, 2000, 4000, 5000]);
  });

  it('stops at once when it is cancelled', async () => {
    const controller = new AbortController();
    const clock = fakeClock(0, { autoAdvance: false });
    const waiting = until(async () => undefined, {
      clock,
      deadline: new Deadline(clock, 5000),
      interval: 2000,
      signal: controller.signal,
      what: 'nothing',
    });
    const outcome = expect(waiting).rejects.toThrow('cancelled by the user');
    await clock.advance(1000);
    controller.abort(new Error('cancelled by the user'));
    await outcome;
  });

  it('grows its interval up to the limit', () => {
    expect([0, 1, 2, 3, 9].map(backoff({ first: 1000, factor: 2, max: 5000 }))).toEqual([
      1000, 2000, 4000, 5000, 5000,
    ]);
  });
});

it('wakes parallel sleepers in the order of time', async () => {
  const clock = fakeClock();
  const woken: string[] = [];
  await Promise.all([
    clock.sleep(300).then(() => woken.push(`c at ${clock.now()}`)),
    clock.sleep(100).then(() => woken.push(`a at ${clock.now()}`)),
    clock.sleep(200).then(() => woken.push(`b at ${clock.now()}`)),
  ]);
  expect(woken).toEqual(['a at 100', 'b at 200', 'c at 300']);
});

it('gives up a real sleep when it is cancelled', async () => {
  await expect(systemClock.sleep(60_000, AbortSignal.timeout(5))).rejects.toThrow();
});

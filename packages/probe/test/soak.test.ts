import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type Ahead,
  addToSoak,
  emptySoak,
  limitRows,
  type Observation,
  type SoakLimits,
  soakVerdict,
} from '../src/index.ts';

const limits: SoakLimits = {
  maxErrorRate: 0.01,
  maxP95: 500,
  minRps: 10,
  minSamples: 20,
  maxConnectionErrors: 3,
};
const over: Ahead = { answers: 0, seconds: 0 };
const good = (ms: number, part: Partial<Observation> = {}): Observation => ({
  at: 0,
  ms,
  address: '',
  outcome: 'good',
  ...part,
});
const bad: Observation = { ...good(10), outcome: 'bad', problem: 'answered 503, expected 200' };
const none: Observation = { ...good(10), outcome: 'no-answer', problem: 'the connection was reset' };
const times = (n: number, seen: Observation) => Array.from({ length: n }, () => seen);
const tallyOf = (seen: Observation[], own = limits) => {
  const tally = emptySoak();
  for (const one of seen) addToSoak(tally, one, own);
  return tally;
};

describe('a soak that is over', () => {
  it.each<[string, Observation[], number, string, string]>([
    [
      'holds at 70 ms',
      times(420, good(70)),
      30,
      'healthy',
      'soaked 30 s: p95 70 ms, errors 0 % (0 of 420), 14 a second',
    ],
    ['is too slow at 600 ms', times(50, good(600)), 4, 'unhealthy', 'p95 600 ms, at most 500 ms allowed'],
    [
      'has too many errors at 2 %',
      [...times(490, good(70)), ...times(10, bad)],
      30,
      'unhealthy',
      'errors 2 % (10 of 500), at most 1 % allowed; last: answered 503, expected 200',
    ],
    [
      'holds at just 1 %',
      [...times(396, good(70)), ...times(4, bad)],
      30,
      'healthy',
      'soaked 30 s: p95 70 ms, errors 1 % (4 of 400), 13.2 a second',
    ],
    [
      'gives too few a second at 5',
      times(150, good(200)),
      30,
      'unhealthy',
      'good answers 5 a second, at least 10 a second needed',
    ],
    [
      'does not round 9.96 a second up to 10',
      times(299, good(70)),
      30,
      'unhealthy',
      'good answers 9.9 a second, at least 10 a second needed',
    ],
    [
      'does not round 500.4 ms down to 500',
      times(50, good(500.4)),
      4,
      'unhealthy',
      'p95 501 ms, at most 500 ms allowed',
    ],
    [
      'says both when it is slow and gives too few',
      times(50, good(600)),
      30,
      'unhealthy',
      'p95 600 ms, at most 500 ms allowed; good answers 1.6 a second, at least 10 a second needed',
    ],
    [
      'proves nothing with 19 samples',
      times(19, good(70)),
      1.9,
      'inconclusive',
      '19 good answers in 1.9 s of soak, at least 20 needed to judge',
    ],
    [
      'proves nothing without any',
      [],
      30,
      'inconclusive',
      '0 good answers in 30 s of soak, at least 20 needed to judge',
    ],
    [
      'tolerates three probes without an answer',
      [...times(420, good(70)), ...times(3, none)],
      30,
      'healthy',
      'soaked 30 s: p95 70 ms, errors 0 % (0 of 420), 14 a second',
    ],
    [
      'does not tolerate four',
      [...times(420, good(70)), ...times(4, none)],
      30,
      'unhealthy',
      '4 probes were not answered after the first good one (3 allowed): the connection was reset',
    ],
    [
      'proves nothing when a firewall began to answer in place of the app',
      [
        ...times(200, good(70)),
        ...times(50, { ...bad, unmeasured: true, problem: 'Cloudflare challenges this client' }),
      ],
      30,
      'inconclusive',
      "50 of 250 answers were not the app's; last: Cloudflare challenges this client",
    ],
    [
      'does not tolerate one stale host of a thousand answers',
      [
        ...times(999, good(70, { version: 'v2', rightVersion: true })),
        { ...bad, version: 'v1', rightVersion: false },
      ],
      60,
      'unhealthy',
      'in the soak, 2 versions: v2 999 of 1000, v1 1 of 1000; expected v2 alone',
    ],
    [
      'takes quick refusals for no proof of speed',
      [...times(19, good(70)), ...times(10, { ...bad, ms: 1 })],
      1,
      'unhealthy',
      'errors 34.48 % (10 of 29), at most 1 % allowed; last: answered 503, expected 200',
    ],
    [
      'says where the way is slow, not the app',
      times(50, good(600, { connectMs: 450 })),
      4,
      'unhealthy',
      'p95 600 ms, at most 500 ms allowed (450 ms of the median 600 ms pass until the connection stands: the way there is slow, not the app)',
    ],
  ])('%s', (_, seen, seconds, verdict, reason) =>
    expect(soakVerdict(tallyOf(seen), { ...limits, version: 'v2' }, seconds, over)).toEqual({
      verdict,
      reason,
    }),
  );

  it('counts what was not answered before it', () => {
    const tally = emptySoak(3);
    for (const seen of [...times(420, good(70)), none]) addToSoak(tally, seen, limits);
    expect(soakVerdict(tally, limits, 30, over)?.verdict).toBe('unhealthy');
  });
});

describe('a soak that goes on', () => {
  it('is open while every limit can still be held', () =>
    expect(soakVerdict(tallyOf([bad, good(600)]), limits, 1, { answers: 600, seconds: 29 })).toBeUndefined());

  it.each<[string, Observation[], Ahead, string]>([
    [
      'too many errors',
      times(7, bad),
      { answers: 600, seconds: 29 },
      'errors 100 % (7 of 7), at most 1 % allowed',
    ],
    [
      'too many slow answers',
      times(40, good(900)),
      { answers: 600, seconds: 29 },
      'p95 900 ms, at most 500 ms allowed',
    ],
    ['too little time left for the rate', times(10, good(70)), { answers: 100, seconds: 29 }, 'good answers'],
  ])('ends when failure is certain: %s', (_, seen, ahead, reason) => {
    const verdict = soakVerdict(tallyOf(seen), limits, 10, ahead);
    expect(verdict?.verdict).toBe('unhealthy');
    expect(verdict?.reason).toContain(reason);
    expect(verdict?.reason).toContain('which no rest of the soak can mend');
  });

  it('leaves open in its table what it could still have held', () =>
    expect(
      limitRows(tallyOf(times(40, good(900))), limits, 10, { answers: 600, seconds: 29 }).map(
        ({ name, state }) => [name, state],
      ),
    ).toEqual([
      ['errors', 'held'],
      ['p95', 'broken'],
      ['good answers', 'open'],
      ['samples', 'held'],
    ]));
});

const severity = ['healthy', 'inconclusive', 'unhealthy', undefined];
const anything = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 900 }).map((ms) => good(ms)) },
  fc.constantFrom(bad, none, { ...bad, version: 'v1', rightVersion: false }),
);
const someLimits = fc.record({
  maxErrorRate: fc.constantFrom(0, 0.01, 0.1, 1),
  maxP95: fc.constantFrom(100, 500, 800),
  minRps: fc.constantFrom(0, 1, 10),
  minSamples: fc.integer({ min: 1, max: 30 }),
  maxConnectionErrors: fc.integer({ min: 0, max: 5 }),
  version: fc.constant('v2'),
});

describe('whatever is seen', () => {
  it('one more failure never makes it better', () =>
    fc.assert(
      fc.property(
        fc.array(anything, { maxLength: 60 }),
        fc.constantFrom(bad, none),
        fc.nat(),
        someLimits,
        (seen, failure, place, own) => {
          const more = seen.toSpliced(place % (seen.length + 1), 0, failure);
          const [before, after] = [seen, more].map(
            (all) => soakVerdict(tallyOf(all, own), own, 5, over)!.verdict,
          );
          expect(severity.indexOf(after)).toBeGreaterThanOrEqual(severity.indexOf(before));
        },
      ),
    ));

  it('the order of what was seen does not matter', () =>
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 60 }), someLimits, (seen, own) => {
        const verdict = (all: Observation[]) => soakVerdict(tallyOf(all, own), own, 5, over)!.verdict;
        expect(verdict(seen.toReversed())).toBe(verdict(seen));
      }),
    ));

  it('it is never healthy with fewer good answers than are asked for', () =>
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 60 }), someLimits, (seen, own) => {
        const verdict = soakVerdict(tallyOf(seen, own), own, 5, over)!.verdict;
        const proofs = seen.filter(({ outcome }) => outcome === 'good').length;
        expect(verdict !== 'healthy' || proofs >= own.minSamples).toBe(true);
      }),
    ));

  it('an early end is right: no continuation would have been healthy', () =>
    fc.assert(
      fc.property(
        fc.array(anything, { maxLength: 40 }),
        fc.array(anything, { maxLength: 40 }),
        someLimits,
        (seen, rest, own) => {
          const early = soakVerdict(tallyOf(seen, own), own, 2, { answers: 40, seconds: 3 });
          if (early === undefined) return;
          expect(early.verdict).not.toBe('healthy');
          expect(soakVerdict(tallyOf([...seen, ...rest], own), own, 5, over)!.verdict).not.toBe('healthy');
        },
      ),
    ));
});

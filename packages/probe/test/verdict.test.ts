import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { neededInARow, type Observation, tallyOf, verdictOf } from '../src/index.ts';

const criteria = { consecutiveSuccesses: 3, versionSuccesses: 10, maxConnectionErrors: 3 };
const g: Observation = { at: 0, ms: 10, address: '', outcome: 'good' };
const b: Observation = { ...g, outcome: 'bad', problem: 'answered 503, expected 200' };
const x: Observation = { ...g, outcome: 'no-answer', problem: 'connection refused' };
const of = (version: string, expected = 'v2'): Observation =>
  version === expected
    ? { ...g, version, rightVersion: true }
    : { ...b, version, rightVersion: false, problem: `serves ${version}, expected ${expected}` };
const times = (n: number, o: Observation) => Array.from({ length: n }, () => o);

describe('without an expected version', () => {
  it.each([
    ['three good ones in a row', [b, g, g, g], 9, 'healthy', '3 good answers in a row'],
    [
      'good ones, but not in a row',
      [g, g, b, g, g],
      0,
      'unhealthy',
      '4 of 5 probes were good, never 3 in a row; last: answered 503, expected 200',
    ],
    [
      'nothing good',
      [b, b],
      0,
      'unhealthy',
      '0 of 2 probes were good, never 3 in a row; last: answered 503, expected 200',
    ],
    ['nothing at all', [], 0, 'inconclusive', 'nothing was measured before the time was up'],
    [
      'too few to say',
      [g, g],
      0,
      'inconclusive',
      '2 good answers in a row, 3 needed, before the time was up',
    ],
    ['refused before the first good one', [...times(9, x), g, g, g], 9, 'healthy', '3 good answers in a row'],
    [
      'refused too often afterwards',
      [g, x, x, x, x],
      9,
      'unhealthy',
      '4 probes were not answered after the first good one (3 allowed): connection refused',
    ],
  ])('%s', (_, observations, left, verdict, reason) =>
    expect(verdictOf(tallyOf(observations), criteria, {}, left)).toEqual({ verdict, reason }),
  );

  it('waits while it is too early to say', () =>
    expect(verdictOf(tallyOf([b, b, g]), criteria, {}, 9)).toBeUndefined());
});

describe('with an expected version', () => {
  const expectation = { version: 'v2', versionFrom: { kind: 'json', path: 'version' } } as const;
  it.each([
    [
      'the new one, ten times',
      [of('v1'), ...times(10, of('v2'))],
      'healthy',
      '10 good answers in a row, version v2',
    ],
    ['the old one for ever', times(20, of('v1')), 'unhealthy', 'still serves v1, expected v2'],
    [
      'old and new in turn',
      Array.from({ length: 20 }, (_, i) => of(i % 2 ? 'v1' : 'v2')),
      'unhealthy',
      '2 versions: v1 5 of 10, v2 5 of 10; expected v2 alone',
    ],
    [
      'no version in the answer',
      times(5, { ...b, problem: 'no version at json:version, expected v2' }),
      'unhealthy',
      'the version is unknown: no version at json:version, expected v2',
    ],
    [
      'one stale host of ten',
      Array.from({ length: 30 }, (_, i) => of(i % 10 === 9 ? 'v1' : 'v2')),
      'unhealthy',
      '2 versions: v2 9 of 10, v1 1 of 10; expected v2 alone',
    ],
  ])('%s', (_, observations, verdict, reason) =>
    expect(verdictOf(tallyOf(observations), criteria, expectation, 0)).toEqual({ verdict, reason }),
  );
});

describe('a change that came too late to prove', () => {
  const expectation = { version: 'v2', versionFrom: { kind: 'json', path: 'version' } } as const;
  it('is inconclusive, not mixed: the old version never came back', () =>
    expect(
      verdictOf(tallyOf([...times(5, of('v1')), ...times(5, of('v2'))]), criteria, expectation, 0),
    ).toEqual({
      verdict: 'inconclusive',
      reason: '5 good answers in a row, version v2, 10 needed, before the time was up',
    }));

  it('is unhealthy when the new one fails in between', () =>
    expect(
      verdictOf(
        tallyOf([...times(5, of('v1')), of('v2'), { ...b, version: 'v2', rightVersion: true }, of('v2')]),
        criteria,
        expectation,
        0,
      ),
    ).toEqual({
      verdict: 'unhealthy',
      reason: '2 of 8 probes were good, never 10 in a row; last: answered 503, expected 200',
    }));
});

it('names another kind of version than the expected', () =>
  expect(
    verdictOf(
      tallyOf(times(5, of('1.4.2', 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678'))),
      criteria,
      { version: 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678' },
      0,
    )?.reason,
  ).toBe(
    'still serves 1.4.2, expected a1b2c3d4e5f60718293a4b5c6d7e8f9012345678; one is a commit hash, the other is not: is it the same kind?',
  ));

it('is inconclusive when something in front answered every time', () =>
  expect(
    verdictOf(
      tallyOf(times(5, { ...b, unmeasured: true, problem: 'Cloudflare challenges this client' })),
      criteria,
      {},
      0,
    ),
  ).toEqual({
    verdict: 'inconclusive',
    reason: 'the app was never reached: Cloudflare challenges this client',
  }));

it('ends as soon as the probes that are left cannot make it healthy', () => {
  const tally = tallyOf([b, b, g]);
  expect([2, 1].map((left) => verdictOf(tally, criteria, {}, left)?.verdict)).toEqual([
    undefined,
    'unhealthy',
  ]);
});

const severity = ['healthy', 'inconclusive', 'unhealthy'];
const blocked: Observation = { ...b, unmeasured: true };
// With an expected version, what is good carries it.
const cases = fc.constantFrom(
  { wanted: {}, seen: [g, b, x, blocked], failures: [b, x, blocked] },
  {
    wanted: { version: 'v2', versionFrom: { kind: 'json', path: 'version' } } as const,
    seen: [of('v2'), of('v1'), b, x, blocked, { ...b, version: 'v2', rightVersion: true }],
    failures: [of('v1'), b, x, blocked],
  },
);
const rowOf = (seen: readonly Observation[]) => fc.array(fc.constantFrom(...seen), { maxLength: 40 });
const limits = fc.record({
  consecutiveSuccesses: fc.integer({ min: 1, max: 5 }),
  versionSuccesses: fc.integer({ min: 1, max: 12 }),
  maxConnectionErrors: fc.integer({ min: 0, max: 4 }),
});

describe('whatever is seen', () => {
  it('it is healthy exactly when enough good ones came in a row, and not too many without an answer', () =>
    fc.assert(
      fc.property(
        cases.chain(({ wanted, seen }) => fc.tuple(fc.constant(wanted), rowOf(seen))),
        limits,
        ([wanted, seen], own) => {
          const { verdict } = verdictOf(tallyOf(seen), own, wanted, 0)!;
          const needed = neededInARow(own, wanted);
          const proof = seen.slice(-needed);
          const proven = proof.length === needed && proof.every(({ outcome }) => outcome === 'good');
          const first = seen.findIndex(({ outcome }) => outcome === 'good');
          const unanswered = seen.slice(first).filter(({ outcome }) => outcome === 'no-answer').length;
          expect(verdict === 'healthy').toBe(proven && unanswered <= own.maxConnectionErrors);
        },
      ),
    ));

  it('one more failure, wherever it falls, never makes it better', () =>
    fc.assert(
      fc.property(
        cases.chain(({ wanted, seen, failures }) =>
          fc.tuple(fc.constant(wanted), rowOf(seen), fc.constantFrom(...failures)),
        ),
        fc.nat(),
        limits,
        ([wanted, seen, failure], place, own) => {
          const more = seen.toSpliced(place % (seen.length + 1), 0, failure);
          const [before, after] = [seen, more].map((all) =>
            severity.indexOf(verdictOf(tallyOf(all), own, wanted, 0)!.verdict),
          );
          expect(after).toBeGreaterThanOrEqual(before!);
        },
      ),
    ));

  it('an early end is right: no continuation would have been healthy', () =>
    fc.assert(
      fc.property(
        cases.chain(({ wanted, seen }) => fc.tuple(fc.constant(wanted), rowOf(seen), rowOf(seen))),
        limits,
        ([wanted, seen, rest], own) => {
          const early = verdictOf(tallyOf(seen), own, wanted, rest.length);
          if (early === undefined || early.verdict === 'healthy') return;
          expect(verdictOf(tallyOf([...seen, ...rest]), own, wanted, 0)!.verdict).not.toBe('healthy');
        },
      ),
    ));
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Observation, tallyOf, verdictOf } from '../src/index.ts';

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
    ['three good ones in a row', [b, g, g, g], false, 'healthy', '3 good answers in a row'],
    [
      'good ones, but not in a row',
      [g, g, b, g, g],
      true,
      'unhealthy',
      '4 of 5 probes were good, never 3 in a row; last: answered 503, expected 200',
    ],
    [
      'nothing good',
      [b, b],
      true,
      'unhealthy',
      '0 of 2 probes were good, never 3 in a row; last: answered 503, expected 200',
    ],
    ['nothing at all', [], true, 'inconclusive', 'nothing was measured before the time was up'],
    [
      'too few to say',
      [g, g],
      true,
      'inconclusive',
      '2 good answers in a row, 3 needed, before the time was up',
    ],
    [
      'refused before the first good one',
      [...times(9, x), g, g, g],
      false,
      'healthy',
      '3 good answers in a row',
    ],
    [
      'refused too often afterwards',
      [g, x, x, x, x],
      false,
      'unhealthy',
      '4 probes were not answered after the first good one (3 allowed): connection refused',
    ],
  ])('%s', (_, observations, final, verdict, reason) =>
    expect(verdictOf(tallyOf(observations), criteria, {}, final)).toEqual({ verdict, reason }),
  );

  it('waits while it is too early to say', () =>
    expect(verdictOf(tallyOf([b, b, g]), criteria, {}, false)).toBeUndefined());
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
      '2 versions: v2 5 of 10, v1 5 of 10; expected v2 alone',
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
    expect(verdictOf(tallyOf(observations), criteria, expectation, true)).toEqual({ verdict, reason }),
  );
});

const observation = fc.constantFrom(g, b, x);

it('is never healthy without enough good measurements', () =>
  fc.assert(
    fc.property(fc.array(observation), (observations) => {
      const verdict = verdictOf(tallyOf(observations), criteria, {}, true);
      return verdict?.verdict !== 'healthy' || observations.filter((o) => o.outcome === 'good').length >= 3;
    }),
  ));

it('is never better for one more failure at the end', () =>
  fc.assert(
    fc.property(fc.array(observation), fc.constantFrom(b, x), (observations, failure) => {
      const after = verdictOf(tallyOf([...observations, failure]), criteria, {}, true);
      return after?.verdict !== 'healthy';
    }),
  ));

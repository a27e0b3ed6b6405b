import { describe, expect, it } from '@jest/globals';
import { type DrainFacts, judgeDrain } from '../src/roll/drain.ts';
import { judgeHealth, likelyCause } from '../src/roll/health.ts';
import { afterFailure, afterInterruption, decide, nextStep, resultOf, type Step } from '../src/roll/roll.ts';
import { group, health, record } from './stand.ts';

describe('a drain', () => {
  const idle = { kind: 'idle' as const, settle: 15_000 };
  const facts = (change: Partial<DrainFacts>): DrainFacts => ({
    delay: 300_000,
    sinceDraining: 0,
    idleFor: 0,
    open: 0,
    openLately: 0,
    gone: false,
    ...change,
  });
  it.each([
    ['idle before it settled', idle, { sinceDraining: 14_000, idleFor: 14_000 }, false],
    ['settled, idle for less than 5 s', idle, { sinceDraining: 60_000, idleFor: 4_900 }, false],
    ['settled and idle', idle, { sinceDraining: 15_000, idleFor: 5_000 }, 'idle'],
    ['a delay shorter than settle', idle, { delay: 6_000, sinceDraining: 6_000, idleFor: 6_000 }, 'idle'],
    ['connections that cannot be counted', idle, { sinceDraining: 299_000, idleFor: undefined }, false],
    ['the same, after the delay', idle, { sinceDraining: 300_000, idleFor: undefined }, 'delay-over'],
    [
      'uncounted, with drain-timeout',
      { ...idle, timeout: 20_000 },
      { sinceDraining: 30_000, idleFor: undefined },
      false,
    ],
    ['busy at drain-timeout', { ...idle, timeout: 20_000 }, { sinceDraining: 20_000, open: 2 }, 'cut'],
    ['busy at the end of the delay', idle, { sinceDraining: 300_000, open: 1 }, 'cut'],
    ['full and idle', { kind: 'full', settle: 0 }, { sinceDraining: 299_000, idleFor: 99_000 }, false],
    ['full, over', { kind: 'full', settle: 0 }, { sinceDraining: 300_000, idleFor: 99_000 }, 'delay-over'],
    ['cut a moment ago, at the end of the delay', idle, { sinceDraining: 300_000, openLately: 3 }, 'cut'],
    [
      'cut a moment ago, and no longer listed',
      idle,
      { sinceDraining: 20_000, openLately: 3, gone: true },
      'cut',
    ],
    [
      'ended by themselves, at drain-timeout',
      { ...idle, timeout: 20_000 },
      { sinceDraining: 20_000, openLately: 3 },
      'delay-over',
    ],
    ['ended by the load balancer', idle, { sinceDraining: 20_000, gone: true }, 'gone'],
  ] as const)('%s', (_what, settings, change, expected) => {
    const verdict = judgeDrain(settings, facts(change));
    expect(verdict.done ? verdict.why : false).toBe(expected);
  });
});

describe("a target's state", () => {
  it.each([
    ['healthy', '', 'healthy'],
    ['initial', 'Elb.RegistrationInProgress', 'waiting'],
    ['initial', 'Elb.InitialHealthChecking', 'waiting'],
    ['unhealthy', 'Target.ResponseCodeMismatch', 'waiting'],
    ['unhealthy', 'Target.Timeout', 'waiting'],
    ['unhealthy', 'Target.FailedHealthChecks', 'waiting'],
    ['unhealthy', 'Elb.InternalError', 'waiting'],
    ['unhealthy.draining', '', 'waiting'],
    ['unused', 'Target.NotRegistered', 'missing'],
    ['unused', 'Target.NotInUse', 'fatal'],
    ['unused', 'Target.InvalidState', 'fatal'],
    ['unused', 'Target.IpUnusable', 'fatal'],
    ['draining', 'Target.DeregistrationInProgress', 'missing'],
    ['unavailable', 'Target.HealthCheckDisabled', 'fatal'],
    ['unavailable', 'Elb.InternalError', 'waiting'],
  ] as const)('%s %s means %s', (state, reason, expected) => {
    expect(judgeHealth(health('i-a', { state, reason }), group()).kind).toBe(expected);
  });

  it.each([
    ['Target.ResponseCodeMismatch', '[400]', /ALLOWED_HOSTS/],
    ['Target.ResponseCodeMismatch', '[404]', /does not have this path/],
    ['Target.ResponseCodeMismatch', '[301]', /redirects, most often to HTTPS/],
    ['Target.ResponseCodeMismatch', '[502]', /proxy on the host answers, but the app behind it does not/],
    ['Target.ResponseCodeMismatch', '[503]', /not ready/],
    ['Target.ResponseCodeMismatch', '[500, 502]', /fails while answering/],
    ['Target.Timeout', '', /security group does not let/],
    ['Target.FailedHealthChecks', '', /nothing listens on that port/],
    ['Target.NotInUse', '', /not enabled for the zone/],
    ['Target.InvalidState', '', /stopped or terminated/],
  ])('%s %s is explained', (reason, description, expected) => {
    expect(likelyCause(health('i-a', { state: 'unhealthy', reason, description }), group())).toMatch(
      expected,
    );
  });
});

describe('the next step of a host', () => {
  it.each<[Parameters<typeof record>[1], Step | undefined]>([
    [{}, 'take-out'],
    [{ rotation: 'leaving' }, 'take-out'],
    [{ rotation: 'draining' }, 'drain'],
    [{ rotation: 'out' }, 'switch'],
    [{ rotation: 'out', release: 'switching' }, 'switch'],
    [{ rotation: 'out', release: 'new' }, 'put-back'],
    [{ rotation: 'joining', release: 'new' }, 'put-back'],
    [{ rotation: 'registered', release: 'new' }, 'wait-healthy'],
    [{ rotation: 'in', release: 'new' }, 'bake'],
    [{ rotation: 'watched', release: 'new', standby: true }, 'rejoin'],
    [{ rotation: 'watched', release: 'new', standby: true, goal: 'old' }, 'take-out'],
    [{ rotation: 'in', release: 'new', finished: true }, undefined],
    [{ goal: 'old', rotation: 'leaving' }, 'put-back'],
    [{ goal: 'old', rotation: 'draining' }, 'put-back'],
    [{ goal: 'old', rotation: 'out', release: 'switching' }, 'go-back'],
    [{ goal: 'old', rotation: 'out', release: 'reverting' }, 'go-back'],
    [{ goal: 'old', rotation: 'registered', release: 'new' }, 'take-out'],
    [{ goal: 'old', rotation: 'in', release: 'new' }, 'take-out'],
    [{ goal: 'old', rotation: 'out', release: 'unfit' }, 'put-back'],
  ])('%j → %s', (change, expected) => {
    expect(nextStep(record('i-a', change))).toBe(expected);
  });

  it('never changes the release of a host that may get requests', () => {
    for (const rotation of ['in', 'leaving', 'draining', 'joining', 'registered', 'watched'] as const)
      for (const release of ['old', 'switching', 'new', 'reverting', 'unfit'] as const)
        for (const goal of ['old', 'new'] as const)
          expect(['switch', 'go-back']).not.toContain(nextStep(record('i-a', { rotation, release, goal })));
  });

  it('starts no batch while another is under way', () => {
    const hosts = [record('i-a', { rotation: 'registered', release: 'new' }), record('i-b', { batch: 1 })];
    expect(decide(hosts)).toEqual({ step: 'wait-healthy', hosts: ['i-a'] });
  });
});

describe('after a failure', () => {
  const hosts = [
    record('i-a', { release: 'new', finished: true, changed: true, touched: true }),
    record('i-b', { batch: 1, rotation: 'out', release: 'switching', changed: true, touched: true }),
    record('i-c', { batch: 2 }),
  ];
  const failed = new Map([['i-b', 'it broke']]);
  it.each([
    ['rollback-all', ['old false', 'old false', 'old true']],
    ['rollback-failed', ['new true', 'old false', 'old true']],
    ['stop', ['new true', 'old false', 'old true']],
  ] as const)('%s', (policy, expected) => {
    const after = afterFailure(hosts, failed, 'switch', policy);
    expect(after.map(({ goal, finished }) => `${goal} ${finished}`)).toEqual(expected);
    expect(after[1]?.release).toBe(policy === 'stop' ? 'unfit' : 'switching');
  });

  it('tells a roll that came back from one that could not', () => {
    const back = record('i-a', { goal: 'old', finished: true, changed: true, failure: 'it broke' });
    expect(resultOf([back], 'rollback-all')).toBe('rolled-back');
    expect(resultOf([{ ...back, release: 'unfit' }], 'rollback-all')).toBe('rollback-failed');
    expect(resultOf([{ ...back, changed: false }], 'rollback-all')).toBe('failed');
    expect(resultOf([record('i-a', { skipped: true, finished: true, release: 'new' })], 'stop')).toBe(
      'unchanged',
    );
  });
});

describe('after an interruption', () => {
  it('gives every host under way the old release as its goal, unless it serves and there is no time to drain', () => {
    const serving = record('i-a', { rotation: 'registered', release: 'new', touched: true });
    expect(afterInterruption([serving], { canDrain: true })[0]?.goal).toBe('old');
    expect(afterInterruption([serving], { canDrain: false })[0]?.goal).toBe('new');
    expect(afterInterruption([record('i-b')], { canDrain: true })[0]?.finished).toBe(true);
  });
});

import { describe, expect, it } from '@jest/globals';
import { parseMatcher } from '../src/balancer/matcher.ts';
import { type Route, type RoutingRules, rotation, routes } from '../src/balancer/routing.ts';
import { stickiness } from '../src/balancer/stickiness.ts';
import { keyOf } from '../src/balancer/target-group.ts';
import type { TargetPhase, TargetRecord } from '../src/balancer/target-state.ts';
import { seeded } from '../src/seeded.ts';

const rules: RoutingRules = {
  lingerMs: 1000,
  checksEnabled: true,
  minHealthyCount: 1,
  minHealthyPercent: undefined,
  slowStartMs: 0,
};

function target(id: string, phase: TargetPhase, more: Partial<TargetRecord> = {}): TargetRecord {
  return { id, port: 80, registration: 1, phase, since: 0, passed: 0, failed: 0, ...more };
}

const names = (open: Route[]) => open.map(({ target: { id } }) => id).join(' ');

describe('who may get the next request', () => {
  const draining = (wasHealthy: boolean, until = 60_000) =>
    target('d', 'draining', { drain: { from: 0, until, wasHealthy } });

  it.each<[string, TargetRecord[], Partial<RoutingRules>, number, string]>([
    ['the healthy ones', [target('a', 'healthy'), target('b', 'unhealthy')], {}, 0, 'a'],
    ['not a new one before its check', [target('a', 'healthy'), target('b', 'checking')], {}, 0, 'a'],
    ['everybody when none is healthy', [target('a', 'unhealthy'), target('b', 'unhealthy')], {}, 0, 'a b'],
    ['nobody when none is registered', [], {}, 0, ''],
    [
      'nobody when all are being registered or gone',
      [target('a', 'registering'), draining(true)],
      {},
      1000,
      '',
    ],
    ['one just deregistered too', [target('a', 'healthy'), draining(true)], {}, 999, 'a d'],
    ['not after the lingering', [target('a', 'healthy'), draining(true)], {}, 1000, 'a'],
    [
      'not after a delay shorter than the lingering',
      [target('a', 'healthy'), draining(true, 300)],
      {},
      300,
      'a',
    ],
    ['not a sick one just deregistered', [target('a', 'healthy'), draining(false)], {}, 0, 'a'],
    [
      'everybody below the minimum count',
      [target('a', 'healthy'), target('b', 'unhealthy')],
      { minHealthyCount: 2 },
      0,
      'a b',
    ],
    [
      'everybody below the minimum percentage',
      [target('a', 'healthy'), target('b', 'unhealthy'), target('c', 'checking')],
      { minHealthyPercent: 50 },
      0,
      'a b c',
    ],
    [
      'everybody without checks',
      [target('a', 'checking'), target('b', 'checking')],
      { checksEnabled: false },
      0,
      'a b',
    ],
  ])('%s', (_name, targets, changed, now, expected) => {
    expect(names(routes(targets, { ...rules, ...changed }, now))).toBe(expected);
  });

  it('gives a target in slow start a part that grows', () => {
    const targets = [
      target('a', 'healthy', { firstHealthyAt: -100_000 }),
      target('b', 'healthy', { firstHealthyAt: 0 }),
    ];
    const weight = (now: number) => routes(targets, { ...rules, slowStartMs: 30_000 }, now)[1]!.weight;
    expect([weight(0), weight(15_000), weight(30_000)]).toEqual([0.05, 0.5, 1]);
  });

  it('slows nobody where all are in slow start', () => {
    const targets = [target('a', 'healthy', { firstHealthyAt: 0 })];
    expect(routes(targets, { ...rules, slowStartMs: 30_000 }, 0)[0]!.weight).toBe(1);
  });
});

describe('whose turn it is', () => {
  const open = (weights: Record<string, number>): Route[] =>
    Object.entries(weights).map(([id, weight]) => ({ target: target(id, 'healthy'), weight }));
  const turns = (times: number, ...args: [Route[], 'round_robin' | 'least_outstanding_requests']) => {
    const next = rotation(seeded(1));
    return Array.from(
      { length: times },
      () => next.next(...args, (key) => (key === 'a:80' ? 5 : 0))?.target.id,
    );
  };

  it('goes round', () => {
    expect(turns(6, open({ a: 1, b: 1, c: 1 }), 'round_robin').join('')).toBe('abcabc');
  });

  it('gives a tenth to a target of a ninth of the weight', () => {
    const given = turns(100, open({ a: 1, b: 1 / 9 }), 'round_robin');
    expect(given.filter((id) => id === 'b')).toHaveLength(10);
  });

  it('goes to the least busy when so asked', () => {
    expect(turns(4, open({ a: 1, b: 1, c: 1 }), 'least_outstanding_requests').join('')).toBe('bcbc');
  });

  it('answers nobody when nobody is open', () => {
    expect(turns(1, [], 'round_robin')).toEqual([undefined]);
  });
});

describe('stickiness', () => {
  const key = keyOf({ id: 'i-a', port: 8000 });
  const attributes = (more: Record<string, string>) =>
    new Map(Object.entries({ 'stickiness.enabled': 'true', 'stickiness.type': 'lb_cookie', ...more }));

  it('is off by default', () => {
    expect(stickiness(new Map([['stickiness.enabled', 'false']]))).toBeUndefined();
  });

  it('binds with a cookie of its own and reads it back among others', () => {
    const sticky = stickiness(attributes({}))!;
    const cookie = String(sticky.bind({}, key)['set-cookie']).split(';')[0];
    expect(sticky.wanted(`a=1; ${cookie}; b=2`)).toBe(key);
    expect(sticky.wanted('a=1')).toBeUndefined();
  });

  it("follows the app's cookie only when the app sets it", () => {
    const sticky = stickiness(
      attributes({
        'stickiness.type': 'app_cookie',
        'stickiness.app_cookie.cookie_name': 'sessionid',
      }),
    )!;
    expect(sticky.bind({}, key)).toEqual({});
    const bound = sticky.bind({ 'set-cookie': ['sessionid=1'] }, key)['set-cookie'] as string[];
    expect(bound).toHaveLength(2);
    expect(sticky.wanted(bound[1]!.split(';')[0])).toBe(key);
  });
});

it.each([
  ['200', [200], [201, 301]],
  ['200-299', [200, 204, 299], [199, 300]],
  ['200,301', [200, 301], [204]],
  ['200-204, 301', [203, 301], [205]],
])('the matcher %s', (text, yes, no) => {
  const matches = parseMatcher(text);
  expect(yes.every(matches)).toBe(true);
  expect(no.some(matches)).toBe(false);
});

it.each(['', '20', '200-', '299-200', '500', 'ok', '200;301'])('refuses the matcher "%s"', (text) => {
  expect(() => parseMatcher(text)).toThrow(RangeError);
});

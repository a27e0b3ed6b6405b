import { describe, expect, it } from '@jest/globals';
import {
  outOfRotation,
  TargetGroup,
  TargetGroupError,
  type TargetGroupSettings,
} from '../src/balancer/index.ts';
import type { CheckResult } from '../src/balancer/target-state.ts';
import { fakeLabClock } from './fake-lab-clock.ts';

const lb = 'arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app/web/1';
const passed: CheckResult = { ok: true, status: 200 };
const refused: CheckResult = { ok: false, kind: 'connection', message: 'ECONNREFUSED' };

function lab(settings: Partial<TargetGroupSettings> = {}) {
  const clock = fakeLabClock();
  const group = new TargetGroup({
    clock,
    name: 'web',
    port: 8000,
    loadBalancerArns: [lb],
    healthCheck: { healthyThreshold: 3, unhealthyThreshold: 2 },
    registrationMs: 2000,
    ...settings,
  });
  const check = (result: CheckResult, id = 'i-a', port = 8000) => {
    const target = group.records().find((record) => record.id === id && record.port === port);
    if (target === undefined) throw new Error(`${id}:${port} is not registered`);
    group.recordCheck(target, result);
  };
  const state = (id = 'i-a', port?: number) => {
    const [health] = group.health([{ id, port }]);
    return [health?.state, health?.reason].filter(Boolean).join(' ');
  };
  const healthy = (id = 'i-a', port?: number) => {
    group.register([{ id, port }]);
    clock.advance(2000);
    check(passed, id, port);
  };
  return { clock, group, check, state, healthy };
}

describe('a new target', () => {
  it('is initial, first registering, then checking, and healthy after one passed check', () => {
    const { clock, group, check, state } = lab();
    group.register([{ id: 'i-a' }]);
    expect(state()).toBe('initial Elb.RegistrationInProgress');
    clock.advance(1999);
    expect(state()).toBe('initial Elb.RegistrationInProgress');
    clock.advance(1);
    expect(state()).toBe('initial Elb.InitialHealthChecking');
    check(passed);
    expect(state()).toBe('healthy');
  });

  it('is unhealthy only after as many failures in a row as the unhealthy threshold says', () => {
    const { clock, group, check, state } = lab();
    group.register([{ id: 'i-a' }]);
    clock.advance(2000);
    check(refused);
    expect(state()).toBe('initial Elb.InitialHealthChecking');
    check(refused);
    expect(state()).toBe('unhealthy Target.FailedHealthChecks');
  });

  it('ignores a check that belongs to an earlier registration', () => {
    const { clock, group, healthy, state } = lab();
    healthy();
    const old = group.records()[0]!;
    group.deregister([{ id: 'i-a' }]);
    group.register([{ id: 'i-a' }]);
    clock.advance(2000);
    group.recordCheck(old, passed);
    expect(state()).toBe('initial Elb.InitialHealthChecking');
  });
});

describe('an unhealthy target', () => {
  it('needs the healthy threshold in a row to come back', () => {
    const { healthy, check, state } = lab();
    healthy();
    for (const result of [refused, refused, passed, passed, refused, passed, passed]) check(result);
    expect(state()).toBe('unhealthy Target.FailedHealthChecks');
    check(passed);
    expect(state()).toBe('healthy');
  });

  it.each([
    [
      { ok: false, kind: 'status', status: 503 } as const,
      'Target.ResponseCodeMismatch',
      'Health checks failed with these codes: [503]',
    ],
    [{ ok: false, kind: 'timeout' } as const, 'Target.Timeout', 'Request timed out'],
    [refused, 'Target.FailedHealthChecks', 'Health checks failed'],
  ])('says why: %j', (result, reason, description) => {
    const { group, healthy, check } = lab();
    healthy();
    check(result);
    expect(group.health()[0]).toEqual({ id: 'i-a', port: 8000, state: 'healthy' });
    check(result);
    expect(group.health()[0]).toEqual({ id: 'i-a', port: 8000, state: 'unhealthy', reason, description });
  });
});

describe('deregistering', () => {
  it('shows draining for the whole delay, however idle the target is, and then nothing', () => {
    const { clock, group, healthy, state } = lab({
      attributes: { 'deregistration_delay.timeout_seconds': '60' },
    });
    healthy();
    group.deregister([{ id: 'i-a' }]);
    expect(state()).toBe('draining Target.DeregistrationInProgress');
    clock.advance(59_999);
    expect(state()).toBe('draining Target.DeregistrationInProgress');
    clock.advance(1);
    expect(state()).toBe('unused Target.NotRegistered');
    expect(group.health()).toEqual([]);
  });

  it('takes 300 s where nobody said otherwise', () => {
    const { clock, group, healthy, state } = lab();
    healthy();
    group.deregister([{ id: 'i-a' }]);
    clock.advance(299_999);
    expect(state()).toBe('draining Target.DeregistrationInProgress');
    clock.advance(1);
    expect(state()).toBe('unused Target.NotRegistered');
  });

  it('does not start the delay again when asked twice', () => {
    const { clock, group, healthy, state } = lab();
    healthy();
    group.deregister([{ id: 'i-a' }]);
    clock.advance(200_000);
    group.deregister([{ id: 'i-a' }]);
    clock.advance(100_000);
    expect(state()).toBe('unused Target.NotRegistered');
  });

  it('does nothing, silently, without the port that the target was registered with', () => {
    const { group, healthy, state } = lab();
    healthy('i-a', 8001);
    group.deregister([{ id: 'i-a' }]);
    expect(state('i-a', 8001)).toBe('healthy');
    expect(group.history.at(-1)?.state).toBe('healthy');
  });

  it('takes one port of an instance and leaves the other', () => {
    const { group, healthy, state } = lab();
    healthy('i-a', 8000);
    healthy('i-a', 8001);
    group.deregister([{ id: 'i-a', port: 8001 }]);
    expect(state('i-a', 8001)).toBe('draining Target.DeregistrationInProgress');
    expect(state('i-a')).toBe('healthy');
  });

  it('says nothing of a target that is not there', () => {
    const { group } = lab();
    group.deregister([{ id: 'i-unknown' }]);
    expect(group.history).toEqual([]);
  });

  it('drains nothing where there is no load balancer', () => {
    const { group, state } = lab({ loadBalancerArns: [] });
    group.register([{ id: 'i-a' }]);
    group.deregister([{ id: 'i-a' }]);
    expect(state()).toBe('unused Target.NotRegistered');
  });
});

describe('registering again', () => {
  it('leaves a registered target as it is', () => {
    const { group, healthy, state } = lab();
    healthy();
    const before = group.history.length;
    group.register([{ id: 'i-a' }, { id: 'i-a', port: 8000 }]);
    expect(state()).toBe('healthy');
    expect(group.history).toHaveLength(before);
  });

  it('brings a draining instance back as a new target, and its old drain never ends it', () => {
    const { clock, group, healthy, check, state } = lab();
    healthy();
    group.deregister([{ id: 'i-a' }]);
    clock.advance(1000);
    group.register([{ id: 'i-a' }]);
    expect(state()).toBe('initial Elb.RegistrationInProgress');
    clock.advance(2000);
    check(passed);
    clock.advance(400_000);
    expect(state()).toBe('healthy');
  });

  it('is refused for an address until its delay is over', () => {
    const { clock, group, state } = lab({ targetType: 'ip' });
    group.register([{ id: '10.0.0.5' }]);
    group.deregister([{ id: '10.0.0.5' }]);
    const again = () => group.register([{ id: '10.0.0.5' }]);
    expect(again).toThrow(expect.objectContaining({ code: 'InvalidTarget' }));
    clock.advance(300_000);
    again();
    expect(state('10.0.0.5')).toBe('initial Elb.RegistrationInProgress');
  });
});

describe('what is around the target', () => {
  it('is unused without a load balancer', () => {
    const { group, healthy, state } = lab();
    healthy();
    group.loadBalancerArns.length = 0;
    expect(state()).toBe('unused Target.NotInUse');
  });

  it.each([
    ['stopped', 'unused Target.InvalidState'],
    ['terminated', 'unused Target.InvalidState'],
    ['ip-unusable', 'unused Target.IpUnusable'],
  ] as const)('shows %s as %s', (condition, expected) => {
    const { group, healthy, state } = lab();
    healthy();
    group.condition = () => condition;
    expect(state()).toBe(expected);
  });

  it('is unavailable where health checks are off', () => {
    const { clock, group, state } = lab({ healthCheck: { enabled: false } });
    group.register([{ id: 'i-a' }]);
    clock.advance(2000);
    expect(state()).toBe('unavailable Target.HealthCheckDisabled');
  });

  it('answers NotRegistered for what was never registered', () => {
    const { state } = lab();
    expect(state('i-other')).toBe('unused Target.NotRegistered');
  });
});

describe('what is refused', () => {
  it.each([
    ['an instance that does not run', { id: 'i-stopped' }, 'InvalidTarget'],
    ['an address in a group of instances', { id: '10.0.0.5' }, 'ValidationError'],
    ['a port that is none', { id: 'i-a', port: 70_000 }, 'ValidationError'],
  ])('%s', (_what, target, code) => {
    const { group } = lab();
    group.condition = (id) => (id === 'i-stopped' ? 'stopped' : 'usable');
    expect(() => group.register([{ id: 'i-good' }, target])).toThrow(expect.objectContaining({ code }));
    expect(group.health()).toEqual([]);
  });

  it('an instance in a group of addresses', () => {
    const { group } = lab({ targetType: 'ip' });
    expect(() => group.register([{ id: 'i-a' }])).toThrow(TargetGroupError);
  });

  it('an address of the internet, and takes private ones', () => {
    const { group } = lab({ targetType: 'ip' });
    expect(() => group.register([{ id: '192.0.2.1' }])).toThrow(
      expect.objectContaining({ code: 'ValidationError' }),
    );
    group.register([{ id: '10.0.0.5' }, { id: '100.64.0.1' }, { id: 'fd00::5' }]);
    expect(group.health()).toHaveLength(3);
  });

  it('the thousand-and-first target', () => {
    const { group } = lab();
    group.register(Array.from({ length: 1000 }, (_, index) => ({ id: `i-${index}` })));
    expect(() => group.register([{ id: 'i-more' }])).toThrow(
      expect.objectContaining({ code: 'TooManyTargets' }),
    );
  });

  it.each([
    ['deregistration_delay.timeout_seconds', '3601'],
    ['slow_start.duration_seconds', '10'],
    ['stickiness.type', 'cookie'],
    ['no.such.attribute', '1'],
  ])('attribute %s=%s, and then none of the others is set', (key, value) => {
    const { group } = lab();
    const attributes = { 'stickiness.enabled': 'true', [key]: value };
    expect(() => group.setAttributes(attributes)).toThrow(TargetGroupError);
    expect(group.attributes.get('stickiness.enabled')).toBe('false');
  });

  it('a matcher outside of 200 to 499', () => {
    expect(() => lab({ healthCheck: { matcher: '200-599' } })).toThrow('200,301');
  });
});

it('tells every change of state with its time, oldest first', () => {
  const { clock, group, healthy } = lab();
  const start = clock.now();
  const seen: string[] = [];
  group.onChange(({ state }) => seen.push(state));
  healthy();
  group.deregister([{ id: 'i-a' }]);
  clock.advance(300_000);
  expect(seen).toEqual(['initial', 'initial', 'healthy', 'draining', 'unused']);
  expect(group.history.map(({ state, at }) => [state, at - start])).toEqual([
    ['initial', 0],
    ['initial', 2000],
    ['healthy', 2000],
    ['draining', 2000],
    ['unused', 302_000],
  ]);
});

describe('time out of rotation', () => {
  it('is from the deregistration to the first check passed after the return', () => {
    const { clock, group, healthy } = lab({ attributes: { 'deregistration_delay.timeout_seconds': '60' } });
    healthy();
    healthy('i-b');
    clock.advance(5000);
    group.deregister([{ id: 'i-a' }]);
    clock.advance(70_000);
    healthy();
    clock.advance(5000);
    expect(outOfRotation(group.history, clock.now())).toEqual({ 'i-a:8000': 72_000, 'i-b:8000': 0 });
  });

  it('lasts until now for a target that did not come back, and leaves out one that was never in', () => {
    const { clock, group, healthy, check } = lab();
    healthy();
    group.register([{ id: 'i-b' }]);
    check(refused);
    check(refused);
    clock.advance(9000);
    expect(outOfRotation(group.history, clock.now())).toEqual({ 'i-a:8000': 9000 });
  });
});

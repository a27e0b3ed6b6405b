import { describe, expect, it } from '@jest/globals';
import { inputsOf, UserError } from '@lockkeeper/action';
import type { Instance, TargetGroup, TargetHealth } from '@lockkeeper/aws';
import { lostBy, readFleetRecord } from '../src/hosts/fleet-record.ts';
import { parseInputs } from '../src/inputs.ts';
import { batchSizeOf, capacityWithout, requiredHealthy } from '../src/plan/capacity.ts';
import { groupProblems } from '../src/plan/groups.ts';
import { type FleetMember, fleetMembers, type Lost } from '../src/plan/members.ts';
import { planRoll } from '../src/plan/plan.ts';
import type { PlanSettings } from '../src/plan/plan-settings.ts';
import { arn, group, health, planSettings } from './stand.ts';

const instance = (id: string, change: Partial<Instance> = {}): Instance => ({
  id,
  state: 'running',
  zone: 'ap-northeast-2a',
  publicIp: `203.0.113.${id.charCodeAt(2)}`,
  privateIp: '10.0.0.5',
  publicDns: '',
  privateDns: '',
  autoScalingGroup: '',
  ...change,
});
const facts = (targets: TargetHealth[], change: Partial<TargetGroup> = {}) => [
  { group: group(change), health: targets },
];
const instancesOf = (...list: Instance[]) => new Map(list.map((one) => [one.id, one]));
const surveyed = (
  targets: TargetHealth[],
  instances: ReadonlyMap<string, Instance> = instancesOf(...targets.map(({ id }) => instance(id))),
  change: Partial<PlanSettings> = {},
  lost?: Lost,
) => fleetMembers({ groups: facts(targets), instances, scaling: new Map() }, planSettings(change), lost);
const membersOf = (targets: TargetHealth[], change: Partial<PlanSettings> = {}): FleetMember[] =>
  surveyed(targets, undefined, change).members;
const plan = (targets: TargetHealth[], change: Partial<PlanSettings> = {}, unchanged: string[] = []) =>
  planRoll(
    facts(targets),
    membersOf(targets, change),
    new Map(targets.map(({ id }) => [id, { unchanged: unchanged.includes(id) }])),
    planSettings(change),
  );
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('it was not refused');
};
const sick = (id: string) =>
  health(id, { state: 'unhealthy', reason: 'Target.Timeout', description: 'Request timed out' });

describe('how many may leave', () => {
  it.each([
    [{ percent: 50 }, 3, 2],
    [{ percent: 100 }, 2, 2],
    [{ count: 2 }, 5, 2],
    [{ count: 0 }, 5, 1],
  ])('min-healthy %j of %i keeps %i serving', (minHealthy, total, count) => {
    expect(requiredHealthy(group(), total, minHealthy).count).toBe(count);
  });

  it("takes the group's own threshold when it is stricter, and names it", () => {
    const strict = group({ unhealthyRouting: { count: 1, percent: 60 } });
    expect(requiredHealthy(strict, 5, { count: 1 })).toEqual({
      count: 3,
      because: 'unhealthy_state_routing.minimum_healthy_targets of the target group',
    });
  });

  it.each([
    [{ percent: 30 }, 10, 3],
    [{ percent: 30 }, 5, 1],
    [{ percent: 10 }, 2, 1],
    [{ count: 4 }, 10, 4],
  ])('batch-size %j of %i is %i', (size, hosts, expected) => {
    expect(batchSizeOf(size, hosts)).toBe(expected);
  });

  it('lets what serves nobody leave, but not the last one that serves because all are sick', () => {
    const one = { count: 1, because: '' };
    const leaving = (...ids: string[]) => new Set(ids.map((id) => `${id}:8000`));
    expect(capacityWithout([health('i-a'), sick('i-b')], group(), leaving('i-b'), one).allowed).toBe(true);
    expect(capacityWithout([health('i-a'), sick('i-b')], group(), leaving('i-a'), one).allowed).toBe(false);
    expect(capacityWithout([sick('i-a'), sick('i-b')], group(), leaving('i-a'), one).allowed).toBe(true);
    expect(capacityWithout([sick('i-a')], group(), leaving('i-a'), one).allowed).toBe(false);
  });
});

describe('the plan', () => {
  it('starts with unhealthy targets and goes batch by batch', () => {
    const targets = [health('i-a'), health('i-b'), sick('i-c'), health('i-d')];
    expect(plan(targets, { batchSize: { count: 2 } }).batches).toEqual([
      ['i-c', 'i-a'],
      ['i-b', 'i-d'],
    ]);
  });

  it('leaves alone what runs the release already, unless it is unhealthy', () => {
    const { batches, skipped } = plan([health('i-a'), sick('i-b')], {}, ['i-a', 'i-b']);
    expect(skipped).toEqual(['i-a']);
    expect(batches).toEqual([['i-b']]);
  });

  it.each([
    ['the only target', [health('i-a')], {}, /would leave 0 of 1 .*can never hold/],
    ['all at once', [health('i-a'), health('i-b')], { batchSize: { count: 2 } }, /smaller batch-size/],
    [
      'min-healthy of all',
      [health('i-a'), health('i-b')],
      { minHealthy: { percent: 100 } },
      /min-healthy: 100%/,
    ],
  ])('refuses to take out %s', (_what, targets, change, expected) => {
    expect(plan(targets, change).problems.join('\n')).toMatch(expected);
  });

  it('tells the least and the most time, and what to look out for', () => {
    const { estimate, notes, warnings } = planRoll(
      facts([health('i-a'), sick('i-b')], {
        slowStart: 60_000,
        stickiness: { type: 'app_cookie', duration: 86_400_000 },
      }),
      membersOf([health('i-a'), sick('i-b')]),
      new Map(),
      planSettings(),
    );
    expect(estimate.least).toBe(2 * (15_000 + 20_000));
    expect(estimate.most).toBe(2 * (60_000 + 20_000 + 50_000));
    expect(notes.join('\n')).toMatch(/stickiness \(app_cookie, 24 h\).*[\s\S]*quiet for 1 min/);
    expect(notes.join('\n')).toContain('migrations in its entrypoint');
    expect(warnings.join('\n')).toMatch(
      /set bake-time to 1 min[\s\S]*i-b:8000 is unhealthy .*security group/,
    );
  });

  it('counts the delay where hosts may not return before it is over', () => {
    const ip = { targetType: 'ip', deregistrationDelay: 300_000 };
    const targets = [health('10.0.0.5'), health('10.0.0.6')];
    const { members } = fleetMembers(
      { groups: facts(targets, ip), instances: new Map(), scaling: new Map() },
      planSettings(),
    );
    const { estimate, notes } = planRoll(facts(targets, ip), members, new Map(), planSettings());
    expect(members.map(({ address }) => address)).toEqual([{ host: '10.0.0.5' }, { host: '10.0.0.6' }]);
    expect(estimate.least).toBe(2 * 300_000);
    expect(notes.join('\n')).toContain(
      'an address returns to web only when the deregistration delay of 5 min is over',
    );
  });

  it('refuses more hosts than the state of a step can hold, and lets the most through', () => {
    const fleet = (count: number) =>
      Array.from({ length: count }, (_, n) => health(`10.0.${n >> 7}.${n & 127}`));
    const surveyOf = (count: number) =>
      fleetMembers(
        { groups: facts(fleet(count), { targetType: 'ip' }), instances: new Map(), scaling: new Map() },
        planSettings(),
      );
    expect(surveyOf(151).problems).toEqual([expect.stringMatching(/^151 hosts are more than/)]);
    const { members, problems } = surveyOf(150);
    expect(problems).toEqual([]);
    const { hosts } = planRoll(facts(fleet(150), { targetType: 'ip' }), members, new Map(), planSettings());
    const failed = hosts.map((host) => ({ ...host, failure: 'x'.repeat(200) }));
    const previous = members.map(({ id }) => [id, '20261121-031200-a1b2c3d-k3f9']);
    expect(
      JSON.stringify([failed, members.map(({ id, address }) => ({ id, ...address })), previous]).length,
    ).toBeLessThan(120 * 1024);
  });

  it('refuses one machine under two names', () => {
    const groups = [
      ...facts([health('i-a')]),
      { group: group({ arn: 'arn:ip', name: 'ip', targetType: 'ip' }), health: [health('10.0.0.5')] },
    ];
    const { problems } = fleetMembers(
      { groups, instances: instancesOf(instance('i-a')), scaling: new Map() },
      planSettings(),
    );
    expect(problems).toEqual([expect.stringMatching(/^i-a and 10\.0\.0\.5 are the same machine/)]);
  });

  it.each([
    ['lambda', { targetType: 'lambda' }, /no host to deploy to/],
    ['another load balancer', { targetType: 'alb' }, /name that one's target group/],
    ['a network load balancer', { protocol: 'TCP' }, /speaks TCP; expected HTTP or HTTPS/],
    ['no load balancer', { loadBalancers: [] }, /no load balancer uses/],
  ])('refuses a target group of %s', (_what, change, expected) => {
    expect(groupProblems(facts([], change)).join('\n')).toMatch(expected);
  });

  it.each([
    ['a target that is not registered', { targets: [{ id: 'i-z' }] }, {}, /i-z is not registered in web/],
    ['another port', { targets: [{ id: 'i-a', port: 9 }] }, {}, /registered on port 8000, not 9/],
    ['a host without address', {}, { publicIp: '' }, /no public IP address; choose another host-address/],
    ['a stopped instance', {}, { state: 'stopped' }, /i-a is stopped; start it/],
    ['an address for nobody', { hosts: new Map([['i-z', { host: 'h' }]]) }, {}, /hosts: i-z is not among/],
  ])('refuses %s', (_what, change, one, expected) => {
    const { problems } = surveyed([health('i-a')], instancesOf(instance('i-a', one)), change);
    expect(problems.join('\n')).toMatch(expected);
  });

  it('takes an instance with several ports out of all of them', () => {
    const both = [health('i-a'), health('i-a', { port: 9000 })];
    expect(membersOf(both)[0]?.memberships).toEqual([
      { group: arn, port: 8000 },
      { group: arn, port: 9000 },
    ]);
    const { problems } = surveyed(both, undefined, { targets: [{ id: 'i-a', port: 8000 }] });
    expect(problems.join('\n')).toContain('leave the port out');
  });

  it('puts whom a lost run took out first, without a drain, and counts it as part of the fleet', () => {
    const targets = [health('i-a')];
    const instances = instancesOf(instance('i-a'), instance('i-b'));
    const { members } = surveyed(
      targets,
      instances,
      {},
      {
        places: [{ id: 'i-b', group: arn, port: 8000 }],
        ids: new Set(['i-a', 'i-b']),
      },
    );
    const { hosts, batches } = planRoll(facts(targets), members, new Map(), planSettings());
    expect(batches).toEqual([['i-b'], ['i-a']]);
    expect(hosts.find(({ id }) => id === 'i-b')).toMatchObject({ rotation: 'out', touched: true });
  });
});

describe("a host's record of the fleet", () => {
  const written = {
    version: 1 as const,
    open: true,
    runUrl: 'https://github.com/o/r/actions/runs/1',
    release: 'r',
    at: '2026-11-21T00:00:00Z',
    targets: [{ group: arn, id: 'i-0b', port: 8000 }],
    minimums: [],
  };
  const log = { warning: () => {} } as unknown as Parameters<typeof readFleetRecord>[2];

  it('names who is missing only while its run did not end', () => {
    const there = facts([health('i-0b')]);
    const gone = facts([]);
    expect(lostBy([written], gone).places).toEqual(written.targets);
    expect(lostBy([written], there).places).toEqual([]);
    expect(lostBy([written], facts([health('i-0b', { state: 'draining' })])).places).toHaveLength(1);
    expect(lostBy([{ ...written, open: false }], gone)).toEqual({ places: [], ids: new Set(), minimums: [] });
    expect(lostBy([written, written], gone).places).toHaveLength(1);
    expect(lostBy([written], [{ group: group({ arn: 'another' }), health: [] }]).places).toEqual([]);
  });

  it('tells what else was changed for its run: who may be in standby, and minimum sizes', () => {
    const { ids, minimums } = lostBy(
      [{ ...written, minimums: [{ group: 'web', minSize: 2 }] }],
      facts([health('i-0b')]),
    );
    expect([...ids]).toEqual(['i-0b']);
    expect(minimums).toEqual([{ group: 'web', minSize: 2 }]);
  });

  it('is left out of account when it is not of our form', () => {
    expect(readFleetRecord(written, 'h', log)).toEqual(written);
    const { minimums, ...byEarlierVersions } = written;
    expect(readFleetRecord(byEarlierVersions, 'h', log)).toEqual(written);
    const address = { ...written, targets: [{ group: arn, id: '10.0.0.5', port: 8000 }] };
    expect(readFleetRecord(address, 'h', log)).toEqual(address);
    expect(readFleetRecord({ ...written, targets: [{ id: '$(x)', group: arn, port: 1 }] }, 'h', log)).toBe(
      undefined,
    );
    expect(readFleetRecord(undefined, 'h', log)).toBe(undefined);
  });
});

describe('the inputs', () => {
  const defaults: Record<string, string> = {
    'host-address': 'public-ip',
    'host-keys': 'inputs',
    'batch-size': '1',
    'min-healthy': '1',
    drain: 'idle',
    'drain-settle': '15s',
    'healthy-timeout': '5m',
    'bake-time': '0s',
    'on-failure': 'rollback-all',
  };
  const problems = (given: Record<string, string>) =>
    refusal(() => parseInputs(inputsOf(given, defaults), { AWS_REGION: 'ap-northeast-2' }));

  it.each([
    ['target-group-arn', 'web', /target-group-arn: "web" is not valid/],
    ['target-group-arn', arn.replace('ap-northeast-2', 'eu-west-1'), /is in eu-west-1, but region is/],
    ['targets', 'web-1', /targets: "web-1" is not valid; expected i-/],
    ['targets', 'i-0123456789abcdef0:99999', /targets: "i-0123456789abcdef0:99999"/],
    ['hosts', 'i-0123456789abcdef0=-oProxyCommand=x', /hosts: /],
    ['batch-size', '0', /batch-size: "0" is not valid/],
    ['batch-size', '120%', /batch-size: "120%"/],
    ['drain-settle', '15', /drain-settle: "15" is not valid; expected a duration with its unit/],
    ['host-keys', 'trust-me', /host-keys: "trust-me" is not valid; expected inputs, ec2-console/],
    ['targets', '10.0.0.5:99999', /targets: "10.0.0.5:99999"/],
    ['on-failure', 'panic', /on-failure: "panic"/],
    // compose-deploy's, for one host; a fleet's would have to say on which.
    ['run', 'docker compose exec -T db pg_dump app', /^run: is not supported by this version yet/m],
    ['run-output', 'backup.sql', /^run-output: is not supported by this version yet/m],
  ])('refuses %s: %s', (name, value, expected) => {
    expect(problems({ [name]: value })).toMatch(expected);
  });

  it.each([
    ['of the environment', {}, { AWS_REGION: 'ap-northeast-2' }, /^(?!.*region)/s],
    ['that the ARN names', {}, {}, /^(?!.*region)/s],
    ['that was given', { region: 'eu-west-1' }, {}, /is in ap-northeast-2, but region is eu-west-1/],
    [
      'that two ARNs do not agree on',
      { 'target-group-arn': `${arn},${arn.replace('ap-northeast-2', 'eu-west-1')}` },
      {},
      /target-group-arn: names groups in ap-northeast-2 and eu-west-1; expected one region/,
    ],
    ['that an ARN does not tell', { 'target-group-arn': 'web' }, {}, /^(?!.*region: )/s],
  ])('takes the region %s', (_, given, env, expected) => {
    const all = { 'target-group-arn': arn, ...given };
    expect(refusal(() => parseInputs(inputsOf(all, defaults), env))).toMatch(expected);
  });

  it('tells every problem at once', () => {
    const all = problems({ 'batch-size': '0', targets: 'x' });
    for (const name of [
      'target-group-arn',
      'targets',
      'batch-size',
      'username',
      'private-key',
      'project-directory',
    ])
      expect(all).toContain(`${name}: `);
  });
});

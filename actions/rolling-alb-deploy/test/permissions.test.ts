import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { evaluate, type TargetGroup } from '@lockkeeper/lab';
import { console, openAwsStage } from './aws-stage.ts';
import { shippedPolicy } from './fleet-stage.ts';

// The shipped policy, held against an account that denies one action of it after the other.

let stage: Awaited<ReturnType<typeof openAwsStage>>;
let group: TargetGroup;

beforeAll(async () => {
  stage = await openAwsStage();
  const { account } = stage;
  group = stage.group({
    name: 'web',
    port: 8000,
    loadBalancerArns: [account.addLoadBalancer({ name: 'web' }).arn],
  });
  const members = [1, 2].map((n) =>
    account.addInstance({
      publicIp: `127.77.9.${n}`,
      privateIp: `10.0.1.${n}`,
      securityGroupIds: [],
      consoleOutput: console,
    }),
  );
  // At its minimum, so that the roll has to lower it.
  account.addScalingGroup({ name: 'web', minSize: 2, maxSize: 4, members, targetGroups: [group] });
  group.register(members.map(({ id }) => ({ id })));
});
afterAll(() => stage.close());

function withoutLeaveTo(...denied: string[]): Promise<string> {
  const { region, accountId } = stage.account;
  const policy = shippedPolicy({ region, accountId, targetGroupArns: [group.arn] }, denied);
  return stage.refusal(policy, { 'target-group-arn': group.arn, 'host-keys': 'ec2-console' });
}

const shipped = shippedPolicy({
  region: 'r',
  accountId: '1',
  targetGroupArns: ['arn:of:our:own:target:group'],
});
const needed = shipped.Statement.flatMap(({ Action }) => Action)
  // Without it the plan only says what could not be read: fleet.test.ts.
  .filter((action) => action !== 'elasticloadbalancing:DescribeLoadBalancerAttributes');

it('suffices: what is in the way then is that there are no hosts', async () => {
  expect(await withoutLeaveTo()).toMatch(/127\.77\.9\.1/);
  expect(needed).toHaveLength(12);
});

it.each(needed)('%s is named when it is missing, and nothing was changed', async (action) => {
  expect(await withoutLeaveTo(action)).toContain(`not allowed: ${action}`);
  expect(group.health().map(({ state }) => state)).toEqual(['initial', 'initial']);
  expect(stage.account.scalingGroups.get('web')).toMatchObject({ minSize: 2, desiredCapacity: 2 });
});

/** What a limit of a statement holds back: its condition, or the resources that it names. */
const limits: Array<
  [
    sid: string,
    limit: 'Condition' | 'Resource',
    what: string,
    action: string,
    resource: string,
    region: string,
  ]
> = [
  [
    'TakeOutAndPutBack',
    'Resource',
    'taking targets out of another group',
    'elasticloadbalancing:DeregisterTargets',
    'arn:aws:elasticloadbalancing:r:1:targetgroup/other/1',
    'r',
  ],
  ['See', 'Condition', 'looking at another region', 'ec2:DescribeInstances', '*', 'us-east-1'],
  [
    'StepAsideInAutoScaling',
    'Resource',
    'changing another Auto Scaling group',
    'autoscaling:UpdateAutoScalingGroup',
    'arn:aws:autoscaling:r:1:autoScalingGroup:1:autoScalingGroupName/other',
    'r',
  ],
  [
    'SeeAutoScaling',
    'Condition',
    'looking at Auto Scaling in another region',
    'autoscaling:DescribeAutoScalingGroups',
    '*',
    'us-east-1',
  ],
  [
    'ReadHostKeysFromConsole',
    'Resource',
    'reading the console of instances elsewhere',
    'ec2:GetConsoleOutput',
    'arn:aws:ec2:us-east-1:1:instance/i-0123456789abcdef0',
    'us-east-1',
  ],
];

describe('the policy', () => {
  it.each(limits)('%s, by its %s, holds back %s', (sid, limit, _, action, resource, region) => {
    const request = { action, resource, context: { 'aws:RequestedRegion': region } };
    expect(evaluate(shipped, request)).toBe('implicit-deny');
    const statements = shipped.Statement.map((one) => {
      if (one.Sid !== sid) return one;
      const { Condition: _condition, ...unlimited } = one;
      return limit === 'Condition' ? unlimited : { ...one, Resource: '*' };
    });
    expect(evaluate({ Statement: statements }, request)).toBe('allowed');
  });

  it('has a limit in each statement, and each is tried', () =>
    expect(limits.map(([sid]) => sid)).toEqual(shipped.Statement.map(({ Sid }) => Sid)));
});

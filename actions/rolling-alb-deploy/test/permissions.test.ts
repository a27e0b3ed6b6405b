import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { TargetGroup } from '@lockkeeper/lab';
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

const needed = shippedPolicy({ region: 'r', accountId: '1', targetGroupArns: [] })
  .Statement.flatMap(({ Action }) => Action)
  // Without it the plan only says what could not be read.
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

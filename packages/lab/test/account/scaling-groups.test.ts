import {
  type AutoScalingClient,
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeInstanceRefreshesCommand,
  EnterStandbyCommand,
  ExitStandbyCommand,
  UpdateAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Instance, ScalingGroup } from '../../src/account/index.ts';
import { TargetGroup } from '../../src/balancer/index.ts';
import { refusal, type Served, serveAccount } from './endpoint.ts';

describe('an Auto Scaling group of the lab account', () => {
  let served: Served;
  let client: AutoScalingClient;
  let targets: TargetGroup;
  let group: ScalingGroup;
  let one: Instance;
  let two: Instance;
  let addresses = 20;
  const gone: string[] = [];

  const instance = () =>
    served.account.addInstance({ privateIp: `10.0.1.${addresses++}`, securityGroupIds: [] });

  beforeEach(async () => {
    served = await serveAccount();
    client = served.scaling();
    const { account, clock } = served;
    const balancer = account.addLoadBalancer({ name: 'web' });
    targets = new TargetGroup({
      clock,
      name: 'web',
      port: 8000,
      attributes: { 'deregistration_delay.timeout_seconds': '30' },
      loadBalancerArns: [balancer.arn],
    });
    account.addTargetGroup(targets);
    [one, two] = [instance(), instance()];
    group = account.addScalingGroup({
      name: 'web',
      minSize: 1,
      maxSize: 4,
      members: [one, two],
      targetGroups: [targets],
      healthCheckType: 'ELB',
      launch: instance,
    });
    targets.register([{ id: one.id }, { id: two.id }]);
    clock.advance(3_000);
    gone.length = 0;
    group.onTerminated(({ id }) => gone.push(id));
  });
  afterEach(() => {
    group.close();
    return served.close();
  });

  const enter = (ids: string[], decrement = true) =>
    client.send(
      new EnterStandbyCommand({
        AutoScalingGroupName: 'web',
        InstanceIds: ids,
        ShouldDecrementDesiredCapacity: decrement,
      }),
    );
  const exit = (...ids: string[]) =>
    client.send(new ExitStandbyCommand({ AutoScalingGroupName: 'web', InstanceIds: ids }));
  const described = async () => {
    const answer = await client.send(
      new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: ['web', 'nobody'] }),
    );
    return answer.AutoScalingGroups![0]!;
  };
  const lifecycles = async () => (await described()).Instances!.map(({ LifecycleState }) => LifecycleState);
  const states = () => targets.health().map(({ state }) => state);
  /** Time passes, and what it started asynchronously happens. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      served.clock.advance(1_000);
      await Promise.resolve();
    }
  };

  it('tells its sizes, members and target groups', async () => {
    expect(await described()).toMatchObject({
      AutoScalingGroupName: 'web',
      MinSize: 1,
      MaxSize: 4,
      DesiredCapacity: 2,
      TargetGroupARNs: [targets.arn],
      HealthCheckType: 'ELB',
      Instances: [{ InstanceId: one.id, LifecycleState: 'InService' }, { InstanceId: two.id }],
      SuspendedProcesses: [],
    });
    const spare = instance();
    const { AutoScalingInstances } = await client.send(
      new DescribeAutoScalingInstancesCommand({ InstanceIds: [one.id, spare.id] }),
    );
    expect(AutoScalingInstances).toMatchObject([{ InstanceId: one.id, AutoScalingGroupName: 'web' }]);
  });

  it('lets a member into standby: out of its target group, and only when that has drained', async () => {
    await enter([one.id]);
    expect(await lifecycles()).toEqual(['EnteringStandby', 'InService']);
    expect((await described()).DesiredCapacity).toBe(1);
    expect(states()).toEqual(['draining', 'initial']);
    await pass(29_000);
    expect(await lifecycles()).toEqual(['EnteringStandby', 'InService']);
    await pass(6_000);
    expect(await lifecycles()).toEqual(['Standby', 'InService']);
  });

  it('takes it back with the capacity it gave up, and registers it', async () => {
    await enter([one.id]);
    await pass(40_000);
    await exit(one.id);
    expect(await lifecycles()).toEqual(['Pending', 'InService']);
    await pass(3_000);
    expect(await lifecycles()).toEqual(['InService', 'InService']);
    expect((await described()).DesiredCapacity).toBe(2);
    expect(states()).toEqual(['initial', 'initial']);
  });

  it('starts another where the capacity is to stay', async () => {
    await enter([one.id], false);
    await pass(1_000);
    expect((await described()).Instances).toHaveLength(3);
  });

  it('ends a member that left its target group by any other way, but none in standby', async () => {
    targets.deregister([{ id: two.id }]);
    await enter([one.id], false);
    await pass(60_000);
    expect(gone).toEqual([two.id]);
    expect(two.state).toBe('terminated');
    expect(one.state).toBe('running');
  });

  it.each<[string, () => Promise<unknown>, RegExp]>([
    ['a member that is not in service', () => exit(one.id), /is not in Standby/],
    ['a stranger', () => enter(['i-0123456789abcdef0']), /is not part of Auto Scaling group web/],
    [
      'more than the minimum allows',
      () => enter([one.id, two.id]),
      /has min-size=1, max-size=4, and desired-size=2\. To place into standby 2 instances/,
    ],
    [
      'more than 19 at once',
      () => enter(Array.from({ length: 20 }, () => one.id)),
      /length less than or equal to 19/,
    ],
  ])('refuses %s', async (_, call, message) => {
    expect(await refusal(call())).toMatchObject({
      name: 'ValidationError',
      status: 400,
      message: expect.stringMatching(message),
    });
  });

  it('takes nobody back at its maximum, or while Launch is suspended', async () => {
    await enter([one.id]);
    await pass(40_000);
    group.resize({ maxSize: 1 });
    expect(await refusal(exit(one.id))).toMatchObject({ message: expect.stringMatching(/max-size=1/) });
    group.resize({ maxSize: 2 });
    group.suspended.add('Launch');
    expect(await refusal(exit(one.id))).toMatchObject({ message: expect.stringMatching(/Launch/) });
    expect((await described()).SuspendedProcesses).toMatchObject([{ ProcessName: 'Launch' }]);
  });

  it('follows new sizes, and starts who is missing then', async () => {
    await client.send(new UpdateAutoScalingGroupCommand({ AutoScalingGroupName: 'web', MinSize: 3 }));
    await pass(1_000);
    expect(await described()).toMatchObject({ MinSize: 3, MaxSize: 4, DesiredCapacity: 3 });
    expect((await described()).Instances).toHaveLength(3);
    const tooMany = new UpdateAutoScalingGroupCommand({ AutoScalingGroupName: 'web', MinSize: 5 });
    expect(await refusal(client.send(tooMany))).toMatchObject({ name: 'ValidationError' });
  });

  it('keeps a new member waiting for its launch hook, and none that comes from standby', async () => {
    group.launchHook = true;
    await enter([one.id]);
    await pass(40_000);
    await exit(one.id);
    group.scaleOut();
    await pass(10_000);
    expect(await lifecycles()).toEqual(['InService', 'InService', 'Pending:Wait']);
    group.completeLaunch([...group.members.keys()].at(-1)!);
    await pass(3_000);
    expect(await lifecycles()).toEqual(['InService', 'InService', 'InService']);
  });

  it('tells of an instance refresh', async () => {
    const refreshes = async () =>
      (await client.send(new DescribeInstanceRefreshesCommand({ AutoScalingGroupName: 'web' })))
        .InstanceRefreshes;
    expect(await refreshes()).toEqual([]);
    group.refresh = { id: 'r-1', status: 'InProgress' };
    expect(await refreshes()).toMatchObject([{ InstanceRefreshId: 'r-1', Status: 'InProgress' }]);
  });

  it('asks leave for the group by its name', async () => {
    const { user, account } = served;
    const mine = { accessKeyId: 'AKIASCALING', secretAccessKey: 'secret' };
    account.addUser({
      ...mine,
      policy: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Action: 'autoscaling:EnterStandby',
            Resource: `arn:aws:autoscaling:${account.region}:${account.accountId}:autoScalingGroup:*:autoScalingGroupName/web`,
          },
        ],
      },
    });
    expect(user.accessKeyId).not.toBe(mine.accessKeyId);
    client = served.scaling({ credentials: mine });
    expect(await refusal(exit(one.id))).toMatchObject({ name: 'AccessDenied', status: 403 });
    await enter([one.id]);
    expect(group.members.get(one.id)?.lifecycle).toBe('EnteringStandby');
  });
});

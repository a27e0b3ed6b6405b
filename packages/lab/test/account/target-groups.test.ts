import {
  DeregisterTargetsCommand,
  DescribeLoadBalancerAttributesCommand,
  DescribeLoadBalancersCommand,
  DescribeTargetGroupAttributesCommand,
  DescribeTargetGroupsCommand,
  DescribeTargetHealthCommand,
  type ElasticLoadBalancingV2Client,
  ModifyTargetGroupAttributesCommand,
  RegisterTargetsCommand,
  type TargetDescription,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Instance, LoadBalancer } from '../../src/account/index.ts';
import { TargetGroup } from '../../src/balancer/index.ts';
import { refusal, type Served, serveAccount } from './endpoint.ts';

describe('the target groups of the lab account', () => {
  let served: Served;
  let client: ElasticLoadBalancingV2Client;
  let balancer: LoadBalancer;
  let group: TargetGroup;
  let one: Instance;
  let two: Instance;

  beforeEach(async () => {
    served = await serveAccount();
    client = served.elb();
    const { account, clock } = served;
    balancer = account.addLoadBalancer({
      name: 'web',
      attributes: { 'idle_timeout.timeout_seconds': '120' },
    });
    group = new TargetGroup({
      clock,
      name: 'backend',
      port: 8000,
      healthCheck: { path: '/health/', intervalMs: 10_000, healthyThreshold: 3 },
      attributes: { 'deregistration_delay.timeout_seconds': '30' },
      loadBalancerArns: [balancer.arn],
    });
    account.addTargetGroup(group);
    one = account.addInstance({ privateIp: '10.0.1.20', securityGroupIds: [] });
    two = account.addInstance({ privateIp: '10.0.1.21', securityGroupIds: [] });
  });
  afterEach(() => served.close());

  const register = (...Targets: TargetDescription[]) =>
    client.send(new RegisterTargetsCommand({ TargetGroupArn: group.arn, Targets }));
  const deregister = (...Targets: TargetDescription[]) =>
    client.send(new DeregisterTargetsCommand({ TargetGroupArn: group.arn, Targets }));
  const health = async (...Targets: TargetDescription[]) => {
    const answer = await client.send(
      new DescribeTargetHealthCommand({
        TargetGroupArn: group.arn,
        ...(Targets.length > 0 ? { Targets } : {}),
      }),
    );
    return (answer.TargetHealthDescriptions ?? []).map(({ Target, TargetHealth }) => [
      `${Target?.Id}:${Target?.Port}`,
      TargetHealth?.State,
      TargetHealth?.Reason,
    ]);
  };
  /** The load balancer's checks pass, as they would after a while. */
  const passChecks = () => {
    served.clock.advance(2_000);
    for (const record of group.records()) group.recordCheck(record, { ok: true, status: 200 });
  };

  it('show themselves as the API does, times in seconds', async () => {
    const { TargetGroups } = await client.send(
      new DescribeTargetGroupsCommand({ TargetGroupArns: [group.arn] }),
    );
    expect(TargetGroups).toEqual([
      {
        TargetGroupArn: group.arn,
        TargetGroupName: 'backend',
        Protocol: 'HTTP',
        ProtocolVersion: 'HTTP1',
        Port: 8000,
        VpcId: served.account.vpcId,
        TargetType: 'instance',
        IpAddressType: 'ipv4',
        HealthCheckProtocol: 'HTTP',
        HealthCheckPort: 'traffic-port',
        HealthCheckEnabled: true,
        HealthCheckPath: '/health/',
        HealthCheckIntervalSeconds: 10,
        HealthCheckTimeoutSeconds: 5,
        HealthyThresholdCount: 3,
        UnhealthyThresholdCount: 2,
        Matcher: { HttpCode: '200' },
        LoadBalancerArns: [balancer.arn],
      },
    ]);
    const byName = await client.send(new DescribeTargetGroupsCommand({ Names: ['backend'] }));
    expect(byName.TargetGroups).toHaveLength(1);
    const byBalancer = await client.send(new DescribeTargetGroupsCommand({ LoadBalancerArn: balancer.arn }));
    expect(byBalancer.TargetGroups).toHaveLength(1);
  });

  it('have attributes that can be read and set', async () => {
    await client.send(
      new ModifyTargetGroupAttributesCommand({
        TargetGroupArn: group.arn,
        Attributes: [{ Key: 'slow_start.duration_seconds', Value: '30' }],
      }),
    );
    const { Attributes } = await client.send(
      new DescribeTargetGroupAttributesCommand({ TargetGroupArn: group.arn }),
    );
    expect(Attributes).toEqual(
      expect.arrayContaining([
        { Key: 'deregistration_delay.timeout_seconds', Value: '30' },
        { Key: 'slow_start.duration_seconds', Value: '30' },
        { Key: 'stickiness.enabled', Value: 'false' },
      ]),
    );
  });

  it('stand behind a load balancer with attributes of its own', async () => {
    const { LoadBalancers } = await client.send(
      new DescribeLoadBalancersCommand({ LoadBalancerArns: [balancer.arn] }),
    );
    expect(LoadBalancers).toEqual([
      expect.objectContaining({
        LoadBalancerName: 'web',
        Type: 'application',
        State: { Code: 'active' },
        AvailabilityZones: [
          expect.objectContaining({ ZoneName: 'ap-northeast-2a' }),
          expect.objectContaining({ ZoneName: 'ap-northeast-2c' }),
        ],
      }),
    ]);
    const { Attributes } = await client.send(
      new DescribeLoadBalancerAttributesCommand({ LoadBalancerArn: balancer.arn }),
    );
    expect(Attributes).toContainEqual({ Key: 'idle_timeout.timeout_seconds', Value: '120' });
  });

  it('take a target through initial, healthy, draining and out', async () => {
    await register({ Id: one.id });
    expect(await health()).toEqual([[`${one.id}:8000`, 'initial', 'Elb.RegistrationInProgress']]);
    passChecks();
    expect(await health()).toEqual([[`${one.id}:8000`, 'healthy', undefined]]);
    await deregister({ Id: one.id, Port: 8000 });
    served.clock.advance(29_999);
    expect(await health()).toEqual([[`${one.id}:8000`, 'draining', 'Target.DeregistrationInProgress']]);
    served.clock.advance(1);
    expect(await health()).toEqual([]);
    expect(await health({ Id: one.id, Port: 8000 })).toEqual([
      [`${one.id}:8000`, 'unused', 'Target.NotRegistered'],
    ]);
  });

  it('keep one instance on two ports apart, and say nothing when a port was never registered', async () => {
    await register({ Id: one.id, Port: 8000 }, { Id: one.id, Port: 9000 });
    passChecks();
    await deregister({ Id: one.id, Port: 7000 }, { Id: two.id });
    expect((await health()).map(([name, state]) => `${name} ${state}`)).toEqual([
      `${one.id}:8000 healthy`,
      `${one.id}:9000 healthy`,
    ]);
    await deregister({ Id: one.id });
    expect((await health()).map(([name, state]) => `${name} ${state}`)).toEqual([
      `${one.id}:8000 draining`,
      `${one.id}:9000 healthy`,
    ]);
  });

  it('leave a target on another port in service when it is deregistered without its port', async () => {
    await register({ Id: one.id, Port: 9000 });
    passChecks();
    await deregister({ Id: one.id });
    expect(await health()).toEqual([[`${one.id}:9000`, 'healthy', undefined]]);
  });

  it('show a stopped instance as unused', async () => {
    await register({ Id: one.id });
    one.state = 'stopped';
    expect(await health()).toEqual([[`${one.id}:8000`, 'unused', 'Target.InvalidState']]);
  });

  it('show all as unused while no load balancer uses them', async () => {
    group = new TargetGroup({ clock: served.clock, name: 'orphan', port: 80 });
    served.account.addTargetGroup(group);
    await register({ Id: one.id });
    expect(await health()).toEqual([[`${one.id}:80`, 'unused', 'Target.NotInUse']]);
  });

  it('refuse targets that do not exist or do not run, and register none of that call', async () => {
    const missing = register({ Id: one.id }, { Id: 'i-0123456789abcdef0' });
    expect(await refusal(missing)).toMatchObject({ name: 'InvalidTargetException', status: 400 });
    two.state = 'stopped';
    const stopped = register({ Id: one.id }, { Id: two.id });
    expect(await refusal(stopped)).toEqual({
      name: 'InvalidTargetException',
      status: 400,
      message: `The following targets are not in a running state and cannot be registered: '${two.id}'`,
    });
    expect(await health()).toEqual([]);
  });

  it('refuse to tell the health of an instance that does not exist', async () => {
    expect(await refusal(health({ Id: 'i-0123456789abcdef0' }))).toMatchObject({
      name: 'InvalidTargetException',
      status: 400,
    });
  });

  it('refuse an address that still drains', async () => {
    group = new TargetGroup({
      clock: served.clock,
      name: 'addresses',
      port: 80,
      targetType: 'ip',
      loadBalancerArns: [balancer.arn],
    });
    served.account.addTargetGroup(group);
    await register({ Id: '10.0.1.20' });
    passChecks();
    await deregister({ Id: '10.0.1.20' });
    expect(await refusal(register({ Id: '10.0.1.20' }))).toMatchObject({ name: 'InvalidTargetException' });
  });

  it.each([
    [
      'TargetGroupNotFoundException',
      'arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/x/0123456789abcdef',
    ],
    ['ValidationError', 'backend'],
  ])('%s is what an unknown group gets', async (name, arn) => {
    const calls = [
      client.send(new DescribeTargetGroupsCommand({ TargetGroupArns: [arn] })),
      client.send(new DescribeTargetHealthCommand({ TargetGroupArn: arn })),
      client.send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn: arn })),
      client.send(new RegisterTargetsCommand({ TargetGroupArn: arn, Targets: [{ Id: one.id }] })),
      client.send(new DeregisterTargetsCommand({ TargetGroupArn: arn, Targets: [{ Id: one.id }] })),
    ];
    for (const refused of await Promise.all(calls.map(refusal))) {
      expect(refused).toMatchObject({ name, status: 400 });
    }
  });

  it('come in pages when asked for', async () => {
    served.account.addTargetGroup(new TargetGroup({ clock: served.clock, name: 'second', port: 80 }));
    const first = await client.send(new DescribeTargetGroupsCommand({ PageSize: 1 }));
    const second = await client.send(
      new DescribeTargetGroupsCommand({ PageSize: 1, Marker: first.NextMarker }),
    );
    expect([first, second].map((page) => page.TargetGroups?.map((one) => one.TargetGroupName))).toEqual([
      ['backend'],
      ['second'],
    ]);
    expect(second.NextMarker).toBeUndefined();
  });
});

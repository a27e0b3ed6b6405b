import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Account, labClock, serveAws, TargetGroup } from '@lockkeeper/lab';
import { AwsCallError, openInstances, openTargetGroups, type TargetGroups } from '../src/index.ts';
import { readAttributes } from '../src/target-group.ts';

describe('target groups through the real SDK', () => {
  const clock = labClock(1);
  let account: Account;
  let aws: Awaited<ReturnType<typeof serveAws>>;
  let group: TargetGroup;
  let gate: TargetGroups & { close(): void };
  let id: string;
  let config: Parameters<typeof openTargetGroups>[0];
  const allow = ['elasticloadbalancing:*', 'ec2:DescribeInstances'];

  const signIn = async (actions: string[]) => {
    const credentials = { accessKeyId: `AKIA${actions.length}`, secretAccessKey: 'secret' };
    account.addUser({
      ...credentials,
      policy: {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }],
      },
    });
    config = { region: account.region, endpoint: aws.url, credentials, maxAttempts: 1 };
    gate?.close();
    gate = await openTargetGroups(config);
  };

  beforeEach(async () => {
    account = new Account({ clock, seed: 5 });
    aws = await serveAws(account);
    const balancer = account.addLoadBalancer({
      name: 'web',
      attributes: { 'idle_timeout.timeout_seconds': '3600' },
    });
    group = new TargetGroup({
      clock,
      name: 'web',
      port: 8000,
      healthCheck: { path: '/health/', intervalMs: 30_000, timeoutMs: 5_000 },
      attributes: { 'deregistration_delay.timeout_seconds': '30', 'stickiness.enabled': 'true' },
      loadBalancerArns: [balancer.arn],
    });
    account.addTargetGroup(group);
    ({ id } = account.addInstance({
      publicIp: '203.0.113.9',
      privateIp: '10.0.1.20',
      securityGroupIds: [],
    }));
    await signIn(allow);
    await gate.register(group.arn, [{ id, port: 8000 }]);
  });
  afterEach(async () => {
    gate.close();
    group.close();
    await aws.close();
  });

  it('describes the group with its attributes and its load balancer', async () => {
    expect(await gate.describe(group.arn)).toMatchObject({
      name: 'web',
      targetType: 'instance',
      protocol: 'HTTP',
      port: 8000,
      loadBalancers: [{ idleTimeout: 3_600_000 }],
      healthCheck: {
        path: '/health/',
        port: 'traffic-port',
        interval: 30_000,
        timeout: 5_000,
        matcher: '200',
      },
      deregistrationDelay: 30_000,
      stickiness: { type: 'lb_cookie' },
      unhealthyRouting: { count: 1 },
    });
  });

  it('shows draining for the exact port only', async () => {
    await gate.register(group.arn, [{ id, port: 9000 }]);
    await gate.deregister(group.arn, [{ id, port: 9000 }]);
    const states = (await gate.health(group.arn)).map(({ port, state }) => `${port} ${state}`).sort();
    expect(states).toEqual(['8000 initial', '9000 draining']);
    // AWS answers success, and nothing happens: only a look tells.
    await gate.deregister(group.arn, [{ id, port: 7 }]);
    expect(await gate.health(group.arn)).toHaveLength(2);
  });

  it('finds missing permissions without changing anything', async () => {
    expect(await gate.missingPermissions({ ...group, port: 8000 })).toEqual([]);
    await signIn(['elasticloadbalancing:Describe*', 'elasticloadbalancing:DeregisterTargets']);
    const refusals = await gate.missingPermissions({ ...group, port: 8000 });
    expect(refusals.map(({ message }) => message).join()).toContain('elasticloadbalancing:RegisterTargets');
    expect((await gate.health(group.arn)).map((one) => one.id)).toEqual([id]);
  });

  it('tells a refusal from an answer that was lost', async () => {
    const kindOf = (work: Promise<unknown>) =>
      work.then(
        () => 'none',
        (error) => (error instanceof AwsCallError ? error.kind : String(error)),
      );
    expect(await kindOf(gate.register(group.arn, [{ id: 'i-0badbadbadbadbad0', port: 1 }]))).toBe('refused');
    account.faults.add({ kind: 'lost-response', match: { action: 'RegisterTargets' } });
    expect(await kindOf(gate.register(group.arn, [{ id, port: 8001 }]))).toBe('unsure');
    expect((await gate.health(group.arn)).map(({ port }) => port).sort()).toEqual([8000, 8001]);
    await signIn(['ec2:DescribeInstances']);
    expect(await kindOf(gate.health(group.arn))).toBe('denied');
  });

  it('knows the addresses of instances', async () => {
    const ec2 = await openInstances(config);
    const found = await ec2.describe([id]);
    ec2.close();
    expect(found.get(id)).toMatchObject({
      state: 'running',
      publicIp: '203.0.113.9',
      privateIp: '10.0.1.20',
      autoScalingGroup: '',
    });
  });
});

describe('attributes of a target group', () => {
  it('take the defaults of ELBv2 where they are not given', () => {
    expect(readAttributes(new Map())).toEqual({
      deregistrationDelay: 300_000,
      slowStart: 0,
      unhealthyRouting: { count: 1 },
      dnsFailover: { count: 1 },
    });
  });

  it('are read with thresholds off, in counts and in percent', () => {
    const read = readAttributes(
      new Map([
        ['target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage', '50'],
        ['target_group_health.dns_failover.minimum_healthy_targets.count', 'off'],
        ['stickiness.enabled', 'true'],
        ['stickiness.type', 'app_cookie'],
        ['stickiness.app_cookie.duration_seconds', '3600'],
      ]),
    );
    expect(read.unhealthyRouting).toEqual({ count: 1, percent: 50 });
    expect(read.dnsFailover).toEqual({});
    expect(read.stickiness).toEqual({ type: 'app_cookie', duration: 3_600_000 });
  });
});

import {
  AuthorizeSecurityGroupIngressCommand,
  DescribeSecurityGroupRulesCommand,
  RevokeSecurityGroupIngressCommand,
} from '@aws-sdk/client-ec2';
import { DescribeTargetGroupsCommand } from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Fault } from '../../src/account/index.ts';
import { refusal, type Served, serveAccount } from './endpoint.ts';

describe('a fault on demand', () => {
  let served: Served;
  let groupId: string;

  beforeEach(async () => {
    served = await serveAccount();
    groupId = served.account.addSecurityGroup().id;
  });
  afterEach(() => served.close());

  const open = (options?: Parameters<Served['ec2']>[0], cidr = '203.0.113.7/32') =>
    served.ec2(options).send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: groupId,
        IpPermissions: [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: cidr }] }],
      }),
    );
  const rulesNow = () => served.account.securityGroups.get(groupId)!.rules.length;
  const outcomes = () => served.account.calls.map(({ outcome }) => outcome);

  const table: Array<[Fault, { name: string; status?: number }, { rules: number; outcome: string }]> = [
    [
      { kind: 'throttle' },
      { name: 'RequestLimitExceeded', status: 503 },
      { rules: 0, outcome: 'RequestLimitExceeded' },
    ],
    [{ kind: '5xx' }, { name: 'InternalError', status: 500 }, { rules: 0, outcome: 'InternalError' }],
    [
      { kind: '5xx', status: 503 },
      { name: 'Unavailable', status: 503 },
      { rules: 0, outcome: 'Unavailable' },
    ],
    [{ kind: 'lost-response' }, { name: 'Error' }, { rules: 1, outcome: 'response-lost' }],
    [{ kind: 'drop' }, { name: 'Error' }, { rules: 0, outcome: 'dropped' }],
    [
      { kind: 'denied' },
      { name: 'UnauthorizedOperation', status: 403 },
      { rules: 0, outcome: 'UnauthorizedOperation' },
    ],
    [{ kind: 'expired' }, { name: 'RequestExpired', status: 400 }, { rules: 0, outcome: 'RequestExpired' }],
    [
      { kind: 'skew', byMs: 600_000 },
      { name: 'RequestExpired', status: 400 },
      { rules: 0, outcome: 'RequestExpired' },
    ],
    [
      { kind: 'error', code: 'InvalidPermission.NotFound', message: 'gone' },
      { name: 'InvalidPermission.NotFound', status: 400 },
      { rules: 0, outcome: 'InvalidPermission.NotFound' },
    ],
  ];
  it.each(table)('%j is what the caller sees, and strikes once', async (fault, seen, left) => {
    const handle = served.account.faults.add(fault);
    expect(await refusal(open())).toMatchObject(seen);
    expect(rulesNow()).toBe(left.rules);
    expect(outcomes()).toEqual([left.outcome]);
    await open(undefined, '203.0.113.8/32');
    expect(handle.struck).toBe(1);
  });

  it('that hangs never answers and does nothing', async () => {
    served.account.faults.add({ kind: 'hang' });
    const patience = new AbortController();
    const call = served.ec2().send(new DescribeSecurityGroupRulesCommand({}), {
      abortSignal: patience.signal,
    });
    const waited = await Promise.race([
      refusal(call),
      new Promise((resolve) => served.account.onCall(() => setTimeout(resolve, 100, 'still waiting'))),
    ]);
    expect(waited).toBe('still waiting');
    expect(outcomes()).toEqual(['hung']);
    patience.abort();
    expect((await refusal(call)).name).toBe('AbortError');
  });

  it('that is slow answers in the end', async () => {
    served.account.faults.add({ kind: 'slow', ms: 5_000 });
    let answered = false;
    const call = open().then(() => {
      answered = true;
    });
    while (rulesNow() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(answered).toBe(false);
    served.clock.advance(5_000);
    await call;
  });

  it('is outlived by the retries of the SDK: throttling, failures, cut connections, a wrong clock', async () => {
    const { faults } = served.account;
    for (const fault of [
      { kind: 'throttle' },
      { kind: '5xx' },
      { kind: 'drop' },
      { kind: 'skew', byMs: -900_000 },
    ] as Fault[]) {
      faults.clear();
      faults.add(fault.kind === 'skew' ? { ...fault, match: { times: Number.POSITIVE_INFINITY } } : fault);
      served.account.calls.length = 0;
      await served.ec2({ maxAttempts: 3 }).send(new DescribeSecurityGroupRulesCommand({}));
      expect(outcomes()).toHaveLength(2);
    }
  });

  it('of a lost answer makes the retry meet its own rule', async () => {
    served.account.faults.add({ kind: 'lost-response' });
    expect(await refusal(open({ maxAttempts: 3 }))).toMatchObject({ name: 'InvalidPermission.Duplicate' });
    expect(outcomes()).toEqual(['response-lost', 'InvalidPermission.Duplicate']);
  });

  it('throttles load balancing in its own words', async () => {
    served.account.faults.add({ kind: 'throttle', match: { service: 'elasticloadbalancing' } });
    await open();
    expect(await refusal(served.elb().send(new DescribeTargetGroupsCommand({})))).toMatchObject({
      name: 'ThrottlingException',
      status: 400,
      message: 'Rate exceeded',
    });
  });

  it('strikes the calls that it is meant for: by action, resource, dry run, from the nth on, so many times', async () => {
    const other = served.account.addSecurityGroup().id;
    const client = served.ec2();
    const describeRules = () => client.send(new DescribeSecurityGroupRulesCommand({}));
    const revoke = (GroupId: string, DryRun = false) =>
      client.send(
        new RevokeSecurityGroupIngressCommand({
          GroupId,
          DryRun,
          IpPermissions: [
            { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '203.0.113.7/32' }] },
          ],
        }),
      );
    const { faults } = served.account;
    faults.add({ kind: '5xx', match: { action: 'Describe*', nth: 2, times: 2 } });
    faults.add({ kind: 'throttle', match: { action: 'Revoke*', resource: other, dryRun: false } });
    const seen: string[] = [];
    for (const call of [
      describeRules,
      describeRules,
      describeRules,
      describeRules,
      () => revoke(groupId),
      () => revoke(other, true),
      () => revoke(other),
      () => revoke(other),
    ]) {
      seen.push(
        await call().then(
          () => 'ok',
          (error: Error) => error.name,
        ),
      );
    }
    expect(seen).toEqual([
      'ok',
      'InternalError',
      'InternalError',
      'ok',
      'InvalidPermission.NotFound',
      'DryRunOperation',
      'RequestLimitExceeded',
      'InvalidPermission.NotFound',
    ]);
  });

  it('by chance strikes the same calls for the same seed', async () => {
    const run = async (seed: number) => {
      const again = await serveAccount({ seed });
      again.account.faults.add({ kind: '5xx', match: { times: Number.POSITIVE_INFINITY, chance: 0.5 } });
      const client = again.ec2();
      for (let n = 0; n < 20; n++) {
        await client.send(new DescribeSecurityGroupRulesCommand({})).catch(() => undefined);
      }
      const pattern = again.account.calls.map(({ outcome }) => (outcome === 'ok' ? '.' : 'x')).join('');
      await again.close();
      return pattern;
    };
    const first = await run(3);
    expect(first).toMatch(/\./);
    expect(first).toMatch(/x/);
    expect(await run(3)).toBe(first);
    expect(await run(4)).not.toBe(first);
  });
});

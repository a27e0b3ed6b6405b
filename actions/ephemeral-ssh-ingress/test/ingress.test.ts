import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { UserError } from '@lockkeeper/action';
import { type Fault, labClock, type SecurityGroup } from '@lockkeeper/lab';
import { fakeClock } from '@lockkeeper/wait';
import { seeded } from '../../../packages/lab/src/seeded.ts';
import { leasedUntil, shippedPolicy, spell } from './account.ts';
import { address, Bench, type BenchStep } from './bench.ts';

// The action without its main.ts, in this process, against the lab's account over HTTP.

let bench: Bench;
let group: SecurityGroup;
beforeEach(async () => {
  bench = await Bench.open();
  group = bench.account.addSecurityGroup();
});
afterEach(() => bench.close());

const step = (inputs: Record<string, string> = {}, of?: Parameters<Bench['step']>[1]) =>
  bench.step({ 'security-group-id': group.id, ...inputs }, of);
const ids = () => group.rules.map(({ id }) => id);
const refusalOf = (call: Promise<unknown>): Promise<UserError> =>
  call.then(
    () => {
      throw new Error('it was to be refused, and was not');
    },
    (error) => error,
  );
/** Everything but reads, signing in and dry runs. */
const changes = () =>
  bench.account.calls.filter(({ action, dryRun }) => !dryRun && !action.startsWith('Describe'));

describe('a step', () => {
  it.each(['custom', 'default'] as const)(
    'opens the port for its own address and closes it, in a %s VPC',
    async (vpc) => {
      group = bench.account.addSecurityGroup({ vpc });
      const one = step();
      const { cidrs, ruleIds, expiresAt } = await one.main();
      expect({ cidrs, ruleIds }).toEqual({ cidrs: [address], ruleIds: ids() });
      expect(group.rules).toMatchObject([{ protocol: 'tcp', fromPort: 22, toPort: 22, cidr: address }]);
      expect(Date.parse(expiresAt) - bench.clock.now()).toBeGreaterThan(5.9 * 3_600_000);
      expect((await one.post()).failures).toEqual([]);
      expect(ids()).toEqual([]);
      expect(one.log.lines.at(-1)).toMatch(/sgr-\w+\): closed$/);
    },
  );

  it.each(['custom', 'default'] as const)(
    'takes it for closed when somebody else removed the rule first, in a %s VPC',
    async (vpc) => {
      group = bench.account.addSecurityGroup({ vpc });
      const one = step();
      await one.main();
      bench.account.onCall(({ action }) => {
        if (action === 'CreateTags' && group.rules.length > 0) bench.account.changeRules(group.id, []);
      });
      expect((await one.post()).failures).toEqual([]);
    },
  );

  it('opens every port of every group for both kinds of address', async () => {
    const second = bench.account.addSecurityGroup();
    const one = step({
      'security-group-id': `${group.id}\n${second.id}`,
      port: '22, 2222',
      cidr: '203.0.113.7\n2001:DB8::0007/128',
    });
    await one.main();
    const spelled = (list: SecurityGroup['rules']) =>
      list.map(({ cidr, fromPort }) => `${cidr} ${fromPort}`).sort();
    expect(spelled(group.rules)).toEqual([
      '2001:db8::7/128 22',
      '2001:db8::7/128 2222',
      '203.0.113.7/32 22',
      '203.0.113.7/32 2222',
    ]);
    expect(spelled(second.rules)).toEqual(spelled(group.rules));
    await one.post();
    expect([...group.rules, ...second.rules]).toEqual([]);
  });

  it('closes at once what it opened when the rest is refused, and leaves nothing to post', async () => {
    bench.account.faults.add({
      kind: 'error',
      code: 'RulesPerSecurityGroupLimitExceeded',
      message: 'too many',
      match: { action: 'AuthorizeSecurityGroupIngress', dryRun: false, nth: 2 },
    });
    const one = step({ port: '22,2222,2223' });
    await expect(one.main()).rejects.toThrow('60 for each of IPv4 and IPv6');
    expect(ids()).toEqual([]);
    expect(one.record?.openings).toEqual([]);
    expect(one.log.lines.filter((line) => line.endsWith(': closed'))).toEqual([
      expect.stringMatching(/^port 22 of sg-\w+ for .* \(sgr-\w+\): closed$/),
    ]);
  });

  it('closes everything that it can when one rule cannot be closed', async () => {
    const one = step({ port: '22,2222,2223' });
    await one.main();
    const stuck = group.rules[1]!;
    bench.account.faults.add({
      kind: 'denied',
      match: { action: 'RevokeSecurityGroupIngress', resource: stuck.id, times: Number.POSITIVE_INFINITY },
    });
    const { failures, summary } = await one.post();
    expect(ids()).toEqual([stuck.id]);
    const command = `aws ec2 revoke-security-group-ingress --region ap-northeast-2 --group-id ${group.id} --security-group-rule-ids ${stuck.id}`;
    expect(failures).toMatchObject([
      {
        message: expect.stringMatching(/still open: not allowed: ec2:RevokeSecurityGroupIngress/),
        next: command,
      },
    ]);
    expect(summary).toContain(command);
  });

  it('adds nothing to a lease that was ended early, and may run post twice', async () => {
    const one = step();
    await one.main();
    await one.post();
    const before = changes().length;
    expect((await one.post()).failures).toEqual([]);
    expect(changes()).toHaveLength(before);
  });

  it('closes a rule that it made although somebody stripped its tags', async () => {
    bench.role.policy = { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };
    const one = step();
    await one.main();
    bench.account.changeRules(group.id, [{ ...group.rules[0]!, tags: new Map() }]);
    expect((await one.post()).failures).toEqual([]);
    expect(ids()).toEqual([]);
  });
});

describe('a fault of the network or of AWS', () => {
  const once = (action: string, fault: Pick<Fault, 'kind'>): Fault =>
    ({ ...fault, match: { action, dryRun: false } }) as Fault;
  const writes = ['AuthorizeSecurityGroupIngress', 'CreateTags', 'DeleteTags', 'RevokeSecurityGroupIngress'];
  it.each([
    ...writes.map((action) => once(action, { kind: 'lost-response' })),
    ...writes.map((action) => once(action, { kind: 'drop' })),
    once('*', { kind: 'throttle' }),
    once('DescribeSecurityGroupRules', { kind: '5xx' }),
  ])('is outlived: %j', async (fault) => {
    const struck = bench.account.faults.add(fault);
    const one = step();
    const { ruleIds } = await one.main();
    expect(ids()).toEqual(ruleIds);
    expect((await one.post()).failures).toEqual([]);
    expect(ids()).toEqual([]);
    expect(struck.struck).toBe(1);
  });

  it('that goes on is told, with the command that closes', async () => {
    const one = step();
    await one.main();
    bench.account.faults.add({
      kind: 'error',
      code: 'UnsupportedOperation',
      message: 'not today',
      match: { action: 'DescribeSecurityGroupRules', times: Number.POSITIVE_INFINITY },
    });
    const { failures } = await one.post();
    expect(failures).toMatchObject([
      {
        message: expect.stringContaining('ec2:DescribeSecurityGroupRules'),
        next: expect.stringMatching(/--security-group-rule-ids sgr-\w+$/),
      },
    ]);
  });

  it('is no reason to forget a rule whose id is not known: the command finds it by its lease', async () => {
    bench.account.faults.add({
      kind: 'error',
      code: 'UnsupportedOperation',
      message: 'not today',
      match: { action: 'AuthorizeSecurityGroupIngress', dryRun: false },
    });
    const one = step();
    await expect(one.main()).rejects.toThrow('not today');
    one.record = { ...one.record!, openings: [{ groupId: group.id, port: 22, cidr: address }] };
    bench.role.policy = { Statement: [] };
    const { failures } = await one.post();
    expect(failures[0]!.next).toContain(`Name=tag:lease-${one.record.nonce},Values=*`);
  });
});

describe('a clock or a session that is wrong', () => {
  it.each([
    ['ahead of', 7],
    ['behind', -7],
  ])("of a runner %s AWS's ends no live lease, and every one that has expired", async (how, hours) => {
    await bench.close();
    bench = await Bench.open(fakeClock(Date.now() + hours * 3_600_000), { awsTime: true });
    group = bench.account.addSecurityGroup();
    const at = (inHours: number) => leasedUntil(new Date(Date.now() + inHours * 3_600_000).toISOString());
    const live = bench.account.addRule(group.id, { cidr: '192.0.2.1/32', port: 22, tags: at(2) });
    const old = bench.account.addRule(group.id, { cidr: '192.0.2.2/32', port: 22, tags: at(-1) });
    const one = step();
    const { sweptIds, ruleIds, expiresAt } = await one.main();
    expect({ sweptIds, left: ids() }).toEqual({ sweptIds: [old.id], left: [live.id, ...ruleIds] });
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 6 * 3_600_000)).toBeLessThan(120_000);
    expect(one.log.lines.join('\n')).toMatch(
      new RegExp(`warning: this runner's clock is (7 h|6 h 59 min) ${how} AWS's`),
    );
  });

  it('that signs at the wrong time is put right by the SDK', async () => {
    const skew: Fault = { kind: 'skew', byMs: 15 * 60_000, match: { times: Number.POSITIVE_INFINITY } };
    bench.account.faults.add(skew);
    const one = step();
    await one.main();
    expect((await one.post()).failures).toEqual([]);
    expect(ids()).toEqual([]);
  });

  it('that has expired, where no role can be taken anew, leaves the command', async () => {
    const one = step();
    await one.main();
    bench.account.faults.add({ kind: 'expired', match: { times: Number.POSITIVE_INFINITY } });
    const { failures } = await one.post();
    expect(failures).toMatchObject([
      {
        message: expect.stringContaining('still open: the AWS credentials have expired'),
        next: expect.stringContaining(`--security-group-rule-ids ${ids()}`),
      },
    ]);
  });
});

describe('runs behind one address', () => {
  it('share the rule, and the last one closes it', async () => {
    const [a, b] = [step(), step()];
    await a.main();
    const [rule] = ids();
    expect((await b.main()).ruleIds).toEqual([rule]);
    expect(b.log.lines.join()).toContain('joined');
    await a.post();
    expect(a.log.lines.at(-1)).toContain('other runs still hold a lease');
    expect(ids()).toEqual([rule]);
    await b.post();
    expect(ids()).toEqual([]);
  });

  it.each([1, 2, 3])(
    'ten of them, two of which are steps of one run, come and go in any order, and each has its rule while it runs (seed %d)',
    async (seed) => {
      await bench.close();
      bench = await Bench.open(labClock(40));
      group = bench.account.addSecurityGroup();
      bench.account.readLagMs = 400;
      const random = seeded(seed);
      const { clock } = bench;
      const wrong: string[] = [];
      const live = new Set<BenchStep>();
      let most = 0;
      const look = () => {
        most = Math.max(most, live.size);
        for (const { record } of live)
          if (
            !group.rules.some(
              ({ id, tags }) => id === record!.held[0]?.ruleId && tags.has(`lease-${record!.nonce}`),
            )
          )
            wrong.push(`${record!.nonce} has no rule`);
      };
      await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const one = step({}, { run: `${Math.max(1, index)}.1` });
          const [before, during] = [random() * 15_000, random() * 15_000];
          await clock.sleep(before);
          await one.main();
          live.add(one);
          look();
          await clock.sleep(during);
          look();
          live.delete(one);
          wrong.push(...(await one.post()).failures.map(({ message }) => message));
          look();
        }),
      );
      expect(wrong).toEqual([]);
      expect(most).toBeGreaterThan(2);
      expect(ids()).toEqual([]);
    },
    60_000,
  );

  it("use a human's identical rule and leave it", async () => {
    const foreign = bench.account.addRule(group.id, { cidr: address, port: 22, description: 'office' });
    const one = step();
    expect(await one.main()).toMatchObject({ cidrs: [address], ruleIds: [] });
    expect((await one.post()).failures).toEqual([]);
    expect(group.rules).toEqual([foreign]);
    expect(one.log.lines.at(-1)).toContain('left as it is: not ours');
  });

  it('are told when the rule has no room for another', async () => {
    const tags = leasedUntil('2999-01-01T00:00:00Z');
    for (let n = Object.keys(tags).length; n < 50; n++)
      Object.assign(tags, { [`lease-${n}`]: '2999-01-01T00:00:00Z' });
    bench.account.addRule(group.id, { cidr: address, port: 22, tags });
    const refused = await refusalOf(step().main());
    expect(refused.message).toMatch(
      /^port 22 of sg-\w+ for .*: sgr-\w+ carries as many tags as AWS allows \(50\)/,
    );
    expect(refused.next).toContain('separate security groups');
  });

  it('leave a rule whose last room somebody took for a lease', async () => {
    const one = step();
    await one.main();
    const [rule] = group.rules;
    const full = new Map(rule!.tags);
    for (let n = full.size; n < 50; n++) full.set(`lease-${n}`, '2999-01-01T00:00:00Z');
    bench.account.changeRules(group.id, [{ ...rule!, tags: full }]);
    bench.account.onCall(({ action }) => {
      const [current] = group.rules;
      if (action === 'DeleteTags' && current!.tags.size === 49)
        bench.account.changeRules(group.id, [
          { ...current!, tags: new Map([...current!.tags, ['lease-50', '2999-01-01T00:00:00Z']]) },
        ]);
    });
    expect((await one.post()).failures).toEqual([]);
    expect(one.log.lines.at(-1)).toContain('other runs still hold a lease');
    expect([...group.rules[0]!.tags.keys()].filter((key) => key.startsWith('closing-'))).toEqual([]);
  });
});

describe('leases that ended by time', () => {
  it('are swept before the next opening, and live ones of other repositories are not', async () => {
    const add = (cidr: string, tags?: Record<string, string>) =>
      bench.account.addRule(group.id, { cidr, port: 22, tags });
    const old = add('192.0.2.1/32', leasedUntil('2020-01-01T00:00:00Z'));
    const live = add('192.0.2.2/32', leasedUntil('2999-01-01T00:00:00Z'));
    const human = add('192.0.2.3/32');
    const { sweptIds, ruleIds } = await step().main();
    expect(sweptIds).toEqual([old.id]);
    expect(ids()).toEqual([live.id, human.id, ...ruleIds]);
  });

  it('are all that mode: sweep ends, whatever is beside them', async () => {
    const old = Array.from({ length: 6 }, (_, n) =>
      bench.account.addRule(group.id, {
        cidr: `192.0.2.${n}/32`,
        port: 22,
        tags: leasedUntil('2020-01-01T00:00:00Z'),
      }),
    );
    const both = {
      ...leasedUntil('2999-01-01T00:00:00Z'),
      'lease-00000000000000bb': '2020-01-01T00:00:00Z o/a 1.1 x',
    };
    const shared = bench.account.addRule(group.id, { cidr: '192.0.2.99/32', port: 22, tags: both });
    const { sweptIds, failures } = await step({ mode: 'sweep', cidr: '' }).main();
    expect(failures).toEqual([]);
    expect(sweptIds).toEqual(old.map(({ id }) => id));
    expect(group.rules.map(spell)).toEqual([
      spell({ ...shared, tags: new Map(Object.entries(leasedUntil('2999-01-01T00:00:00Z'))) }),
    ]);
  });

  it('are looked for by mode: sweep, which says that there is none', async () => {
    const sweep = step({ mode: 'sweep', cidr: '' });
    expect((await sweep.main()).sweptIds).toEqual([]);
    expect(sweep.log.lines).toEqual(['there is no rule whose last lease has expired']);
  });

  it('are no reason not to open when they cannot be swept', async () => {
    const old = bench.account.addRule(group.id, {
      cidr: '192.0.2.1/32',
      port: 22,
      tags: leasedUntil('2020-01-01T00:00:00Z'),
    });
    bench.account.faults.add({
      kind: 'denied',
      match: { action: 'RevokeSecurityGroupIngress', resource: old.id, times: Number.POSITIVE_INFINITY },
    });
    const one = step();
    expect((await one.main()).ruleIds).toHaveLength(1);
    expect(one.log.lines.join('\n')).toMatch(
      /^warning: sgr-\w+ in sg-\w+ has expired but could not be closed: not allowed/m,
    );
    const swept = await step({ mode: 'sweep', cidr: '' }).main();
    expect(swept.failures).toMatchObject([
      { next: expect.stringContaining(`--security-group-rule-ids ${old.id}`) },
    ]);
  });

  it('shut a job out that outlasts them, and post says so', async () => {
    const one = step({ ttl: '1h' });
    await one.main();
    await bench.clock.sleep(2 * 3_600_000);
    await step({ mode: 'sweep', cidr: '' }).main();
    expect(ids()).toEqual([]);
    expect((await one.post()).failures).toEqual([]);
    expect(one.log.lines.at(-1)).toMatch(
      /^warning: the lease ended at .*Z, before this job did: .*raise ttl$/,
    );
  });
});

describe('mode: close', () => {
  const early = (run: string, inputs = {}) =>
    bench.step({ mode: 'close', cidr: '', 'security-group-id': '', ...inputs }, { run });

  it("ends this job's leases early, and post finds nothing left to do", async () => {
    const one = step({ port: '22, 2222' }, { run: '9.1' });
    await one.main();
    expect((await early('9.1').main()).failures).toEqual([]);
    expect(ids()).toEqual([]);
    expect((await one.post()).failures).toEqual([]);
  });

  it("leaves another run's lease alone, and says that there is nothing to close", async () => {
    await step({}, { run: '9.1' }).main();
    const other = early('8.1');
    await other.main();
    expect(ids()).toHaveLength(1);
    expect(other.log.lines).toEqual([expect.stringContaining('this job holds no lease')]);
  });

  it('names what is still open when it may not close', async () => {
    await step({}, { run: '9.1' }).main();
    bench.role.policy = shippedPolicy('*', ['ec2:RevokeSecurityGroupIngress']);
    expect((await early('9.1').main()).failures).toMatchObject([
      {
        message: expect.stringMatching(
          /^sgr-\w+ in sg-\w+ could not be closed and is still open: not allowed/,
        ),
      },
    ]);
  });
});

describe('dry-run', () => {
  const before = async () => {
    await step({}, { run: '9.1' }).main();
    bench.account.addRule(group.id, {
      cidr: '192.0.2.1/32',
      port: 22,
      tags: leasedUntil('2020-01-01T00:00:00Z'),
    });
    bench.account.calls.length = 0;
  };
  it.each([
    ['open', { port: '2222' }, /^would open port 2222 of sg-\w+ for 20\.102\.35\.7\/32 until /m],
    ['open', {}, /^would close sgr-\w+ in sg-\w+, whose last lease has expired$/m],
    ['sweep', { cidr: '' }, /^would close sgr-\w+ in sg-\w+, whose last lease has expired$/m],
    [
      'close',
      { cidr: '' },
      /^would end this job's lease on sgr-\w+ in sg-\w+ and close it; nothing was changed$/m,
    ],
  ])('of mode: %s %j says what it would do and changes nothing', async (mode, inputs, said) => {
    await before();
    const dry = step({ mode, 'dry-run': 'true', ...inputs }, { run: '9.1' });
    await dry.main();
    expect(dry.log.lines.join('\n')).toMatch(said);
    expect(changes()).toEqual([]);
    expect(dry.record).toBeUndefined();
  });
});

describe('a group that AWS does not take', () => {
  it.each<[string, () => void, RegExp, RegExp]>([
    [
      'because it is not there',
      () => {
        group = { ...group, id: 'sg-0123456789abcdef0' };
      },
      /^there is no security group sg-0123456789abcdef0 in this account and region/,
      /check security-group-id and region/,
    ],
    [
      'because it is malformed, in AWS’s own eyes',
      () => {
        const fault: Fault = { kind: 'error', code: 'InvalidGroupId.Malformed', message: 'Invalid id' };
        bench.account.faults.add({ ...fault, match: { action: 'AuthorizeSecurityGroupIngress' } });
      },
      /^AWS does not take sg-\w+ for the id of a security group/,
      /it looks like sg-0123456789abcdef0/,
    ],
    [
      'because it holds 60 rules',
      () => {
        for (let n = 1; n <= 60; n++)
          bench.account.addRule(group.id, { cidr: `198.51.100.${n}/32`, port: 22 });
      },
      /^sg-\w+ has as many inbound rules as the quota allows \(60 for each of IPv4 and IPv6 unless raised\)/,
      /dedicated security group for deploys/,
    ],
    [
      'because it is one of another VPC that the policy does not name',
      () => {
        bench.role.policy = shippedPolicy(group.id);
        group = bench.account.addSecurityGroup({ vpc: 'default' });
      },
      /^nothing was opened: not allowed: ec2:AuthorizeSecurityGroupIngress on \S*:security-group\/sg-\w+ for/,
      /allow ec2:AuthorizeSecurityGroupIngress on arn:aws:ec2:\S*:security-group\/sg-\w+ in the IAM policy of/,
    ],
  ])('%s', async (_, arrange, message, next) => {
    arrange();
    const before = group.rules;
    const one = step();
    const refused = await refusalOf(one.main());
    expect(refused.message).toMatch(message);
    expect(refused.next).toMatch(next);
    expect(group.rules).toEqual(before);
    expect((await one.post()).failures).toEqual([]);
  });
});

describe('without', () => {
  it.each<[string, RegExp]>([
    [
      'ec2:AuthorizeSecurityGroupIngress',
      /^nothing was opened: not allowed: ec2:AuthorizeSecurityGroupIngress on \S*:security-group\/sg-/,
    ],
    [
      'ec2:RevokeSecurityGroupIngress',
      /^nothing was opened: not allowed: ec2:RevokeSecurityGroupIngress on \S*:security-group\/sg-/,
    ],
    ['ec2:DescribeSecurityGroupRules', /^not allowed: ec2:DescribeSecurityGroupRules on \*/],
    ['ec2:CreateTags', /^not allowed: ec2:CreateTags on \S*:security-group-rule\/\*/],
    [
      'ec2:DeleteTags',
      /is not kept open, because it could not be closed after the job: not allowed: ec2:DeleteTags on \S*:security-group-rule\/sgr-/,
    ],
    [
      'OpenAndCloseThisGroup',
      /^nothing was opened: not allowed: ec2:AuthorizeSecurityGroupIngress on \S*:security-group\/sg-.*; not allowed: ec2:RevokeSecurityGroupIngress/,
    ],
    ['NewRulesCarryTheTag', /^not allowed: ec2:AuthorizeSecurityGroupIngress on \S*:security-group-rule\/\*/],
    ['TagWhileOpening', /^not allowed: ec2:CreateTags on \S*:security-group-rule\/\*/],
    ['SeeRules', /^not allowed: ec2:DescribeSecurityGroupRules on \*/],
  ])('%s nothing stays open, and action and resource are named', async (missing, message) => {
    bench.role.policy = shippedPolicy(group.id, [missing]);
    const one = step();
    const refused = await refusalOf(one.main());
    expect(refused.message).toMatch(message);
    expect(refused.next).toMatch(/allow ec2:\w+ on \S+ in the IAM policy of/);
    expect(ids()).toEqual([]);
    expect((await one.post()).failures).toEqual([]);
  });

  it.each([
    ['CloseOwnRules', /not allowed: ec2:RevokeSecurityGroupIngress on \S*:security-group-rule\/sgr-/],
    [
      'JoinAndLeaveOwnRules',
      /not allowed: ec2:DeleteTags on .*not allowed: ec2:CreateTags on \S*:security-group-rule\/sgr-/,
    ],
  ])(
    '%s what was opened cannot be closed: that is said at once, with the command',
    async (missing, message) => {
      bench.role.policy = shippedPolicy(group.id, [missing]);
      const one = step();
      expect((await refusalOf(one.main())).message).toMatch(message);
      const command = `aws ec2 revoke-security-group-ingress --region ap-northeast-2 --group-id ${group.id} --security-group-rule-ids ${ids()}`;
      expect(one.log.lines.join('\n')).toContain(command);
      expect(await one.post()).toMatchObject({ failures: [{ next: command }] });
    },
  );

  it('any of them missing only for joining, the run that joins is told', async () => {
    await step().main();
    bench.role.policy = shippedPolicy(group.id, ['JoinAndLeaveOwnRules']);
    const refused = await refusalOf(step().main());
    expect(refused.message).toMatch(/^not allowed: ec2:CreateTags on \S*:security-group-rule\/sgr-/);
    expect(ids()).toHaveLength(1);
  });
});

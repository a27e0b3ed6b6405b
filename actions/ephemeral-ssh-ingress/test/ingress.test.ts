import { afterEach, describe, expect, it } from '@jest/globals';
import { openStage, shippedPolicy } from './stage.ts';

let stage: Awaited<ReturnType<typeof openStage>>;
const open = async (options?: Parameters<typeof openStage>[0]) => {
  stage = await openStage(options);
  return stage;
};
afterEach(() => stage.close());

describe('one run', () => {
  it.each(['custom', 'default'] as const)(
    'opens the port for its own address and closes it, in a %s VPC',
    async (vpc) => {
      const { step, rules } = await open({ vpc });
      const one = step();
      const opened = await one.main();
      expect(opened).toMatchObject({ code: 0 });
      expect(rules()).toHaveLength(1);
      expect(rules()[0]).toMatchObject({ fromPort: 22, toPort: 22, protocol: 'tcp', cidr: '20.102.35.7/32' });
      expect(rules()[0]!.tags.get('managed-by')).toBe('ephemeral-ssh-ingress');
      expect(opened.outputs).toMatchObject({
        cidr: '20.102.35.7/32',
        'security-group-rule-ids': rules()[0]!.id,
      });

      const closed = await one.post();
      expect(closed).toMatchObject({ code: 0 });
      expect(rules()).toEqual([]);
      expect(closed.log).toContain('closed');
    },
  );

  it('opens every port of every group for both kinds of address', async () => {
    const { step, rules, account, role, group } = await open();
    const second = account.addSecurityGroup();
    role.policy = {
      Statement: [shippedPolicy(group.id), shippedPolicy(second.id)].flatMap(
        ({ Statement }) => Statement as never,
      ),
    };
    const one = step({
      'security-group-id': `${group.id}\n${second.id}`,
      port: '22, 2222',
      cidr: '203.0.113.7\n2001:DB8::0007/128',
    });
    expect(await one.main()).toMatchObject({ code: 0 });
    const spelled = (list: typeof group.rules) =>
      list.map(({ cidr, fromPort }) => `${cidr} ${fromPort}`).sort();
    expect(spelled(rules())).toEqual([
      '2001:db8::7/128 22',
      '2001:db8::7/128 2222',
      '203.0.113.7/32 22',
      '203.0.113.7/32 2222',
    ]);
    expect(spelled(second.rules)).toEqual(spelled(rules()));
    expect(await one.post()).toMatchObject({ code: 0 });
    expect([...rules(), ...second.rules]).toEqual([]);
  });

  it('leaves nothing open when the second group is refused', async () => {
    const { step, rules, account, group } = await open();
    account.faults.add({
      kind: 'error',
      code: 'RulesPerSecurityGroupLimitExceeded',
      message: 'too many',
      match: { action: 'AuthorizeSecurityGroupIngress', dryRun: false, nth: 2 },
    });
    const opened = await step({ 'security-group-id': group.id, port: '22,2222' }).main();
    expect(opened.code).toBe(1);
    expect(opened.log).toContain('60 for each of IPv4 and IPv6');
    expect(rules()).toEqual([]);
  });

  it('changes nothing in a dry run', async () => {
    const { step, account } = await open();
    const one = step({ 'dry-run': 'true' });
    const main = await one.main();
    expect(main).toMatchObject({ code: 0 });
    expect(main.log).toContain('would open port 22');
    expect(await one.post()).toMatchObject({ code: 0 });
    const changes = account.calls.filter(
      ({ action, dryRun }) => !dryRun && !/^(Describe|AssumeRole)/.test(action),
    );
    expect(changes).toEqual([]);
  });

  it('closes although a lost answer hid that the port was opened', async () => {
    const { step, rules, account } = await open();
    account.faults.add({
      kind: 'lost-response',
      match: { action: 'AuthorizeSecurityGroupIngress', dryRun: false },
    });
    const one = step();
    expect(await one.main()).toMatchObject({ code: 0 });
    expect(rules()).toHaveLength(1);
    expect(await one.post()).toMatchObject({ code: 0 });
    expect(rules()).toEqual([]);
  });

  it('closes in post what a kill -9 right after opening left', async () => {
    const { step, rules, account } = await open();
    const opened = new Promise<void>((resolve) => {
      account.onCall(({ action, dryRun, outcome }) => {
        if (action === 'AuthorizeSecurityGroupIngress' && !dryRun && outcome !== 'pending') resolve();
      });
    });
    const one = step();
    expect(await one.main({ killAfter: opened })).toMatchObject({ code: null });
    expect(rules()).toHaveLength(1);
    expect(await one.post()).toMatchObject({ code: 0 });
    expect(rules()).toEqual([]);
  });

  it('takes the role anew in post, whatever a later step did to the environment', async () => {
    const { step, rules } = await open();
    const one = step();
    await one.main();
    const closed = await one.post({
      env: { AWS_ENDPOINT_URL: 'http://127.0.0.1:9', AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    });
    expect(closed).toMatchObject({ code: 0 });
    expect(closed.log).toContain('AWS_ENDPOINT_URL was changed after this action started');
    expect(rules()).toEqual([]);
  });

  it('fails with the exact command when it may not close', async () => {
    const { step, rules, role, group } = await open();
    const one = step();
    await one.main();
    role.policy = shippedPolicy(group.id, ['ec2:RevokeSecurityGroupIngress']);
    const closed = await one.post();
    expect(closed.code).toBe(1);
    const command = `aws ec2 revoke-security-group-ingress --region ap-northeast-2 --group-id ${group.id} --security-group-rule-ids ${rules()[0]!.id}`;
    expect(closed.log).toContain(command);
    expect(closed.summary).toContain(command);
    expect(closed.log).toContain('ec2:RevokeSecurityGroupIngress');
  });

  it('masks every credential before the first call that uses it', async () => {
    const { step, account } = await open();
    const { log } = await step({ 'dry-run': 'true' }).main();
    const session = [...account.principals.values()].find(({ sessionToken }) => sessionToken)!;
    for (const secret of [session.secretAccessKey, session.sessionToken!, session.accessKeyId]) {
      expect(log).toContain(`::add-mask::${secret}`);
      expect(
        log.split('\n').filter((line) => line.includes(secret) && !line.startsWith('::add-mask::')),
      ).toEqual([]);
    }
  });
});

describe('runs behind one address', () => {
  it('share the rule, and the last one closes it', async () => {
    const { step, rules } = await open();
    const [a, b] = [step(), step()];
    await a.main();
    const [rule] = rules();
    const joined = await b.main();
    expect(joined.log).toContain('joined');
    expect(rules().map(({ id }) => id)).toEqual([rule!.id]);
    expect((await a.post()).log).toContain('other runs still hold a lease');
    expect(rules()).toHaveLength(1);
    await b.post();
    expect(rules()).toEqual([]);
  });

  it("use a human's identical rule and leave it", async () => {
    const { step, rules, account, group } = await open();
    const foreign = account.addRule(group.id, { cidr: '20.102.35.7/32', port: 22, description: 'office' });
    const one = step();
    const opened = await one.main();
    expect(opened).toMatchObject({ code: 0 });
    expect(opened.outputs['security-group-rule-ids']).toBe('');
    await one.post();
    expect(rules()).toEqual([foreign]);
  });
});

describe('leases that ended by time', () => {
  const stale = (expires: string, repository = 'other/repo') => ({
    'managed-by': 'ephemeral-ssh-ingress',
    'lease-00000000000000aa': `${expires} ${repository} 1.1 0123456789ab`,
  });

  it('are swept before the next opening, and live ones of other repositories are not', async () => {
    const { step, rules, account, group } = await open();
    const old = account.addRule(group.id, {
      cidr: '192.0.2.1/32',
      port: 22,
      tags: stale('2020-01-01T00:00:00Z'),
    });
    const live = account.addRule(group.id, {
      cidr: '192.0.2.2/32',
      port: 22,
      tags: stale('2999-01-01T00:00:00Z'),
    });
    const human = account.addRule(group.id, { cidr: '192.0.2.3/32', port: 22 });
    const opened = await step().main();
    expect(opened).toMatchObject({ code: 0 });
    expect(opened.outputs['swept-rule-ids']).toBe(old.id);
    expect(rules().map(({ id }) => id)).toEqual(expect.arrayContaining([live.id, human.id]));
    expect(rules()).toHaveLength(3);
  });

  it('are all that mode: sweep ends', async () => {
    const { step, rules, account, group } = await open();
    account.addRule(group.id, { cidr: '192.0.2.1/32', port: 22, tags: stale('2020-01-01T00:00:00Z') });
    const live = account.addRule(group.id, {
      cidr: '192.0.2.2/32',
      port: 22,
      tags: stale('2999-01-01T00:00:00Z'),
    });
    const swept = await step({ mode: 'sweep' }).main();
    expect(swept).toMatchObject({ code: 0 });
    expect(rules()).toEqual([live]);
  });
});

describe('mode: close', () => {
  it("ends this job's leases early, and post finds nothing left to do", async () => {
    const { step, rules } = await open();
    const one = step();
    await one.main();
    expect(rules()).toHaveLength(1);
    const closed = await step({ mode: 'close', 'security-group-id': '' }).main();
    expect(closed).toMatchObject({ code: 0 });
    expect(rules()).toEqual([]);
    expect(await one.post()).toMatchObject({ code: 0 });
  });

  it('fails with the exact command when it may not close, and the reason says so', async () => {
    const { step, rules, role, group } = await open();
    await step().main();
    role.policy = shippedPolicy(group.id, ['ec2:RevokeSecurityGroupIngress']);
    const closed = await step({ mode: 'close', 'security-group-id': '' }).main();
    expect(closed.code).toBe(1);
    expect(closed.log).toContain(
      `aws ec2 revoke-security-group-ingress --region ap-northeast-2 --group-id ${group.id} --security-group-rule-ids ${rules()[0]!.id}`,
    );
    expect(closed.outputs.reason).toMatch(/^sgr-\w+ in sg-\w+ could not be closed and is still open: /);
  });

  it("leaves another job's lease alone", async () => {
    const { step, rules, env } = await open();
    await step().main();
    env.RUNNER_NAME = 'another runner';
    const closed = await step({ mode: 'close', 'security-group-id': '' }).main();
    expect(closed).toMatchObject({ code: 0 });
    expect(rules()).toHaveLength(1);
  });
});

describe('a step that fails', () => {
  it('for its inputs says all of them in one line', async () => {
    const { step } = await open();
    const { code, outputs } = await step({ port: 'ssh', ttl: '6' }).main();
    expect(code).toBe(1);
    expect(outputs.reason).toMatch(/^port: "ssh" is not [^\n]*; ttl: "6" is not [^\n]*$/);
  });

  it('because a host stays shut says so, and tells what was opened', async () => {
    const { step, rules } = await open();
    const one = step({ probe: '127.0.0.1:1', 'probe-timeout': '1s' });
    const { code, outputs } = await one.main();
    expect(code).toBe(1);
    expect(outputs).toMatchObject({
      cidr: '20.102.35.7/32',
      'security-group-rule-ids': rules()[0]!.id,
      reason: expect.stringMatching(/^waited 1 s: 127\.0\.0\.1:1 refuses the connection/),
    });
    expect(await one.post()).toMatchObject({ code: 0 });
    expect(rules()).toEqual([]);
  });
});

describe('permissions', () => {
  it.each([
    ['ec2:AuthorizeSecurityGroupIngress', /not allowed: ec2:AuthorizeSecurityGroupIngress on \S*sg-/],
    ['ec2:RevokeSecurityGroupIngress', /not allowed: ec2:RevokeSecurityGroupIngress on \S*sg-/],
    ['ec2:DescribeSecurityGroupRules', /not allowed: ec2:DescribeSecurityGroupRules on \*/],
    ['ec2:CreateTags', /not allowed: ec2:CreateTags/],
  ])('without %s nothing is opened, and the refusal names it', async (action, message) => {
    const { step, rules, role, group } = await open();
    role.policy = shippedPolicy(group.id, [action]);
    const opened = await step().main();
    expect(opened.code).toBe(1);
    expect(opened.log).toMatch(message);
    expect(opened.outputs.reason).toMatch(message);
    expect(rules()).toEqual([]);
  });

  it('names the subject when the role does not trust this job', async () => {
    const { step, role } = await open();
    role.trust = { ...role.trust, subjects: ['repo:octo/other:*'] };
    const opened = await step().main();
    expect(opened.code).toBe(1);
    expect(opened.log).toContain("this job's subject is repo:octo/app:environment:production");
  });
});

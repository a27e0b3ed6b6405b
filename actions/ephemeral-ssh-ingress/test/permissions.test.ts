import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { messageOf } from '@lockkeeper/action';
import { evaluate, type PolicyDocument, type PolicyStatement, type SecurityGroup } from '@lockkeeper/lab';
import { accountId, leasedUntil, region, shippedPolicy } from './account.ts';
import { Bench } from './bench.ts';

// The shipped policy both ways: each line of it is needed, and what each limit holds back is held back. Two runs
// share the rule, so that it is opened, joined, left and closed.

let bench: Bench;
let group: SecurityGroup;
beforeEach(async () => {
  bench = await Bench.open();
  group = bench.account.addSecurityGroup();
});
afterEach(() => bench.close());

const statementsOf = ({ Statement }: PolicyDocument) => [Statement].flat() as PolicyStatement[];
const lines = statementsOf(shippedPolicy('*')).flatMap(({ Sid, Action }) =>
  [Action ?? []].flat().map((action): [sid: string, action: string] => [Sid!, action]),
);

/** All that is said by two runs that share a rule, and by a sweep of what a third one left. */
async function sayingsOfAll(): Promise<string[]> {
  const inputs = { 'security-group-id': group.id };
  bench.account.addRule(group.id, {
    cidr: '192.0.2.1/32',
    port: 22,
    tags: leasedUntil('2020-01-01T00:00:00Z'),
  });
  const [first, second] = [bench.step(inputs), bench.step(inputs)];
  const said: string[] = [];
  for (const act of [() => first.main(), () => second.main(), () => first.post(), () => second.post()])
    await act().then(
      ({ failures }) => said.push(...failures.map(({ message }) => message)),
      (error) => said.push(messageOf(error)),
    );
  return said;
}

it('suffices: nothing is refused, and nothing stays open', async () => {
  bench.role.policy = shippedPolicy(group.id);
  expect(await sayingsOfAll()).toEqual([]);
  expect(group.rules).toEqual([]);
});

it('lists what is called, and no more', async () => {
  bench.role.policy = shippedPolicy(group.id);
  await sayingsOfAll();
  const called = bench.account.calls.filter(({ service }) => service !== 'sts');
  expect([...new Set(called.map(({ service, action }) => `${service}:${action}`))].sort()).toEqual(
    [...new Set(lines.map(([, action]) => action))].sort(),
  );
  expect(called.filter(({ outcome }) => /Unauthorized|AccessDenied/.test(outcome))).toEqual([]);
});

it.each(lines)('without the line %s %s it is said what is not allowed, on what', async (sid, action) => {
  const policy = shippedPolicy(group.id);
  bench.role.policy = {
    ...policy,
    Statement: statementsOf(policy)
      .map((one) =>
        one.Sid === sid ? { ...one, Action: [one.Action ?? []].flat().filter((a) => a !== action) } : one,
      )
      .filter(({ Action }) => Action!.length > 0),
  };
  const said = (await sayingsOfAll()).join('\n');
  const resource = statementsOf(policy).find(({ Sid }) => Sid === sid)!.Resource as string;
  expect(said).toContain(`not allowed: ${action} on ${resource.replace(/\*$/, '')}`);
});

const arn = (rest: string) => `arn:aws:ec2:${region}:${accountId}:${rest}`;
const rule = arn('security-group-rule/sgr-0123456789abcdef0');
const newRule = arn('security-group-rule/*');
const here = { 'aws:RequestedRegion': region };
const foreign = { ...here, 'aws:ResourceTag/managed-by': 'terraform' };

/** What a limit of a statement holds back: its condition, or the resource that it names. */
const limits: Array<
  [sid: string, limit: 'Condition' | 'Resource', what: string, Parameters<typeof evaluate>[1]]
> = [
  [
    'OpenAndCloseThisGroup',
    'Resource',
    'opening another group',
    { action: 'ec2:AuthorizeSecurityGroupIngress', resource: arn('security-group/sg-other'), context: here },
  ],
  [
    'NewRulesCarryTheTag',
    'Condition',
    'a new rule that does not say whose it is',
    { action: 'ec2:AuthorizeSecurityGroupIngress', resource: newRule, context: here },
  ],
  [
    'CloseOwnRules',
    'Condition',
    "removing somebody else's rule",
    { action: 'ec2:RevokeSecurityGroupIngress', resource: rule, context: foreign },
  ],
  [
    'TagWhileOpening',
    'Condition',
    "making somebody else's rule its own by a tag",
    { action: 'ec2:CreateTags', resource: rule, context: foreign },
  ],
  [
    'JoinAndLeaveOwnRules',
    'Condition',
    "removing tags of somebody else's rule",
    { action: 'ec2:DeleteTags', resource: rule, context: foreign },
  ],
  [
    'SeeRules',
    'Condition',
    'looking at another region',
    {
      action: 'ec2:DescribeSecurityGroupRules',
      resource: '*',
      context: { 'aws:RequestedRegion': 'us-east-1' },
    },
  ],
];

describe('the policy', () => {
  it.each(limits)('%s, by its %s, holds back %s', (sid, limit, _, request) => {
    const policy = shippedPolicy('sg-0123456789abcdef0');
    expect(evaluate(policy, request)).toBe('implicit-deny');
    const statements = statementsOf(policy).map((one) => {
      if (one.Sid !== sid) return one;
      const { Condition: _condition, ...unlimited } = one;
      return limit === 'Condition' ? unlimited : { ...one, Resource: '*' };
    });
    expect(evaluate({ Statement: statements }, request)).toBe('allowed');
  });

  it('has a limit in each statement, and each is tried', () =>
    expect([...new Set(limits.map(([sid]) => sid))].sort()).toEqual(
      [...new Set(lines.map(([sid]) => sid))].sort(),
    ));
});

describe('the trust policy', () => {
  const [trust] = JSON.parse(readFileSync(new URL('../oidc-trust-policy.json', import.meta.url), 'utf8'))
    .Statement as [{ Effect: 'Allow'; Action: string; Condition: NonNullable<PolicyStatement['Condition']> }];
  const issuer = 'token.actions.githubusercontent.com';
  const asked = (sub: string, aud = 'sts.amazonaws.com') =>
    evaluate(
      {
        Statement: [
          { Effect: trust.Effect, Action: trust.Action, Resource: '*', Condition: trust.Condition },
        ],
      },
      {
        action: 'sts:AssumeRoleWithWebIdentity',
        resource: '*',
        context: { [`${issuer}:sub`]: sub, [`${issuer}:aud`]: aud },
      },
    );

  it.each([
    'repo:OWNER/REPOSITORY:environment:ENVIRONMENT',
    'repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID:environment:ENVIRONMENT',
  ])('lets in %s', (sub) => expect(asked(sub)).toBe('allowed'));

  it.each([
    ['a branch without the environment', 'repo:OWNER/REPOSITORY:ref:refs/heads/main'],
    ['a pull request', 'repo:OWNER/REPOSITORY:pull_request'],
    ['another environment', 'repo:OWNER/REPOSITORY:environment:ENVIRONMENT2'],
    ['another repository', 'repo:OWNER/REPOSITORY2:environment:ENVIRONMENT'],
    ['a wildcard taken by its word', 'repo:OWNER/*'],
  ])('keeps out %s', (_, sub) => expect(asked(sub)).toBe('implicit-deny'));

  it('keeps out a token made for somebody else', () =>
    expect(asked('repo:OWNER/REPOSITORY:environment:ENVIRONMENT', 'https://github.com/OWNER')).toBe(
      'implicit-deny',
    ));
});

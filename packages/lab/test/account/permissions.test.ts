import {
  AuthorizeSecurityGroupIngressCommand,
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeSecurityGroupRulesCommand,
  RevokeSecurityGroupIngressCommand,
} from '@aws-sdk/client-ec2';
import {
  DescribeTargetHealthCommand,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { checkPolicy, evaluate, type PolicyDocument, type PolicyStatement } from '../../src/account/index.ts';
import { TargetGroup } from '../../src/balancer/index.ts';
import { refusal, type Served, serveAccount } from './endpoint.ts';

const group = 'arn:aws:ec2:ap-northeast-2:123456789012:security-group/sg-1';
const rule = 'arn:aws:ec2:ap-northeast-2:123456789012:security-group-rule/sgr-1';
const allow = (statement: Partial<PolicyStatement> = {}): PolicyStatement => ({
  Effect: 'Allow',
  Action: 'ec2:CreateTags',
  Resource: '*',
  ...statement,
});

describe('a policy', () => {
  const table: Array<[string, PolicyStatement[], Partial<Parameters<typeof evaluate>[1]>, string]> = [
    ['nothing', [], {}, 'implicit-deny'],
    ['the action', [allow()], {}, 'allowed'],
    ['the action in other case', [allow({ Action: 'EC2:createtags' })], {}, 'allowed'],
    ['a wildcard', [allow({ Action: ['ec2:Describe*', 'ec2:*Tags'] })], {}, 'allowed'],
    ['a question mark', [allow({ Action: 'ec2:CreateTag?' })], {}, 'allowed'],
    ['another action', [allow({ Action: 'ec2:DeleteTags' })], {}, 'implicit-deny'],
    ['another service', [allow({ Action: 'elasticloadbalancing:*' })], {}, 'implicit-deny'],
    ['all but this', [allow({ Action: undefined, NotAction: 'ec2:CreateTags' })], {}, 'implicit-deny'],
    ['all but another', [allow({ Action: undefined, NotAction: 'ec2:Run*' })], {}, 'allowed'],
    ['the resource', [allow({ Resource: group })], {}, 'allowed'],
    ['another resource', [allow({ Resource: rule })], {}, 'implicit-deny'],
    ['a resource that begins alike', [allow({ Resource: `${group}0` })], {}, 'implicit-deny'],
    ['any group', [allow({ Resource: group.replace('sg-1', '*') })], {}, 'allowed'],
    [
      'a new rule under /*',
      [allow({ Resource: rule.replace('sgr-1', '*') })],
      { resource: rule.replace('sgr-1', '*') },
      'allowed',
    ],
    ['all resources but this', [allow({ Resource: undefined, NotResource: group })], {}, 'implicit-deny'],
    ['a dot is a dot', [allow({ Resource: group.replace('sg-1', 's.-1') })], {}, 'implicit-deny'],
    ['deny over allow', [allow(), { ...allow(), Effect: 'Deny' }], {}, 'explicit-deny'],
    ['deny first', [{ ...allow(), Effect: 'Deny' }, allow()], {}, 'explicit-deny'],
    ['deny of something else', [allow(), { ...allow({ Resource: rule }), Effect: 'Deny' }], {}, 'allowed'],
    [
      'the region asked for',
      [allow({ Condition: { StringEquals: { 'aws:RequestedRegion': 'ap-northeast-2' } } })],
      {},
      'allowed',
    ],
    [
      'another region',
      [allow({ Condition: { StringEquals: { 'aws:RequestedRegion': ['eu-west-1', 'us-east-1'] } } })],
      {},
      'implicit-deny',
    ],
    [
      'a key in other case',
      [allow({ Condition: { StringEquals: { 'AWS:requestedregion': 'ap-northeast-2' } } })],
      {},
      'allowed',
    ],
    [
      'a tag that is sent',
      [allow({ Condition: { StringEquals: { 'aws:RequestTag/managed-by': 'lk' } } })],
      { context: { 'aws:RequestTag/managed-by': 'lk' } },
      'allowed',
    ],
    [
      'a tag that is not sent',
      [allow({ Condition: { StringEquals: { 'aws:RequestTag/managed-by': 'lk' } } })],
      {},
      'implicit-deny',
    ],
    [
      'two conditions of which one fails',
      [
        allow({
          Condition: {
            StringEquals: { 'aws:ResourceTag/a': '1' },
            StringLike: { 'aws:ResourceTag/b': 'x*' },
          },
        }),
      ],
      { context: { 'aws:ResourceTag/a': '1', 'aws:ResourceTag/b': 'y' } },
      'implicit-deny',
    ],
    [
      'a pattern',
      [allow({ Condition: { StringLike: { 'aws:ResourceTag/b': 'x*z' } } })],
      { context: { 'aws:ResourceTag/b': 'x y z' } },
      'allowed',
    ],
    [
      'a star that StringEquals takes literally',
      [allow({ Condition: { StringEquals: { 'aws:ResourceTag/b': '*' } } })],
      { context: { 'aws:ResourceTag/b': 'x' } },
      'implicit-deny',
    ],
    [
      'a negated comparison of an absent key',
      [allow({ Condition: { StringNotEquals: { 'aws:ResourceTag/env': 'prod' } } })],
      {},
      'allowed',
    ],
    [
      'IfExists of an absent key',
      [allow({ Condition: { StringEqualsIfExists: { 'ec2:CreateAction': 'X' } } })],
      {},
      'allowed',
    ],
    [
      'IfExists of a key that differs',
      [allow({ Condition: { StringEqualsIfExists: { 'ec2:CreateAction': 'X' } } })],
      { context: { 'ec2:CreateAction': 'Y' } },
      'implicit-deny',
    ],
    [
      'ForAllValues with one stranger',
      [allow({ Condition: { 'ForAllValues:StringLike': { 'aws:TagKeys': ['lease-*', 'closing'] } } })],
      { context: { 'aws:TagKeys': ['lease-1', 'Name'] } },
      'implicit-deny',
    ],
    [
      'ForAllValues with none',
      [allow({ Condition: { 'ForAllValues:StringLike': { 'aws:TagKeys': ['lease-*', 'closing'] } } })],
      { context: { 'aws:TagKeys': ['lease-1', 'closing'] } },
      'allowed',
    ],
    [
      'ForAnyValue',
      [allow({ Condition: { 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'closing' } } })],
      { context: { 'aws:TagKeys': ['lease-1', 'closing'] } },
      'allowed',
    ],
    [
      'Null, and the key is there',
      [allow({ Condition: { Null: { 'aws:RequestTag/managed-by': 'true' } } })],
      { context: { 'aws:RequestTag/managed-by': 'lk' } },
      'implicit-deny',
    ],
    [
      'a policy variable',
      [allow({ Resource: group.replace('123456789012', '${aws:PrincipalAccount}') })],
      { context: { 'aws:PrincipalAccount': '123456789012' } },
      'allowed',
    ],
    ['a policy variable without a value', [allow({ Resource: '${aws:nothing}*' })], {}, 'implicit-deny'],
  ];

  it.each(table)('that names %s', (_, Statement, request, verdict) => {
    const context = { 'aws:RequestedRegion': 'ap-northeast-2', ...request.context };
    const asked = { action: 'ec2:CreateTags', resource: group, ...request, context };
    expect(evaluate({ Version: '2012-10-17', Statement }, asked)).toBe(verdict);
  });

  it.each([
    [
      'an operator that is not known',
      allow({ Condition: { StringResembles: { a: 'b' } } }),
      'StringResembles',
    ],
    ['a principal', { ...allow(), Principal: '*' } as PolicyStatement, 'Principal'],
    ['no resource', allow({ Resource: undefined }), 'Resource'],
    ['an action without its service', allow({ Action: 'CreateTags' }), 'CreateTags'],
    ['a resource that is no ARN', allow({ Resource: 'sg-1' }), 'sg-1'],
    ['an effect of its own', { ...allow(), Effect: 'Maybe' } as unknown as PolicyStatement, 'Maybe'],
  ])('with %s is refused whole, by name', (_, statement, named) => {
    expect(() => checkPolicy({ Statement: [statement] })).toThrow(named);
  });
});

describe('the permissions of a caller', () => {
  let served: Served;
  let groupId: string;
  const arn = (resource: string) => `arn:aws:ec2:ap-northeast-2:123456789012:${resource}`;
  const mark = 'ephemeral-ssh-ingress';

  /** The least that opening, holding and closing tagged rules needs. */
  const least = (): PolicyDocument & { Statement: PolicyStatement[] } => ({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Group',
        Effect: 'Allow',
        Action: ['ec2:AuthorizeSecurityGroupIngress', 'ec2:RevokeSecurityGroupIngress'],
        Resource: arn(`security-group/${groupId}`),
      },
      {
        Sid: 'NewTaggedRule',
        Effect: 'Allow',
        Action: 'ec2:AuthorizeSecurityGroupIngress',
        Resource: arn('security-group-rule/*'),
        Condition: { StringEquals: { 'aws:RequestTag/managed-by': mark } },
      },
      {
        Sid: 'CloseOwnRule',
        Effect: 'Allow',
        Action: 'ec2:RevokeSecurityGroupIngress',
        Resource: arn('security-group-rule/*'),
        Condition: { StringEquals: { 'aws:ResourceTag/managed-by': mark } },
      },
      {
        Sid: 'TagAtCreateOnly',
        Effect: 'Allow',
        Action: 'ec2:CreateTags',
        Resource: arn('security-group-rule/*'),
        Condition: { StringEquals: { 'ec2:CreateAction': 'AuthorizeSecurityGroupIngress' } },
      },
      {
        Sid: 'LeaseTags',
        Effect: 'Allow',
        Action: ['ec2:CreateTags', 'ec2:DeleteTags'],
        Resource: arn('security-group-rule/*'),
        Condition: { StringEquals: { 'aws:ResourceTag/managed-by': mark } },
      },
      {
        Sid: 'SweepVerify',
        Effect: 'Allow',
        Action: 'ec2:DescribeSecurityGroupRules',
        Resource: '*',
        Condition: { StringEquals: { 'aws:RequestedRegion': 'ap-northeast-2' } },
      },
    ],
  });
  const without = (sid: string): PolicyDocument => ({
    ...least(),
    Statement: least().Statement.filter((statement) => statement.Sid !== sid),
  });
  const as = (policy: PolicyDocument) => served.ec2({ credentials: served.account.addUser({ policy }) });
  const opening = (tags: Record<string, string> = { 'managed-by': mark }) =>
    new AuthorizeSecurityGroupIngressCommand({
      GroupId: groupId,
      IpPermissions: [
        { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '203.0.113.7/32' }] },
      ],
      TagSpecifications: [
        {
          ResourceType: 'security-group-rule',
          Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
        },
      ],
    });

  beforeEach(async () => {
    served = await serveAccount();
    groupId = served.account.addSecurityGroup().id;
  });
  afterEach(() => served.close());

  it('suffice for a whole lease when they are the least that is documented', async () => {
    const client = as(least());
    const { SecurityGroupRules } = await client.send(opening());
    const id = SecurityGroupRules![0]!.SecurityGroupRuleId!;
    await client.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'lease-1', Value: 'x' }] }));
    await client.send(new DescribeSecurityGroupRulesCommand({}));
    await client.send(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: 'lease-1' }] }));
    await client.send(
      new RevokeSecurityGroupIngressCommand({ GroupId: groupId, SecurityGroupRuleIds: [id] }),
    );
    expect(served.account.securityGroups.get(groupId)!.rules).toEqual([]);
  });

  it.each([
    ['Group', 'ec2:AuthorizeSecurityGroupIngress', () => arn(`security-group/${groupId}`)],
    ['NewTaggedRule', 'ec2:AuthorizeSecurityGroupIngress', () => arn('security-group-rule/*')],
    ['TagAtCreateOnly', 'ec2:CreateTags', () => arn('security-group-rule/*')],
  ])(
    'stop an opening when %s is missing, and name the action and resource',
    async (sid, action, resource) => {
      const refused = await refusal(as(without(sid)).send(opening()));
      expect(refused).toMatchObject({ name: 'UnauthorizedOperation', status: 403 });
      expect(refused.message).toContain(
        `is not authorized to perform: ${action} on resource: ${resource()} because no identity-based policy allows the ${action} action`,
      );
      expect(refused.message).toMatch(/Encoded authorization failure message: \S+$/);
      expect(served.account.securityGroups.get(groupId)!.rules).toEqual([]);
    },
  );

  it('need leave for the group alone when no tags are sent', async () => {
    const { Statement } = least();
    await as({ Statement: Statement.filter(({ Sid }) => Sid === 'Group') }).send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: groupId,
        IpPermissions: [
          { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '203.0.113.7/32' }] },
        ],
      }),
    );
    expect(served.account.securityGroups.get(groupId)!.rules).toHaveLength(1);
  });

  it('refuse a new rule that is not marked as the policy wants', async () => {
    const refused = await refusal(as(least()).send(opening({ 'managed-by': 'somebody' })));
    expect(refused.name).toBe('UnauthorizedOperation');
  });

  it("refuse to touch a rule that carries somebody else's mark", async () => {
    const { id } = served.account.addRule(groupId, { cidr: '203.0.113.9/32', port: 22 });
    const client = as(least());
    const calls = [
      client.send(new RevokeSecurityGroupIngressCommand({ GroupId: groupId, SecurityGroupRuleIds: [id] })),
      client.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: 'managed-by', Value: mark }] })),
      client.send(new DeleteTagsCommand({ Resources: [id], Tags: [{ Key: 'x' }] })),
    ];
    for (const refused of await Promise.all(calls.map(refusal))) {
      expect(refused).toMatchObject({ name: 'UnauthorizedOperation', status: 403 });
      expect(refused.message).toContain(`security-group-rule/${id}`);
    }
    expect(served.account.securityGroups.get(groupId)!.rules).toHaveLength(1);
  });

  it('are asked for the group alone on a revoke where the account is told to', async () => {
    const { id } = served.account.addRule(groupId, { cidr: '203.0.113.9/32', port: 22 });
    served.account.revokeChecksRules = false;
    await as(without('CloseOwnRule')).send(
      new RevokeSecurityGroupIngressCommand({ GroupId: groupId, SecurityGroupRuleIds: [id] }),
    );
    expect(served.account.securityGroups.get(groupId)!.rules).toEqual([]);
  });

  it('yield to an explicit deny, and it is said', async () => {
    const policy = least();
    policy.Statement.push({ Effect: 'Deny', Action: 'ec2:Revoke*', Resource: '*' });
    const client = as(policy);
    const { SecurityGroupRules } = await client.send(opening());
    const revoke = new RevokeSecurityGroupIngressCommand({
      GroupId: groupId,
      SecurityGroupRuleIds: [SecurityGroupRules![0]!.SecurityGroupRuleId!],
    });
    expect((await refusal(client.send(revoke))).message).toContain(
      'with an explicit deny in an identity-based policy',
    );
  });

  it('hold for load balancing in the words of that service', async () => {
    const targets = new TargetGroup({ clock: served.clock, name: 'backend', port: 80 });
    served.account.addTargetGroup(targets);
    const instance = served.account.addInstance({ privateIp: '10.0.1.20', securityGroupIds: [] });
    const reader = served.account.addUser({
      name: 'reader',
      policy: {
        Statement: [{ Effect: 'Allow', Action: 'elasticloadbalancing:Describe*', Resource: '*' }],
      },
    });
    const client = served.elb({ credentials: reader });
    await client.send(new DescribeTargetHealthCommand({ TargetGroupArn: targets.arn }));
    const register = new RegisterTargetsCommand({
      TargetGroupArn: targets.arn,
      Targets: [{ Id: instance.id }],
    });
    expect(await refusal(client.send(register))).toEqual({
      name: 'AccessDenied',
      status: 403,
      message: `User: arn:aws:iam::123456789012:user/reader is not authorized to perform: elasticloadbalancing:RegisterTargets on resource: ${targets.arn} because no identity-based policy allows the elasticloadbalancing:RegisterTargets action`,
    });
    expect(targets.health()).toEqual([]);
    expect(served.account.calls.at(-1)).toMatchObject({
      service: 'elasticloadbalancing',
      action: 'RegisterTargets',
      principal: 'arn:aws:iam::123456789012:user/reader',
      resources: [targets.arn],
      outcome: 'AccessDenied',
    });
  });
});

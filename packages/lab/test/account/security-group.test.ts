import {
  AuthorizeSecurityGroupIngressCommand,
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  type EC2Client,
  type IpPermission,
  ModifySecurityGroupRulesCommand,
  RevokeSecurityGroupIngressCommand,
  UpdateSecurityGroupRuleDescriptionsIngressCommand,
} from '@aws-sdk/client-ec2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SecurityGroup } from '../../src/account/index.ts';
import { refusal, type Served, serveAccount } from './endpoint.ts';

const ssh = (cidr: string, description?: string): IpPermission => ({
  IpProtocol: 'tcp',
  FromPort: 22,
  ToPort: 22,
  ...(cidr.includes(':')
    ? { Ipv6Ranges: [{ CidrIpv6: cidr, Description: description }] }
    : { IpRanges: [{ CidrIp: cidr, Description: description }] }),
});

describe('the security groups of the lab account', () => {
  let served: Served;
  let group: SecurityGroup;
  let client: EC2Client;

  beforeEach(async () => {
    served = await serveAccount();
    group = served.account.addSecurityGroup({ vpc: 'custom' });
    client = served.ec2();
  });
  afterEach(() => served.close());

  const open = (cidr: string, more: { description?: string; tags?: Record<string, string> } = {}) =>
    client.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: group.id,
        IpPermissions: [ssh(cidr, more.description)],
        ...(more.tags
          ? {
              TagSpecifications: [
                {
                  ResourceType: 'security-group-rule' as const,
                  Tags: Object.entries(more.tags).map(([Key, Value]) => ({ Key, Value })),
                },
              ],
            }
          : {}),
      }),
    );
  const rulesWith = async (filters: Record<string, string[]>) => {
    const answer = await client.send(
      new DescribeSecurityGroupRulesCommand({
        Filters: Object.entries(filters).map(([Name, Values]) => ({ Name, Values })),
      }),
    );
    return (answer.SecurityGroupRules ?? []).map((rule) => rule.SecurityGroupRuleId);
  };

  it('answers an opened rule with its id, source, description and tags', async () => {
    const { Return, SecurityGroupRules } = await open('203.0.113.7/32', {
      description: 'run 12 (main)',
      tags: { 'managed-by': 'ephemeral-ssh-ingress', empty: '', odd: '<a & "b">' },
    });
    expect(Return).toBe(true);
    expect(SecurityGroupRules).toEqual([
      {
        SecurityGroupRuleId: expect.stringMatching(/^sgr-[0-9a-f]{17}$/),
        GroupId: group.id,
        GroupOwnerId: '123456789012',
        IsEgress: false,
        IpProtocol: 'tcp',
        FromPort: 22,
        ToPort: 22,
        CidrIpv4: '203.0.113.7/32',
        Description: 'run 12 (main)',
        Tags: [
          { Key: 'managed-by', Value: 'ephemeral-ssh-ingress' },
          { Key: 'empty', Value: '' },
          { Key: 'odd', Value: '<a & "b">' },
        ],
        SecurityGroupRuleArn: expect.stringContaining(':security-group-rule/sgr-'),
      },
    ]);
  });

  it('lets in exactly the source and port of a rule, until it is revoked', async () => {
    const changes: boolean[] = [];
    served.account.onRulesChanged(() => changes.push(served.account.allows([group.id], 22, '203.0.113.7')));
    const { SecurityGroupRules } = await open('203.0.113.7/32');
    expect(served.account.allows([group.id], 22, '203.0.113.8')).toBe(false);
    expect(served.account.allows([group.id], 23, '203.0.113.7')).toBe(false);
    expect(served.account.allows([], 22, '203.0.113.7')).toBe(false);
    await client.send(
      new RevokeSecurityGroupIngressCommand({
        GroupId: group.id,
        SecurityGroupRuleIds: [SecurityGroupRules![0]!.SecurityGroupRuleId!],
      }),
    );
    expect(changes).toEqual([true, false]);
  });

  it.each([
    ['100.68.0.18/18', '100.68.0.0/18'],
    ['203.0.113.7/0', '0.0.0.0/0'],
    ['2001:DB8:0:0:0:0:0:7/128', '2001:db8::7/128'],
    ['2001:db8:1:2:3:4:5:6/64', '2001:db8:1:2::/64'],
    ['::/0', '::/0'],
  ])('stores %s as %s, and takes it for the same rule', async (given, stored) => {
    const { SecurityGroupRules } = await open(given);
    expect(SecurityGroupRules![0]!.CidrIpv4 ?? SecurityGroupRules![0]!.CidrIpv6).toBe(stored);
    expect(await refusal(open(stored))).toMatchObject({ name: 'InvalidPermission.Duplicate', status: 400 });
  });

  it('refuses a rule that exists whatever its description and tags, and makes none of the others asked for with it', async () => {
    await open('203.0.113.7/32', { description: 'one' });
    const both = client.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: group.id,
        IpPermissions: [ssh('203.0.113.8/32'), ssh('203.0.113.7/32', 'two')],
      }),
    );
    expect(await refusal(both)).toEqual({
      name: 'InvalidPermission.Duplicate',
      status: 400,
      message:
        'the specified rule "peer: 203.0.113.7/32, TCP, from port: 22, to port: 22, ALLOW" already exists',
    });
    expect(group.rules).toHaveLength(1);
  });

  it.each([
    ["an apostrophe (feature/it's)", "feature/it's"],
    ['a quote', 'say "x"'],
    ['letters beyond ASCII', '배포'],
    ['256 characters', 'a'.repeat(256)],
  ])('refuses a description with %s', async (_, description) => {
    expect(await refusal(open('203.0.113.7/32', { description }))).toMatchObject({
      name: 'InvalidParameterValue',
      status: 400,
      message: expect.stringContaining('Invalid rule description'),
    });
  });

  it.each([
    ['a malformed group id', { GroupId: 'my-group' }, 'InvalidGroupId.Malformed'],
    ['a group that is not there', { GroupId: 'sg-0123456789abcdef0' }, 'InvalidGroup.NotFound'],
    ['a source that is no CIDR', { IpPermissions: [ssh('203.0.113.300/32')] }, 'InvalidParameterValue'],
    ['an address without its length', { IpPermissions: [ssh('203.0.113.7')] }, 'InvalidParameterValue'],
    [
      'no source at all',
      { IpPermissions: [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22 }] },
      'MissingParameter',
    ],
    [
      'tcp without ports',
      { IpPermissions: [{ IpProtocol: 'tcp', IpRanges: [{ CidrIp: '203.0.113.7/32' }] }] },
      'InvalidParameterValue',
    ],
    [
      'a source that is a group, which the lab has not',
      { IpPermissions: [{ IpProtocol: '-1', UserIdGroupPairs: [{ GroupId: 'sg-1' }] }] },
      'UnsupportedOperation',
    ],
  ])('refuses %s', async (_, change, name) => {
    const call = client.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: group.id,
        IpPermissions: [ssh('203.0.113.7/32')],
        ...change,
      }),
    );
    expect(await refusal(call)).toMatchObject({ name, status: 400 });
  });

  it('holds 60 rules for IPv4 and 60 for IPv6, counted apart', async () => {
    for (let n = 1; n <= 60; n++) served.account.addRule(group.id, { cidr: `198.51.100.${n}/32`, port: 22 });
    expect(await refusal(open('203.0.113.7/32'))).toMatchObject({
      name: 'RulesPerSecurityGroupLimitExceeded',
      status: 400,
    });
    await open('2001:db8::7/128');
    expect(group.rules).toHaveLength(61);
  });

  describe('when revoking by properties what is not there', () => {
    const revokeBoth = () =>
      client.send(
        new RevokeSecurityGroupIngressCommand({
          GroupId: group.id,
          IpPermissions: [ssh('203.0.113.7/32'), ssh('203.0.113.8/32')],
        }),
      );

    it('stays quiet in the default VPC, revokes the rest and names what it did not know', async () => {
      group = served.account.addSecurityGroup({ vpc: 'default' });
      const { SecurityGroupRules } = await open('203.0.113.7/32');
      const answer = await revokeBoth();
      expect(answer.Return).toBe(true);
      expect(answer.UnknownIpPermissions).toEqual([
        expect.objectContaining({
          IpProtocol: 'tcp',
          FromPort: 22,
          ToPort: 22,
          IpRanges: [{ CidrIp: '203.0.113.8/32' }],
        }),
      ]);
      expect(answer.RevokedSecurityGroupRules).toEqual([
        expect.objectContaining({
          SecurityGroupRuleId: SecurityGroupRules![0]!.SecurityGroupRuleId,
          CidrIpv4: '203.0.113.7/32',
        }),
      ]);
      expect(group.rules).toHaveLength(0);
    });

    it('refuses in a custom VPC and revokes nothing', async () => {
      await open('203.0.113.7/32');
      expect(await refusal(revokeBoth())).toMatchObject({ name: 'InvalidPermission.NotFound', status: 400 });
      expect(group.rules).toHaveLength(1);
    });

    it('does not care about the description', async () => {
      await open('203.0.113.7/32', { description: 'run 12' });
      await client.send(
        new RevokeSecurityGroupIngressCommand({ GroupId: group.id, IpPermissions: [ssh('203.0.113.7/32')] }),
      );
      expect(group.rules).toHaveLength(0);
    });
  });

  it('refuses to revoke a rule id that is not there, in either VPC', async () => {
    for (const vpc of ['default', 'custom'] as const) {
      group = served.account.addSecurityGroup({ vpc });
      const revoke = (id: string) =>
        client.send(new RevokeSecurityGroupIngressCommand({ GroupId: group.id, SecurityGroupRuleIds: [id] }));
      expect(await refusal(revoke('sgr-0123456789abcdef0'))).toMatchObject({
        name: 'InvalidSecurityGroupRuleId.NotFound',
        status: 400,
      });
      expect(await refusal(revoke('my-rule'))).toMatchObject({
        name: 'InvalidSecurityGroupRuleId.Malformed',
      });
    }
  });

  it('finds rules by group, id and tag, with wildcards, and by nothing else', async () => {
    const mine = served.account.addRule(group.id, {
      cidr: '203.0.113.7/32',
      port: 22,
      tags: { 'managed-by': 'ephemeral-ssh-ingress', 'lease-a1': 'x' },
    });
    const foreign = served.account.addRule(group.id, { cidr: '0.0.0.0/0', port: 443 });
    const elsewhere = served.account.addRule(served.account.addSecurityGroup().id, {
      cidr: '203.0.113.7/32',
      port: 22,
      tags: { 'managed-by': 'somebody' },
    });
    expect(await rulesWith({ 'group-id': [group.id] })).toEqual([mine.id, foreign.id]);
    expect(await rulesWith({ 'group-id': ['sg-0123456789abcdef0'] })).toEqual([]);
    expect(await rulesWith({ 'security-group-rule-id': [mine.id, elsewhere.id] })).toEqual([
      mine.id,
      elsewhere.id,
    ]);
    expect(await rulesWith({ 'tag:managed-by': ['ephemeral-*'] })).toEqual([mine.id]);
    expect(await rulesWith({ 'tag:lease-a1': ['*'], 'group-id': [group.id] })).toEqual([mine.id]);
    expect(await rulesWith({ 'tag:lease': ['*'] })).toEqual([]);
    expect(await refusal(rulesWith({ cidr: ['203.0.113.7/32'] }))).toMatchObject({
      name: 'InvalidParameterValue',
      message: "The filter 'cidr' is invalid",
    });
  });

  it('hands out all rules at once, or page after page', async () => {
    for (let n = 1; n <= 12; n++) served.account.addRule(group.id, { cidr: `198.51.100.${n}/32`, port: 22 });
    const pageOf = (NextToken?: string) =>
      client.send(new DescribeSecurityGroupRulesCommand({ MaxResults: 5, NextToken }));
    const first = await pageOf();
    const second = await pageOf(first.NextToken);
    const third = await pageOf(second.NextToken);
    expect([first, second, third].map((page) => page.SecurityGroupRules?.length)).toEqual([5, 5, 2]);
    expect(third.NextToken).toBeUndefined();
    expect((await client.send(new DescribeSecurityGroupRulesCommand({}))).SecurityGroupRules).toHaveLength(
      12,
    );
    const tooSmall = client.send(new DescribeSecurityGroupRulesCommand({ MaxResults: 4 }));
    expect(await refusal(tooSmall)).toMatchObject({ name: 'InvalidParameterValue', status: 400 });
    expect(await refusal(pageOf('nonsense'))).toMatchObject({ name: 'InvalidNextToken', status: 400 });
    const unknown = client.send(
      new DescribeSecurityGroupRulesCommand({ SecurityGroupRuleIds: ['sgr-0123456789abcdef0'] }),
    );
    expect(await refusal(unknown)).toMatchObject({
      name: 'InvalidSecurityGroupRuleId.NotFound',
      status: 400,
    });
  });

  it('shows a group with its rules', async () => {
    await open('203.0.113.7/32', { description: 'run 12' });
    const answer = await client.send(new DescribeSecurityGroupsCommand({ GroupIds: [group.id] }));
    expect(answer.SecurityGroups).toEqual([
      expect.objectContaining({
        GroupId: group.id,
        VpcId: group.vpcId,
        IpPermissions: [
          expect.objectContaining({
            FromPort: 22,
            IpRanges: [{ CidrIp: '203.0.113.7/32', Description: 'run 12' }],
          }),
        ],
      }),
    ]);
  });

  describe('tags on a rule', () => {
    const tag = (id: string, tags: Record<string, string>) =>
      client.send(
        new CreateTagsCommand({
          Resources: [id],
          Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
        }),
      );
    const untag = (id: string, Tags?: Array<{ Key: string; Value?: string }>) =>
      client.send(new DeleteTagsCommand({ Resources: [id], ...(Tags ? { Tags } : {}) }));
    const tagsOf = (id: string) => Object.fromEntries(group.rules.find((rule) => rule.id === id)!.tags);
    const numbered = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`tag-${n}`, 'x']));

    it('are added and overwritten', async () => {
      const { id } = served.account.addRule(group.id, { cidr: '203.0.113.7/32', port: 22, tags: { a: '1' } });
      await tag(id, { a: '2', b: '3' });
      expect(tagsOf(id)).toEqual({ a: '2', b: '3' });
    });

    it('are 50 at the most; overwriting one of 50 is no 51st', async () => {
      const { id } = served.account.addRule(group.id, {
        cidr: '203.0.113.7/32',
        port: 22,
        tags: numbered(50),
      });
      await tag(id, { 'tag-0': 'y' });
      expect(await refusal(tag(id, { more: 'x' }))).toMatchObject({ name: 'TagLimitExceeded', status: 400 });
      expect(await refusal(open('203.0.113.8/32', { tags: numbered(51) }))).toMatchObject({
        name: 'TagLimitExceeded',
      });
      expect(Object.keys(tagsOf(id))).toHaveLength(50);
      expect(group.rules).toHaveLength(1);
    });

    it('go by key, or by key and value only when the value fits', async () => {
      const { id } = served.account.addRule(group.id, {
        cidr: '203.0.113.7/32',
        port: 22,
        tags: { a: '1', b: '2', c: '3', d: '' },
      });
      await untag(id, [
        { Key: 'a' },
        { Key: 'b', Value: 'other' },
        { Key: 'c', Value: '3' },
        { Key: 'gone' },
      ]);
      expect(tagsOf(id)).toEqual({ b: '2', d: '' });
      await untag(id, [
        { Key: 'b', Value: '' },
        { Key: 'd', Value: '' },
      ]);
      expect(tagsOf(id)).toEqual({ b: '2' });
      await untag(id);
      expect(tagsOf(id)).toEqual({});
    });

    it('are refused when reserved, and on what is not there', async () => {
      const { id } = served.account.addRule(group.id, { cidr: '203.0.113.7/32', port: 22 });
      expect(await refusal(tag(id, { 'aws:x': '1' }))).toMatchObject({ name: 'InvalidParameterValue' });
      expect(await refusal(tag('sgr-0123456789abcdef0', { a: '1' }))).toMatchObject({
        name: 'InvalidSecurityGroupRuleId.NotFound',
        status: 400,
      });
      expect(await refusal(tag('vol-1', { a: '1' }))).toMatchObject({ name: 'InvalidID' });
    });
  });

  it('changes a rule and its description in place, keeping id and tags', async () => {
    const rule = served.account.addRule(group.id, { cidr: '203.0.113.7/32', port: 22, tags: { a: '1' } });
    await client.send(
      new UpdateSecurityGroupRuleDescriptionsIngressCommand({
        GroupId: group.id,
        SecurityGroupRuleDescriptions: [{ SecurityGroupRuleId: rule.id, Description: 'renewed' }],
      }),
    );
    expect(group.rules[0]).toEqual({ ...rule, description: 'renewed' });
    await client.send(
      new ModifySecurityGroupRulesCommand({
        GroupId: group.id,
        SecurityGroupRules: [
          {
            SecurityGroupRuleId: rule.id,
            SecurityGroupRule: {
              IpProtocol: 'tcp',
              FromPort: 2222,
              ToPort: 2222,
              CidrIpv4: '203.0.113.9/32',
            },
          },
        ],
      }),
    );
    expect(group.rules).toEqual([
      expect.objectContaining({ id: rule.id, fromPort: 2222, cidr: '203.0.113.9/32', tags: rule.tags }),
    ]);
  });

  it('answers a dry run with an error either way, and changes nothing', async () => {
    const call = (DryRun: boolean) =>
      client.send(
        new AuthorizeSecurityGroupIngressCommand({
          GroupId: group.id,
          IpPermissions: [ssh('203.0.113.7/32')],
          DryRun,
        }),
      );
    expect(await refusal(call(true))).toEqual({
      name: 'DryRunOperation',
      status: 412,
      message: 'Request would have succeeded, but DryRun flag is set.',
    });
    const revoke = client.send(
      new RevokeSecurityGroupIngressCommand({
        GroupId: group.id,
        IpPermissions: [ssh('203.0.113.7/32')],
        DryRun: true,
      }),
    );
    expect(await refusal(revoke)).toMatchObject({ name: 'DryRunOperation', status: 412 });
    expect(group.rules).toHaveLength(0);

    const poor = served.account.addUser({ policy: { Statement: [] } });
    client = served.ec2({ credentials: poor });
    expect(await refusal(call(true))).toMatchObject({ name: 'UnauthorizedOperation', status: 403 });
  });

  it('shows what was before a change for as long as reads lag behind', async () => {
    served.account.readLagMs = 300;
    await open('203.0.113.7/32');
    expect(await rulesWith({ 'group-id': [group.id] })).toEqual([]);
    expect(group.rules).toHaveLength(1);
    served.clock.advance(300);
    expect(await rulesWith({ 'group-id': [group.id] })).toHaveLength(1);
  });

  it('lets traffic in only after the change has spread', async () => {
    served.account.propagationMs = 200;
    await open('203.0.113.7/32');
    expect(served.account.allows([group.id], 22, '203.0.113.7')).toBe(false);
    const told: boolean[] = [];
    served.account.onRulesChanged(() => told.push(served.account.allows([group.id], 22, '203.0.113.7')));
    served.clock.advance(199);
    expect(told).toEqual([]);
    served.clock.advance(1);
    expect(told).toEqual([true]);
    expect(served.account.allows([group.id], 22, '203.0.113.7')).toBe(true);
  });
});

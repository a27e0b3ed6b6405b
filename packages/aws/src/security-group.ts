import type { EC2Client, SecurityGroupRule } from '@aws-sdk/client-ec2';
import { messageOf, type UserError } from '@lockkeeper/action';
import {
  type AwsConfig,
  AwsError,
  awsErrorCode,
  explainAwsError,
  isDenied,
  readRefusal,
} from './credentials.ts';

/** One inbound rule of a security group. AWS tells rules apart by protocol, ports and source alone. */
export interface IngressRule {
  id: string;
  groupId: string;
  protocol: string;
  fromPort: number;
  toPort: number;
  /** IPv4 or IPv6; undefined when the source is a group or a prefix list. */
  cidr?: string;
  description: string;
  tags: Record<string, string>;
}

/** A TCP port for one source. */
export interface Opening {
  groupId: string;
  port: number;
  cidr: string;
}

/** What a dry run of a permission said; only a refusal that names the group itself is conclusive. */
export type Permission = { verdict: 'allowed' | 'unclear' } | { verdict: 'refused'; error: UserError };

/** The calls on security groups that a lease needs. Errors are UserErrors that name action and resource. */
export interface SecurityGroups {
  /** Every inbound rule of a group, all pages; of all groups that hold a rule with the tag when no group is named. */
  rules(where: { groupId: string } | { tag: [key: string, value: string] }): Promise<IngressRule[]>;
  /** `duplicate` when a rule of this protocol, port and source exists already. */
  authorize(
    opening: Opening,
    as: { description: string; tags: Record<string, string> },
  ): Promise<IngressRule | 'duplicate'>;
  /** `gone` when there is no such rule (any more). */
  revoke(groupId: string, ruleId: string): Promise<'revoked' | 'gone'>;
  /** `gone` when the rule does not exist (any more). */
  tag(ruleId: string, tags: Record<string, string>): Promise<'tagged' | 'gone' | 'full'>;
  untag(ruleId: string, keys: string[]): Promise<void>;
  mayAuthorize(
    opening: Opening,
    as: { description: string; tags: Record<string, string> },
  ): Promise<Permission>;
  mayRevoke(opening: Opening): Promise<Permission>;
}

/** EC2 takes only these in a rule's description, and 255 of them. */
export function ruleDescription(text: string): string {
  return text.replace(/[^a-zA-Z0-9 ._\-:/()#,@[\]+=&;{}!$*]/g, '-').slice(0, 255);
}

/**
 * The port over the EC2 API. The SDK is loaded here, late: it costs more start-up time than all the rest.
 * The signal ends calls under way.
 */
export async function openSecurityGroups(
  config: AwsConfig,
  signal?: AbortSignal,
): Promise<SecurityGroups & { close(): void }> {
  const ec2 = await import('@aws-sdk/client-ec2');
  const client: EC2Client = new ec2.EC2Client(config);
  const options = { abortSignal: signal };

  const permissions = ({ port, cidr }: Opening, description?: string) => [
    {
      IpProtocol: 'tcp',
      FromPort: port,
      ToPort: port,
      ...(cidr.includes(':')
        ? { Ipv6Ranges: [{ CidrIpv6: cidr, Description: description }] }
        : { IpRanges: [{ CidrIp: cidr, Description: description }] }),
    },
  ];
  const tagList = (tags: Record<string, string>) =>
    Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const authorizeInput = (
    opening: Opening,
    as: { description: string; tags: Record<string, string> },
    DryRun?: true,
  ) => ({
    GroupId: opening.groupId,
    IpPermissions: permissions(opening, ruleDescription(as.description)),
    TagSpecifications: [{ ResourceType: 'security-group-rule' as const, Tags: tagList(as.tags) }],
    DryRun,
  });
  const explain = (error: unknown, action: string, resource: string) =>
    explainGroupError(error, { action: `ec2:${action}`, resource });

  return {
    async rules(where) {
      const filter =
        'groupId' in where
          ? { Name: 'group-id', Values: [where.groupId] }
          : { Name: `tag:${where.tag[0]}`, Values: [where.tag[1]] };
      const found: IngressRule[] = [];
      let NextToken: string | undefined;
      try {
        do {
          const page = await client.send(
            new ec2.DescribeSecurityGroupRulesCommand({ Filters: [filter], MaxResults: 1000, NextToken }),
            options,
          );
          for (const rule of page.SecurityGroupRules ?? []) if (!rule.IsEgress) found.push(readRule(rule));
          NextToken = page.NextToken || undefined;
        } while (NextToken);
      } catch (error) {
        throw explain(error, 'DescribeSecurityGroupRules', 'groupId' in where ? where.groupId : '*');
      }
      return found;
    },

    async authorize(opening, as) {
      try {
        const answer = await client.send(
          new ec2.AuthorizeSecurityGroupIngressCommand(authorizeInput(opening, as)),
          options,
        );
        const rule = answer.SecurityGroupRules?.[0];
        if (!rule?.SecurityGroupRuleId)
          throw new Error('AWS opened the port but did not say which rule that made');
        return { ...readRule(rule), tags: as.tags };
      } catch (error) {
        if (awsErrorCode(error) === 'InvalidPermission.Duplicate') return 'duplicate';
        throw explain(error, 'AuthorizeSecurityGroupIngress', opening.groupId);
      }
    },

    async revoke(groupId, ruleId) {
      try {
        const answer = await client.send(
          new ec2.RevokeSecurityGroupIngressCommand({ GroupId: groupId, SecurityGroupRuleIds: [ruleId] }),
          options,
        );
        // In a default VPC a rule that is not there is no error; it comes back as unknown.
        return (answer.UnknownIpPermissions ?? []).length > 0 ? 'gone' : 'revoked';
      } catch (error) {
        if (isGone(error)) return 'gone';
        throw explain(error, 'RevokeSecurityGroupIngress', `${groupId} (${ruleId})`);
      }
    },

    async tag(ruleId, tags) {
      try {
        await client.send(new ec2.CreateTagsCommand({ Resources: [ruleId], Tags: tagList(tags) }), options);
        return 'tagged';
      } catch (error) {
        if (isGone(error)) return 'gone';
        if (awsErrorCode(error) === 'TagLimitExceeded') return 'full';
        throw explain(error, 'CreateTags', ruleId);
      }
    },

    async untag(ruleId, keys) {
      try {
        await client.send(
          new ec2.DeleteTagsCommand({ Resources: [ruleId], Tags: keys.map((Key) => ({ Key })) }),
          options,
        );
      } catch (error) {
        if (!isGone(error)) throw explain(error, 'DeleteTags', ruleId);
      }
    },

    mayAuthorize: (opening, as) =>
      dryRun(
        () =>
          client.send(
            new ec2.AuthorizeSecurityGroupIngressCommand(authorizeInput(opening, as, true)),
            options,
          ),
        'ec2:AuthorizeSecurityGroupIngress',
        opening.groupId,
      ),

    mayRevoke: (opening) =>
      dryRun(
        () =>
          client.send(
            new ec2.RevokeSecurityGroupIngressCommand({
              GroupId: opening.groupId,
              IpPermissions: permissions(opening),
              DryRun: true,
            }),
            options,
          ),
        'ec2:RevokeSecurityGroupIngress',
        opening.groupId,
      ),

    close: () => client.destroy(),
  };
}

function readRule(rule: SecurityGroupRule): IngressRule {
  return {
    id: rule.SecurityGroupRuleId ?? '',
    groupId: rule.GroupId ?? '',
    protocol: rule.IpProtocol ?? '',
    fromPort: rule.FromPort ?? -1,
    toPort: rule.ToPort ?? -1,
    cidr: rule.CidrIpv4 ?? rule.CidrIpv6,
    description: rule.Description ?? '',
    tags: Object.fromEntries((rule.Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
  };
}

function isGone(error: unknown): boolean {
  return [
    'InvalidPermission.NotFound',
    'InvalidSecurityGroupRuleId.NotFound',
    'InvalidSecurityGroupRuleID.NotFound',
    'InvalidGroup.NotFound',
    'InvalidID',
  ].includes(awsErrorCode(error));
}

/** A dry run that would have succeeded ends in an error, too: DryRunOperation. */
async function dryRun(call: () => Promise<unknown>, action: string, groupId: string): Promise<Permission> {
  try {
    await call();
    return { verdict: 'allowed' };
  } catch (error) {
    const code = awsErrorCode(error);
    // The second and third come after the permission was judged.
    if (['DryRunOperation', 'InvalidPermission.Duplicate', 'InvalidPermission.NotFound'].includes(code))
      return { verdict: 'allowed' };
    if (!isDenied(error)) throw explainGroupError(error, { action, resource: groupId });
    return judgeRefusal(error, action, groupId);
  }
}

/**
 * A policy can allow the call on the group and, by tag, on rules: a dry run has no rule that carries the
 * tag, so a refusal for `security-group-rule/*` proves nothing. One for the group does.
 */
export function judgeRefusal(error: unknown, action: string, groupId: string): Permission {
  const { resource } = readRefusal(error instanceof Error ? error.message : '');
  if (resource?.includes(':security-group/'))
    return { verdict: 'refused', error: explainAwsError(error, { action, resource: groupId }) };
  return { verdict: 'unclear' };
}

const groupErrors: Record<string, (resource: string) => { message: string; next: string }> = {
  'InvalidGroup.NotFound': (group) => ({
    message: `there is no security group ${group} in this account and region`,
    next: 'check security-group-id and region; aws ec2 describe-security-groups lists the groups',
  }),
  'InvalidGroupId.Malformed': (group) => ({
    message: `AWS does not take ${group} for the id of a security group`,
    next: 'check security-group-id; it looks like sg-0123456789abcdef0',
  }),
  RulesPerSecurityGroupLimitExceeded: (group) => ({
    message: `${group} has as many inbound rules as the quota allows (60 for each of IPv4 and IPv6 unless raised)`,
    next: 'remove rules that nobody needs, best by a dedicated security group for deploys; expired rules of ours were swept already',
  }),
  InvalidParameterValue: (group) => ({
    message: `AWS does not take a value sent for ${group}`,
    next: 'check security-group-id, cidr and port',
  }),
};

function explainGroupError(error: unknown, call: { action: string; resource: string }): UserError {
  const known = groupErrors[awsErrorCode(error)]?.(call.resource);
  if (!known) return explainAwsError(error, call);
  return new AwsError('missing', `${known.message}: ${messageOf(error)}`, { next: known.next, cause: error });
}

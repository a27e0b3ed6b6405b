import type { EC2Client, EC2ClientConfig, SecurityGroupRule } from '@aws-sdk/client-ec2';
import { messageOf, type UserError } from '@lockkeeper/action';
import type { Clock } from '@lockkeeper/wait';
import { AwsCallError, callAws } from './call.ts';
import { isDenied, readRefusal } from './error.ts';
import { renewedWhenExpired } from './renewal.ts';
import { serviceClock } from './service-clock.ts';

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

/** What a dry run of a permission said; only a refusal that names the very thing asked about is conclusive. */
export type Permission = { verdict: 'allowed' | 'unclear' } | { verdict: 'refused'; error: UserError };

/** The calls on security groups that a lease needs. All throw AwsCallError, which names action and resource. */
export interface SecurityGroups {
  /** Every inbound rule of a group, all pages; of all groups that hold a rule with the tag when no group is named. */
  rules(where: { groupId: string } | { tag: [key: string, value: string] }): Promise<IngressRule[]>;
  /** `duplicate` when a rule of this protocol, port and source exists, by whomever; perhaps by a request of ours whose answer was lost. */
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
  /** Whether the calls that close a rule would be allowed on this one, which exists. Never throws. */
  mayClose(rule: { id: string; groupId: string }): Promise<Permission[]>;
  /** The time by AWS's own clock, in milliseconds since the epoch; by this machine's until AWS has answered. */
  now(): number;
}

/** EC2 takes only these in a rule's description, and 255 of them. */
export function ruleDescription(text: string): string {
  return text.replace(/[^a-zA-Z0-9 ._\-:/()#,@[\]+=&;{}!$*]/g, '-').slice(0, 255);
}

/** Milliseconds after which a call is given up, the SDK's own retries included. Leases count on it. */
const longestCall = 25_000;

/**
 * The port over the EC2 API. The SDK is loaded by itself from here on, while the caller is busy with other things:
 * it costs more start-up time than all the rest. The signal ends calls under way.
 */
export function openSecurityGroups(
  config: EC2ClientConfig,
  { clock, signal }: { clock: Clock; signal?: AbortSignal },
): SecurityGroups & { close(): void } {
  const service = serviceClock(clock);
  const loading = import('@aws-sdk/client-ec2').then((ec2) => {
    const client = renewedWhenExpired(new ec2.EC2Client(config), config.credentials);
    listenTo(client, service.heard);
    return { ec2, client };
  });
  // Whoever calls first is told.
  loading.catch(() => {});

  type Loaded = Awaited<typeof loading>;
  const call = async <T>(
    action: string,
    resource: string,
    send: (loaded: Loaded, options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> => {
    const loaded = await loading;
    try {
      return await callAws(`ec2:${action}`, resource, (abortSignal) => send(loaded, { abortSignal }), {
        signal,
        limit: longestCall,
      });
    } catch (error) {
      throw error instanceof AwsCallError ? explainGroupError(error, resource) : error;
    }
  };
  const authorizing = (
    opening: Opening,
    as: { description: string; tags: Record<string, string> },
    DryRun?: true,
  ) =>
    call('AuthorizeSecurityGroupIngress', opening.groupId, ({ ec2, client }, options) =>
      client.send(
        new ec2.AuthorizeSecurityGroupIngressCommand({
          GroupId: opening.groupId,
          IpPermissions: permissions(opening, ruleDescription(as.description)),
          TagSpecifications: [{ ResourceType: 'security-group-rule', Tags: tagList(as.tags) }],
          DryRun,
        }),
        options,
      ),
    );
  const revoking = (groupId: string, ruleId: string, DryRun?: true) =>
    call('RevokeSecurityGroupIngress', `${groupId} (${ruleId})`, ({ ec2, client }, options) =>
      client.send(
        new ec2.RevokeSecurityGroupIngressCommand({
          GroupId: groupId,
          SecurityGroupRuleIds: [ruleId],
          DryRun,
        }),
        options,
      ),
    );
  const tagging = (ruleId: string, tags: Record<string, string>, DryRun?: true) =>
    call('CreateTags', ruleId, ({ ec2, client }, options) =>
      client.send(new ec2.CreateTagsCommand({ Resources: [ruleId], Tags: tagList(tags), DryRun }), options),
    );
  const untagging = (ruleId: string, keys: string[], DryRun?: true) =>
    call('DeleteTags', ruleId, ({ ec2, client }, options) =>
      client.send(
        new ec2.DeleteTagsCommand({ Resources: [ruleId], Tags: keys.map((Key) => ({ Key })), DryRun }),
        options,
      ),
    );

  return {
    async rules(where) {
      const filter =
        'groupId' in where
          ? { Name: 'group-id', Values: [where.groupId] }
          : { Name: `tag:${where.tag[0]}`, Values: [where.tag[1]] };
      const found: IngressRule[] = [];
      let NextToken: string | undefined;
      do {
        const page = await call(
          'DescribeSecurityGroupRules',
          'groupId' in where ? where.groupId : '*',
          ({ ec2, client }, options) =>
            client.send(
              new ec2.DescribeSecurityGroupRulesCommand({ Filters: [filter], MaxResults: 1000, NextToken }),
              options,
            ),
        );
        for (const rule of page.SecurityGroupRules ?? []) if (!rule.IsEgress) found.push(readRule(rule));
        NextToken = page.NextToken || undefined;
      } while (NextToken);
      return found;
    },

    async authorize(opening, as) {
      try {
        const [rule] = (await authorizing(opening, as)).SecurityGroupRules ?? [];
        // An answer that does not say which rule was made leaves it to a read, like one that was lost.
        return rule?.SecurityGroupRuleId ? { ...readRule(rule), tags: as.tags } : 'duplicate';
      } catch (error) {
        if (codeOf(error) === 'InvalidPermission.Duplicate') return 'duplicate';
        throw error;
      }
    },

    async revoke(groupId, ruleId) {
      try {
        const { UnknownIpPermissions = [] } = await revoking(groupId, ruleId);
        // In a default VPC a rule that is not there is no error; it comes back as unknown.
        return UnknownIpPermissions.length > 0 ? 'gone' : 'revoked';
      } catch (error) {
        if (isGone(error)) return 'gone';
        throw error;
      }
    },

    async tag(ruleId, tags) {
      try {
        await tagging(ruleId, tags);
        return 'tagged';
      } catch (error) {
        if (isGone(error)) return 'gone';
        if (codeOf(error) === 'TagLimitExceeded') return 'full';
        throw error;
      }
    },

    async untag(ruleId, keys) {
      try {
        await untagging(ruleId, keys);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    },

    mayAuthorize: (opening, as) => dryRun(() => authorizing(opening, as, true), 'security-group/'),

    mayRevoke: (opening) =>
      dryRun(
        () =>
          call('RevokeSecurityGroupIngress', opening.groupId, ({ ec2, client }, options) =>
            client.send(
              new ec2.RevokeSecurityGroupIngressCommand({
                GroupId: opening.groupId,
                IpPermissions: permissions(opening),
                DryRun: true,
              }),
              options,
            ),
          ),
        'security-group/',
      ),

    mayClose: ({ id, groupId }) =>
      Promise.all(
        [
          () => untagging(id, ['lease'], true),
          () => tagging(id, { closing: '' }, true),
          () => revoking(groupId, id, true),
        ].map((call) =>
          dryRun(call, `security-group-rule/${id}`).catch((): Permission => ({ verdict: 'unclear' })),
        ),
      ),

    now: service.now,
    close: () =>
      void loading.then(
        ({ client }) => client.destroy(),
        () => {},
      ),
  };
}

/** Tells `heard` the Date of every answer, also of one that is a refusal. */
function listenTo(client: EC2Client, heard: (date: string | undefined) => void): void {
  client.middlewareStack.add(
    (next) => async (request) => {
      const result = await next(request);
      heard((result.response as { headers?: Record<string, string> }).headers?.date);
      return result;
    },
    // Below the deserialiser, which throws what a refusal says.
    { step: 'deserialize', priority: 'low', name: 'serviceClock' },
  );
}

function permissions({ port, cidr }: Opening, description?: string) {
  const source = cidr.includes(':')
    ? { Ipv6Ranges: [{ CidrIpv6: cidr, Description: description }] }
    : { IpRanges: [{ CidrIp: cidr, Description: description }] };
  return [{ IpProtocol: 'tcp', FromPort: port, ToPort: port, ...source }];
}

const tagList = (tags: Record<string, string>) =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

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

const codeOf = (error: unknown) => (error instanceof AwsCallError ? error.code : '');

function isGone(error: unknown): boolean {
  return [
    'InvalidPermission.NotFound',
    'InvalidSecurityGroupRuleId.NotFound',
    'InvalidGroup.NotFound',
    'InvalidID',
  ].includes(codeOf(error));
}

// These come after the permission was judged; a dry run that would have succeeded ends in an error, too.
const afterPermission = [
  'DryRunOperation',
  'InvalidPermission.Duplicate',
  'InvalidPermission.NotFound',
  'TagLimitExceeded',
];

async function dryRun(call: () => Promise<unknown>, about: string): Promise<Permission> {
  try {
    await call();
    return { verdict: 'allowed' };
  } catch (error) {
    if (afterPermission.includes(codeOf(error))) return { verdict: 'allowed' };
    if (!(error instanceof AwsCallError) || !isDenied(error.cause)) throw error;
    return judgeRefusal(error, about);
  }
}

/**
 * A policy can allow the call on the group and, by tag, on rules: a dry run has no rule that carries the tag, so a
 * refusal for `security-group-rule/*` proves nothing. One for the very thing asked about (the end of its ARN) does.
 */
export function judgeRefusal(error: AwsCallError, about: string): Permission {
  const { resource = '' } = readRefusal(messageOf(error.cause));
  return resource.includes(`:${about}`) ? { verdict: 'refused', error } : { verdict: 'unclear' };
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

function explainGroupError(error: AwsCallError, resource: string): AwsCallError {
  const known = groupErrors[error.code]?.(resource);
  if (!known) return error;
  const { kind, code, cause } = error;
  return new AwsCallError(kind, code, `${known.message}: ${messageOf(cause)}`, { next: known.next, cause });
}

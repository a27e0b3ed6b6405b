import type { SecurityGroup, SecurityGroupRule } from './account.ts';
import { parseCidr } from './cidr.ts';
import { like } from './iam.ts';
import type { Instance } from './instance.ts';
import { AwsError, type Query, type Xml } from './query.ts';
import type { Operations, Turn } from './turn.ts';

/** The EC2 actions that the lab knows (API version 2016-11-15). */
export const ec2: Operations = {
  AuthorizeSecurityGroupIngress(turn) {
    const { account, query } = turn;
    const group = groupOf(turn);
    const wanted = wantedRules(query);
    const tags = tagSpecification(query, 'security-group-rule');
    const asked = tagContext(tags);
    turn.authorize('ec2:AuthorizeSecurityGroupIngress', [groupResource(turn, group)], asked);
    if (tags.size > 0) {
      // A rule that is made with tags is a resource of its own, and tagging it is an action of its own.
      const newRule = [{ arn: account.arn('ec2', 'security-group-rule/*') }];
      turn.authorize('ec2:AuthorizeSecurityGroupIngress', newRule, asked);
      turn.authorize('ec2:CreateTags', newRule, {
        ...asked,
        'ec2:CreateAction': 'AuthorizeSecurityGroupIngress',
      });
    }
    turn.endDryRun();

    const made: SecurityGroupRule[] = [];
    for (const rule of wanted) {
      if ([...group.rules, ...made].some((other) => sameRule(other, rule))) {
        throw new AwsError(
          'InvalidPermission.Duplicate',
          `the specified rule "${spelled(rule)}" already exists`,
        );
      }
      made.push({ ...rule, id: account.newId('sgr'), groupId: group.id, tags });
    }
    refuseTooMany(account.rulesPerGroup, [...group.rules, ...made]);
    account.changeRules(group.id, [...group.rules, ...made]);
    return { return: true, securityGroupRuleSet: { item: made.map((rule) => ruleXml(turn, rule)) } };
  },

  RevokeSecurityGroupIngress(turn) {
    const { account, query } = turn;
    const group = groupOf(turn);
    const ids = query.texts('SecurityGroupRuleId');
    if (ids.length > 0 && query.has('IpPermissions')) {
      throw new AwsError(
        'InvalidParameterCombination',
        'The parameter securityGroupRuleIds cannot be used with the parameter ipPermissions',
      );
    }
    turn.authorize('ec2:RevokeSecurityGroupIngress', [groupResource(turn, group)]);
    let revoked: SecurityGroupRule[];
    let unknown: RuleProperties[] = [];
    if (ids.length > 0) {
      revoked = ids.map((id) => ruleOf(group, id));
    } else {
      const wanted = wantedRules(query);
      revoked = group.rules.filter((rule) => wanted.some((one) => sameRule(one, rule)));
      unknown = wanted.filter((one) => !group.rules.some((rule) => sameRule(one, rule)));
    }
    if (account.revokeChecksRules) {
      turn.authorize(
        'ec2:RevokeSecurityGroupIngress',
        revoked.map((rule) => ruleResource(turn, rule)),
      );
    }
    turn.endDryRun();

    // The default VPC stays quiet about what is not there; any other revokes nothing at all then.
    if (unknown.length > 0 && group.vpc === 'custom') {
      throw new AwsError(
        'InvalidPermission.NotFound',
        'The specified rule does not exist in this security group.',
      );
    }
    account.changeRules(
      group.id,
      group.rules.filter((rule) => !revoked.includes(rule)),
    );
    return {
      return: true,
      unknownIpPermissionSet: { item: unknown.map(permissionXml) },
      revokedSecurityGroupRuleSet: {
        item: revoked.map((rule) => ({
          securityGroupRuleId: rule.id,
          groupId: rule.groupId,
          isEgress: false,
          ...propertiesXml(rule),
        })),
      },
    };
  },

  ModifySecurityGroupRules(turn) {
    const { account, query } = turn;
    const group = groupOf(turn);
    const updates = query.list('SecurityGroupRule').map((update) => {
      const rule = ruleOf(group, update.required('SecurityGroupRuleId'));
      const to = new QueryBelow(update, 'SecurityGroupRule');
      return { rule, properties: propertiesFromRule(to) };
    });
    if (updates.length === 0) query.required('SecurityGroupRule');
    turn.authorize('ec2:ModifySecurityGroupRules', [
      groupResource(turn, group),
      ...updates.map(({ rule }) => ruleResource(turn, rule)),
    ]);
    turn.endDryRun();
    const changed = group.rules.map((rule) => {
      const update = updates.find((one) => one.rule === rule);
      if (!update) return rule;
      const { id, groupId, tags } = rule;
      return { ...update.properties, id, groupId, tags };
    });
    for (const [index, rule] of changed.entries()) {
      if (changed.some((other, at) => at !== index && sameRule(other, rule))) {
        throw new AwsError(
          'InvalidPermission.Duplicate',
          `the specified rule "${spelled(rule)}" already exists`,
        );
      }
    }
    refuseTooMany(account.rulesPerGroup, changed);
    account.changeRules(group.id, changed);
    return { return: true };
  },

  UpdateSecurityGroupRuleDescriptionsIngress(turn) {
    const { account, query } = turn;
    const group = groupOf(turn);
    const texts = new Map<SecurityGroupRule, string | undefined>();
    for (const one of query.list('SecurityGroupRuleDescription')) {
      texts.set(
        ruleOf(group, one.required('SecurityGroupRuleId')),
        checkedDescription(one.text('Description')),
      );
    }
    for (const wanted of query.has('IpPermissions') ? wantedRules(query) : []) {
      const rule = group.rules.find((one) => sameRule(one, wanted));
      if (!rule) {
        throw new AwsError(
          'InvalidPermission.NotFound',
          'The specified rule does not exist in this security group.',
        );
      }
      texts.set(rule, wanted.description);
    }
    if (texts.size === 0) query.required('IpPermissions');
    turn.authorize('ec2:UpdateSecurityGroupRuleDescriptionsIngress', [
      groupResource(turn, group),
      ...[...texts.keys()].map((rule) => ruleResource(turn, rule)),
    ]);
    turn.endDryRun();
    account.changeRules(
      group.id,
      group.rules.map((rule) => {
        if (!texts.has(rule)) return rule;
        const { description: _, ...rest } = rule;
        const text = texts.get(rule);
        return text === undefined || text === '' ? rest : { ...rest, description: text };
      }),
    );
    return { return: true };
  },

  DescribeSecurityGroupRules(turn) {
    const { account, query } = turn;
    turn.authorize('ec2:DescribeSecurityGroupRules', [{ arn: '*' }]);
    const ids = query.texts('SecurityGroupRuleId');
    for (const id of ids) refuseMalformed(id, 'sgr', 'InvalidSecurityGroupRuleId.Malformed');
    const filters = readFilters(query, (name) => rulesFilters.some((known) => like(known, name)));
    turn.endDryRun();
    const all = [...account.securityGroups.keys()].flatMap((groupId) => account.readRules(groupId));
    for (const id of ids) if (!all.some((rule) => rule.id === id)) throw noSuchRule(id);
    const found = all.filter(
      (rule) =>
        (ids.length === 0 || ids.includes(rule.id)) &&
        filters.every(({ name, values }) => {
          if (name === 'group-id') return values.some((value) => like(value, rule.groupId));
          if (name === 'security-group-rule-id') return values.some((value) => like(value, rule.id));
          return tagFits(rule.tags, name, values);
        }),
    );
    const { items, nextToken } = page(query, found, { min: 5, max: 1000, ids });
    return { securityGroupRuleSet: { item: items.map((rule) => ruleXml(turn, rule)) }, nextToken };
  },

  DescribeSecurityGroups(turn) {
    const { account, query } = turn;
    turn.authorize('ec2:DescribeSecurityGroups', [{ arn: '*' }]);
    const ids = query.texts('GroupId');
    const filters = readFilters(
      query,
      (name) =>
        ['group-id', 'group-name', 'vpc-id', 'description', 'tag-key'].includes(name) || /^tag:/.test(name),
    );
    turn.endDryRun();
    for (const id of ids) findGroup(turn, id);
    const found = [...account.securityGroups.values()].filter(
      (group) =>
        (ids.length === 0 || ids.includes(group.id)) &&
        filters.every(({ name, values }) => {
          const actual = {
            'group-id': group.id,
            'group-name': group.name,
            'vpc-id': group.vpcId,
            description: group.description,
          }[name];
          return actual === undefined
            ? tagFits(group.tags, name, values)
            : values.some((value) => like(value, actual));
        }),
    );
    const { items, nextToken } = page(query, found, { min: 5, max: 1000, ids });
    return {
      securityGroupInfo: {
        item: items.map((group) => ({
          ownerId: account.accountId,
          groupId: group.id,
          groupName: group.name,
          groupDescription: group.description,
          vpcId: group.vpcId,
          securityGroupArn: account.arn('ec2', `security-group/${group.id}`),
          ipPermissions: { item: account.readRules(group.id).map(permissionXml) },
          ipPermissionsEgress: {
            item: [{ ipProtocol: '-1', ipRanges: { item: [{ cidrIp: '0.0.0.0/0' }] } }],
          },
          tagSet: tagsXml(group.tags),
        })),
      },
      nextToken,
    };
  },

  CreateTags(turn) {
    const { query } = turn;
    const resources = taggedResources(turn);
    const tags = readTags(query.list('Tag'));
    if (tags.size === 0) query.required('Tag');
    const asked = tagContext(tags);
    turn.authorize('ec2:CreateTags', resources, asked);
    turn.endDryRun();
    const results = resources.map((resource) => {
      const merged = new Map([...resource.tags, ...tags]);
      if (merged.size > 50) {
        throw new AwsError('TagLimitExceeded', 'The maximum number of Tags for a resource has been reached.');
      }
      return { resource, merged };
    });
    for (const { resource, merged } of results) resource.setTags(merged);
    return { return: true };
  },

  DeleteTags(turn) {
    const { query } = turn;
    const resources = taggedResources(turn);
    const unwanted = query.list('Tag').map((tag) => ({ key: tag.required('Key'), value: tag.text('Value') }));
    turn.authorize('ec2:DeleteTags', resources, {
      ...(unwanted.length > 0 ? { 'aws:TagKeys': unwanted.map(({ key }) => key) } : {}),
      ...Object.fromEntries(
        unwanted.flatMap(({ key, value }) => (value === undefined ? [] : [[`aws:RequestTag/${key}`, value]])),
      ),
    });
    turn.endDryRun();
    for (const resource of resources) {
      const kept = [...resource.tags].filter(
        ([key, value]) =>
          unwanted.length > 0 &&
          !unwanted.some((tag) => tag.key === key && (tag.value === undefined || tag.value === value)),
      );
      resource.setTags(new Map(kept));
    }
    return { return: true };
  },

  DescribeInstances(turn) {
    const { account, query } = turn;
    const ids = query.texts('InstanceId');
    for (const id of ids) refuseMalformed(id, 'i', 'InvalidInstanceID.Malformed');
    turn.authorize('ec2:DescribeInstances', [{ arn: '*' }]);
    const filters = readFilters(
      query,
      (name) => Object.hasOwn(instanceFilters, name) || name === 'tag-key' || /^tag:/.test(name),
    );
    turn.endDryRun();
    for (const id of ids) findInstance(turn, id);
    const found = [...account.instances.values()].filter(
      (instance) =>
        (ids.length === 0 || ids.includes(instance.id)) &&
        filters.every(({ name, values }) => {
          const actual = instanceFilters[name]?.(instance);
          return actual === undefined
            ? tagFits(instance.tags, name, values)
            : actual.some((one) => values.some((value) => like(value, one)));
        }),
    );
    const { items, nextToken } = page(query, found, { min: 5, max: 1000, ids });
    return {
      reservationSet: {
        item: items.map((instance) => ({
          reservationId: instance.id.replace(/^i-/, 'r-'),
          ownerId: account.accountId,
          groupSet: undefined,
          instancesSet: { item: [instanceXml(turn, instance)] },
        })),
      },
      nextToken,
    };
  },

  GetConsoleOutput(turn) {
    const { account, query } = turn;
    const id = query.required('InstanceId');
    refuseMalformed(id, 'i', 'InvalidInstanceID.Malformed');
    const known = account.instances.get(id);
    turn.authorize('ec2:GetConsoleOutput', [
      { arn: account.arn('ec2', `instance/${id}`), tags: known?.tags },
    ]);
    turn.endDryRun();
    const { consoleOutput, latestConsoleOutput = consoleOutput } = findInstance(turn, id);
    const output = query.boolean('Latest') ? latestConsoleOutput : consoleOutput;
    return {
      instanceId: id,
      timestamp: account.wallTime(account.clock.now()),
      output:
        output === undefined
          ? undefined
          : // AWS keeps the last 64 KB.
            Buffer.from(output)
              .subarray(-64 * 1024)
              .toString('base64'),
    };
  },
};

type RuleProperties = Omit<SecurityGroupRule, 'id' | 'groupId' | 'tags'>;

/** A structure nested under a name, such as SecurityGroupRule.1.SecurityGroupRule.IpProtocol. */
class QueryBelow {
  readonly #query: Query;
  readonly #name: string;

  constructor(query: Query, name: string) {
    this.#query = query;
    this.#name = name;
  }

  text(name: string): string | undefined {
    return this.#query.text(`${this.#name}.${name}`);
  }

  integer(name: string): number | undefined {
    return this.#query.integer(`${this.#name}.${name}`);
  }
}

const rulesFilters = ['group-id', 'security-group-rule-id', 'tag:?*'];

const instanceFilters: Record<string, (instance: Instance) => string[]> = {
  'instance-id': ({ id }) => [id],
  'instance-state-name': ({ state }) => [state],
  'ip-address': ({ publicIp }) => (publicIp === undefined ? [] : [publicIp]),
  'private-ip-address': ({ privateIp }) => [privateIp],
  'dns-name': ({ publicDns }) => [publicDns],
  'private-dns-name': ({ privateDns }) => [privateDns],
  'network-interface.addresses.private-ip-address': ({ privateIp }) => [privateIp],
  'network-interface.addresses.association.public-ip': ({ publicIp }) =>
    publicIp === undefined ? [] : [publicIp],
  'vpc-id': ({ vpcId }) => [vpcId],
  'subnet-id': ({ subnetId }) => [subnetId],
  'availability-zone': ({ zone }) => [zone],
  'instance.group-id': ({ securityGroupIds }) => securityGroupIds,
};

function groupOf(turn: Turn): SecurityGroup {
  const { query } = turn;
  for (const name of ['CidrIp', 'SourceSecurityGroupName', 'SourceSecurityGroupOwnerId', 'GroupName']) {
    if (query.has(name)) {
      throw new AwsError('UnsupportedOperation', `the lab reads IpPermissions and GroupId, not ${name}`);
    }
  }
  return findGroup(turn, query.required('GroupId'));
}

function findGroup(turn: Turn, id: string): SecurityGroup {
  refuseMalformed(id, 'sg', 'InvalidGroupId.Malformed');
  const group = turn.account.securityGroups.get(id);
  if (!group) throw new AwsError('InvalidGroup.NotFound', `The security group '${id}' does not exist`);
  return group;
}

function findInstance(turn: Turn, id: string): Instance {
  const instance = turn.account.instances.get(id);
  if (!instance) throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  return instance;
}

function ruleOf(group: SecurityGroup, id: string): SecurityGroupRule {
  refuseMalformed(id, 'sgr', 'InvalidSecurityGroupRuleId.Malformed');
  const rule = group.rules.find((one) => one.id === id);
  if (!rule) throw noSuchRule(id);
  return rule;
}

function noSuchRule(id: string): AwsError {
  return new AwsError(
    'InvalidSecurityGroupRuleId.NotFound',
    `The security group rule ID '${id}' does not exist`,
  );
}

function refuseMalformed(id: string, prefix: string, code: string): void {
  if (!new RegExp(`^${prefix}-[0-9a-f]+$`).test(id)) {
    throw new AwsError(code, `Invalid id: "${id}" (expecting "${prefix}-...")`);
  }
}

function groupResource(turn: Turn, group: SecurityGroup) {
  return { arn: turn.account.arn('ec2', `security-group/${group.id}`), tags: group.tags };
}

function ruleResource(turn: Turn, rule: SecurityGroupRule) {
  return { arn: turn.account.arn('ec2', `security-group-rule/${rule.id}`), tags: rule.tags };
}

/** Description and tags are no part of a rule's identity. */
function sameRule(a: RuleProperties, b: RuleProperties): boolean {
  return a.protocol === b.protocol && a.fromPort === b.fromPort && a.toPort === b.toPort && a.cidr === b.cidr;
}

function spelled(rule: RuleProperties): string {
  return `peer: ${rule.cidr}, ${rule.protocol.toUpperCase()}, from port: ${rule.fromPort}, to port: ${rule.toPort}, ALLOW`;
}

function refuseTooMany(limit: number, rules: readonly RuleProperties[]): void {
  for (const family of ['ipv4', 'ipv6']) {
    if (rules.filter((rule) => rule.family === family).length > limit) {
      throw new AwsError(
        'RulesPerSecurityGroupLimitExceeded',
        'The maximum number of rules per security group has been reached.',
      );
    }
  }
}

/** The rules that IpPermissions spell: one for each source. */
function wantedRules(query: Query): RuleProperties[] {
  const rules = query.list('IpPermissions').flatMap((permission) => {
    for (const name of ['Groups', 'PrefixListIds']) {
      if (permission.has(name)) {
        throw new AwsError('UnsupportedOperation', `the lab has rules for addresses only, not for ${name}`);
      }
    }
    const sources = [
      ...permission
        .list('IpRanges')
        .map((range) => ({ range, cidr: range.required('CidrIp'), family: 'ipv4' })),
      ...permission
        .list('Ipv6Ranges')
        .map((range) => ({ range, cidr: range.required('CidrIpv6'), family: 'ipv6' })),
    ];
    if (sources.length === 0) {
      throw new AwsError('MissingParameter', 'The request must contain a source: IpRanges or Ipv6Ranges');
    }
    return sources.map(({ range, cidr, family }) =>
      properties({
        protocol: permission.required('IpProtocol'),
        fromPort: permission.integer('FromPort'),
        toPort: permission.integer('ToPort'),
        cidr,
        family,
        description: range.text('Description'),
      }),
    );
  });
  if (rules.length === 0) query.required('IpPermissions');
  return rules;
}

function propertiesFromRule(rule: QueryBelow): RuleProperties {
  const v4 = rule.text('CidrIpv4');
  const v6 = rule.text('CidrIpv6');
  if ((v4 === undefined) === (v6 === undefined)) {
    throw new AwsError('InvalidParameterCombination', 'Exactly one of CidrIpv4 and CidrIpv6 is needed');
  }
  return properties({
    protocol: rule.text('IpProtocol') ?? '-1',
    fromPort: rule.integer('FromPort'),
    toPort: rule.integer('ToPort'),
    cidr: (v4 ?? v6)!,
    family: v4 === undefined ? 'ipv6' : 'ipv4',
    description: rule.text('Description'),
  });
}

const protocolNames: Record<string, string> = { '6': 'tcp', '17': 'udp', '1': 'icmp', '58': 'icmpv6' };

function properties(given: {
  protocol: string;
  fromPort: number | undefined;
  toPort: number | undefined;
  cidr: string;
  family: string;
  description: string | undefined;
}): RuleProperties {
  const cidr = parseCidr(given.cidr);
  if (!cidr || cidr.family !== given.family) {
    throw new AwsError('InvalidParameterValue', `CIDR block ${given.cidr} is malformed`);
  }
  const lower = given.protocol.toLowerCase();
  const protocol = protocolNames[lower] ?? lower;
  if (!/^(tcp|udp|icmp|icmpv6|-1|\d{1,3})$/.test(protocol)) {
    throw new AwsError(
      'InvalidParameterValue',
      `Invalid value '${given.protocol}' for IP protocol. Unknown protocol.`,
    );
  }
  let { fromPort = -1, toPort = -1 } = given;
  if (protocol === 'tcp' || protocol === 'udp') {
    if (given.fromPort === undefined || given.toPort === undefined) {
      throw new AwsError(
        'InvalidParameterValue',
        "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
      );
    }
    for (const port of [fromPort, toPort]) {
      if (port < 0 || port > 65_535) {
        throw new AwsError(
          'InvalidParameterValue',
          `Invalid value '${port}' for portRange. Port must be from 0 to 65535.`,
        );
      }
    }
    if (fromPort > toPort) {
      throw new AwsError(
        'InvalidParameterValue',
        `Invalid value '${fromPort}-${toPort}' for portRange. The from port is above the to port.`,
      );
    }
  } else if (protocol === '-1') {
    // All protocols means all ports, whatever was sent.
    fromPort = -1;
    toPort = -1;
  }
  const description = checkedDescription(given.description);
  return {
    protocol,
    fromPort,
    toPort,
    cidr: cidr.text,
    family: cidr.family,
    ...(description === undefined || description === '' ? {} : { description }),
  };
}

/** Up to 255 characters of AWS's set; no quotes, angle brackets, percent signs or letters beyond ASCII. */
function checkedDescription(text: string | undefined): string | undefined {
  if (text !== undefined && !/^[a-zA-Z0-9 ._\-:/()#,@[\]+=&;{}!$*]{0,255}$/.test(text)) {
    throw new AwsError(
      'InvalidParameterValue',
      'Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*',
    );
  }
  return text;
}

function tagSpecification(query: Query, resourceType: string): ReadonlyMap<string, string> {
  let tags: ReadonlyMap<string, string> = new Map();
  for (const specification of query.list('TagSpecification')) {
    const type = specification.required('ResourceType');
    if (type !== resourceType) {
      throw new AwsError(
        'InvalidParameterValue',
        `'${type}' is not a valid taggable resource type for this operation.`,
      );
    }
    tags = readTags(specification.list('Tag'));
  }
  if (tags.size > 50) {
    throw new AwsError('TagLimitExceeded', 'The maximum number of Tags for a resource has been reached.');
  }
  return tags;
}

function readTags(list: Query[]): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const tag of list) {
    const key = tag.required('Key');
    const value = tag.text('Value') ?? '';
    if (tags.has(key)) throw new AwsError('InvalidParameterValue', `Duplicate tag key '${key}' specified.`);
    if (/^aws:/i.test(key)) {
      throw new AwsError(
        'InvalidParameterValue',
        "Tag keys starting with 'aws:' are reserved for internal use",
      );
    }
    if ([...key].length > 127) {
      throw new AwsError('InvalidParameterValue', 'Tag key exceeds the maximum length of 127 characters');
    }
    if ([...value].length > 255) {
      throw new AwsError('InvalidParameterValue', 'Tag value exceeds the maximum length of 255 characters');
    }
    tags.set(key, value);
  }
  return tags;
}

function tagContext(tags: ReadonlyMap<string, string>): Record<string, string | string[]> {
  if (tags.size === 0) return {};
  const context: Record<string, string | string[]> = { 'aws:TagKeys': [...tags.keys()] };
  for (const [key, value] of tags) context[`aws:RequestTag/${key}`] = value;
  return context;
}

/** What CreateTags and DeleteTags name: rules, groups and instances. */
function taggedResources(turn: Turn): Array<{
  arn: string;
  tags: ReadonlyMap<string, string>;
  setTags(tags: ReadonlyMap<string, string>): void;
}> {
  const { account, query } = turn;
  const ids = query.texts('ResourceId');
  if (ids.length === 0) query.required('ResourceId');
  return ids.map((id) => {
    if (id.startsWith('sgr-')) {
      refuseMalformed(id, 'sgr', 'InvalidSecurityGroupRuleId.Malformed');
      const group = [...account.securityGroups.values()].find(({ rules }) =>
        rules.some((one) => one.id === id),
      );
      if (!group) throw noSuchRule(id);
      const rule = ruleOf(group, id);
      return {
        ...ruleResource(turn, rule),
        setTags: (tags) =>
          account.changeRules(
            group.id,
            group.rules.map((one) => (one.id === id ? { ...one, tags } : one)),
          ),
      };
    }
    const owner = id.startsWith('sg-')
      ? findGroup(turn, id)
      : id.startsWith('i-')
        ? findInstance(turn, id)
        : undefined;
    if (!owner) throw new AwsError('InvalidID', `The ID '${id}' is not valid`);
    const type = id.startsWith('sg-') ? 'security-group' : 'instance';
    return {
      arn: account.arn('ec2', `${type}/${id}`),
      tags: owner.tags,
      setTags: (tags) => {
        owner.tags = tags;
      },
    };
  });
}

function readFilters(
  query: Query,
  known: (name: string) => boolean,
): Array<{ name: string; values: string[] }> {
  return query.list('Filter').map((filter) => {
    const name = filter.required('Name');
    if (!known(name)) throw new AwsError('InvalidParameterValue', `The filter '${name}' is invalid`);
    const values = filter.texts('Value');
    if (values.length === 0) {
      throw new AwsError('InvalidParameterValue', `The filter '${name}' must have at least one value`);
    }
    return { name, values };
  });
}

function tagFits(tags: ReadonlyMap<string, string>, filter: string, values: string[]): boolean {
  if (filter === 'tag-key') return [...tags.keys()].some((key) => values.some((value) => like(value, key)));
  const actual = tags.get(filter.replace(/^tag:/, ''));
  return actual !== undefined && values.some((value) => like(value, actual));
}

/** One page of a list. Without MaxResults it is all of it, as on AWS. */
function page<T>(
  query: Query,
  all: T[],
  { min, max, ids }: { min: number; max: number; ids: string[] },
): { items: T[]; nextToken: string | undefined } {
  const size = query.integer('MaxResults');
  const token = query.text('NextToken');
  if (size !== undefined && ids.length > 0) {
    throw new AwsError(
      'InvalidParameterCombination',
      'The parameter maxResults cannot be used with a list of ids',
    );
  }
  if (size !== undefined && (size < min || size > max)) {
    throw new AwsError(
      'InvalidParameterValue',
      `Value ( ${size} ) for parameter maxResults is invalid. Expecting a value from ${min} to ${max}.`,
    );
  }
  let start = 0;
  if (token !== undefined && token !== '') {
    const [, offset] = /^from:(\d+)$/.exec(Buffer.from(token, 'base64').toString()) ?? [];
    if (offset === undefined) throw new AwsError('InvalidNextToken', `The token '${token}' is invalid`);
    start = Number(offset);
  }
  const end = start + (size ?? all.length);
  return {
    items: all.slice(start, end),
    nextToken: end < all.length ? Buffer.from(`from:${end}`).toString('base64') : undefined,
  };
}

function tagsXml(tags: ReadonlyMap<string, string>): Xml {
  return { item: [...tags].map(([key, value]) => ({ key, value })) };
}

function propertiesXml(rule: RuleProperties) {
  return {
    ipProtocol: rule.protocol,
    fromPort: rule.fromPort,
    toPort: rule.toPort,
    cidrIpv4: rule.family === 'ipv4' ? rule.cidr : undefined,
    cidrIpv6: rule.family === 'ipv6' ? rule.cidr : undefined,
    description: rule.description,
  };
}

function ruleXml(turn: Turn, rule: SecurityGroupRule): Xml {
  return {
    securityGroupRuleId: rule.id,
    groupId: rule.groupId,
    groupOwnerId: turn.account.accountId,
    isEgress: false,
    ...propertiesXml(rule),
    tagSet: tagsXml(rule.tags),
    securityGroupRuleArn: turn.account.arn('ec2', `security-group-rule/${rule.id}`),
  };
}

function permissionXml(rule: RuleProperties): Xml {
  const description = rule.description;
  return {
    ipProtocol: rule.protocol,
    fromPort: rule.protocol === '-1' ? undefined : rule.fromPort,
    toPort: rule.protocol === '-1' ? undefined : rule.toPort,
    ipRanges: { item: rule.family === 'ipv4' ? [{ cidrIp: rule.cidr, description }] : [] },
    ipv6Ranges: { item: rule.family === 'ipv6' ? [{ cidrIpv6: rule.cidr, description }] : [] },
  };
}

const stateCodes = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
} as const;

function instanceXml(turn: Turn, instance: Instance): Xml {
  const { account } = turn;
  // A stopped instance has given its public address back; a terminated one all of them.
  const gone = instance.state === 'terminated' || instance.state === 'shutting-down';
  const reachable = instance.state === 'running' || instance.state === 'pending';
  return {
    instanceId: instance.id,
    imageId: 'ami-0123456789abcdef0',
    instanceState: { code: stateCodes[instance.state], name: instance.state },
    privateDnsName: gone ? '' : instance.privateDns,
    dnsName: reachable ? instance.publicDns : '',
    instanceType: 't3.small',
    launchTime: account.wallTime(instance.launchedAt),
    placement: { availabilityZone: instance.zone, groupName: '', tenancy: 'default' },
    subnetId: gone ? undefined : instance.subnetId,
    vpcId: gone ? undefined : instance.vpcId,
    privateIpAddress: gone ? undefined : instance.privateIp,
    ipAddress: reachable ? instance.publicIp : undefined,
    architecture: 'x86_64',
    groupSet: {
      item: gone
        ? []
        : instance.securityGroupIds.map((groupId) => ({
            groupId,
            groupName: account.securityGroups.get(groupId)?.name ?? groupId,
          })),
    },
    tagSet: tagsXml(instance.tags),
  };
}

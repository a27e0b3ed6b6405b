import type { TargetGroup } from '../balancer/index.ts';
import type { LoadBalancer } from './account.ts';
import { AwsError, type Query, type Xml } from './query.ts';
import type { Operations, Turn } from './turn.ts';

/** The Elastic Load Balancing v2 actions that the lab knows (API version 2015-12-01). */
export const elbv2: Operations = {
  DescribeTargetGroups(turn) {
    const { account, query } = turn;
    describing(turn, 'DescribeTargetGroups');
    const arns = query.texts('TargetGroupArns.member');
    const names = query.texts('Names.member');
    const balancer = query.text('LoadBalancerArn');
    if (balancer !== undefined) findBalancer(turn, balancer);
    const found =
      arns.length > 0
        ? arns.map((arn) => findGroup(turn, arn))
        : [...account.targetGroups.values()].filter(
            (group) =>
              (names.length === 0 || names.includes(group.name)) &&
              (balancer === undefined || group.loadBalancerArns.includes(balancer)),
          );
    for (const name of names) if (!found.some((group) => group.name === name)) throw noSuchGroup();
    const { items, marker } = page(query, found);
    return { TargetGroups: { member: items.map((group) => groupXml(turn, group)) }, NextMarker: marker };
  },

  DescribeTargetGroupAttributes(turn) {
    describing(turn, 'DescribeTargetGroupAttributes');
    const group = findGroup(turn, turn.query.required('TargetGroupArn'));
    return { Attributes: attributesXml(group.attributes) };
  },

  ModifyTargetGroupAttributes(turn) {
    const group = findGroup(turn, turn.query.required('TargetGroupArn'));
    turn.authorize('elasticloadbalancing:ModifyTargetGroupAttributes', [{ arn: group.arn }]);
    const wanted = turn.query.list('Attributes.member');
    inItsWords(() =>
      group.setAttributes(
        Object.fromEntries(wanted.map((one) => [one.required('Key'), one.text('Value') ?? ''])),
      ),
    );
    return { Attributes: attributesXml(group.attributes) };
  },

  DescribeLoadBalancers(turn) {
    const { account, query } = turn;
    describing(turn, 'DescribeLoadBalancers');
    const arns = query.texts('LoadBalancerArns.member');
    const names = query.texts('Names.member');
    const found =
      arns.length > 0
        ? arns.map((arn) => findBalancer(turn, arn))
        : [...account.loadBalancers.values()].filter(
            ({ name }) => names.length === 0 || names.includes(name),
          );
    for (const name of names) if (!found.some((one) => one.name === name)) throw noSuchBalancer(name);
    const { items, marker } = page(query, found);
    return { LoadBalancers: { member: items.map((one) => balancerXml(turn, one)) }, NextMarker: marker };
  },

  DescribeLoadBalancerAttributes(turn) {
    describing(turn, 'DescribeLoadBalancerAttributes');
    const balancer = findBalancer(turn, turn.query.required('LoadBalancerArn'));
    return { Attributes: attributesXml(balancer.attributes) };
  },

  DescribeTargetHealth(turn) {
    const { account, query } = turn;
    describing(turn, 'DescribeTargetHealth');
    const group = findGroup(turn, query.required('TargetGroupArn'));
    const targets = readTargets(query);
    if (group.targetType === 'instance') {
      const unknown = targets.filter(({ id }) => !account.instances.has(id));
      if (unknown.length > 0) {
        throw new AwsError('InvalidTarget', `The following targets are not valid: ${quoted(unknown)}`);
      }
    }
    return {
      TargetHealthDescriptions: {
        member: group.health(targets.length > 0 ? targets : undefined).map((target) => ({
          Target: {
            Id: target.id,
            Port: target.port,
            // AWS shows the zone of addresses only; that of an instance is its own.
            AvailabilityZone: group.targetType === 'ip' ? zoneOf(turn, target.id) : undefined,
          },
          HealthCheckPort: String(
            group.healthCheck.port === 'traffic-port' ? target.port : group.healthCheck.port,
          ),
          TargetHealth: { State: target.state, Reason: target.reason, Description: target.description },
        })),
      },
    };
  },

  RegisterTargets(turn) {
    const { account, query } = turn;
    const group = findGroup(turn, query.required('TargetGroupArn'));
    turn.authorize('elasticloadbalancing:RegisterTargets', [{ arn: group.arn }]);
    const targets = readTargets(query);
    if (targets.length === 0) query.required('Targets.member.1.Id');
    if (group.targetType === 'instance') {
      const missing = targets.filter(({ id }) => !account.instances.has(id));
      if (missing.length > 0) {
        throw new AwsError('InvalidTarget', `The following targets do not exist: ${quoted(missing)}`);
      }
    }
    inItsWords(() => group.register(targets));
    return {};
  },

  DeregisterTargets(turn) {
    const { query } = turn;
    const group = findGroup(turn, query.required('TargetGroupArn'));
    turn.authorize('elasticloadbalancing:DeregisterTargets', [{ arn: group.arn }]);
    const targets = readTargets(query);
    if (targets.length === 0) query.required('Targets.member.1.Id');
    inItsWords(() => group.deregister(targets));
    return {};
  },
};

/** The Describe calls know no single resources: a policy has to allow them on `*`. */
function describing(turn: Turn, action: string): void {
  turn.authorize(`elasticloadbalancing:${action}`, [{ arn: '*' }]);
}

function findGroup(turn: Turn, arn: string): TargetGroup {
  if (!/^arn:aws:elasticloadbalancing:[^:]+:\d{12}:targetgroup\/[^/]+\/[^/]+$/.test(arn)) {
    throw new AwsError('ValidationError', `'${arn}' is not a valid target group ARN`);
  }
  const group = turn.account.targetGroups.get(arn);
  if (!group) throw noSuchGroup();
  return group;
}

function noSuchGroup(): AwsError {
  return new AwsError('TargetGroupNotFound', 'One or more target groups not found');
}

function findBalancer(turn: Turn, arn: string): LoadBalancer {
  const balancer = turn.account.loadBalancers.get(arn);
  if (!balancer) throw noSuchBalancer(arn);
  return balancer;
}

function noSuchBalancer(name: string): AwsError {
  return new AwsError('LoadBalancerNotFound', `Load balancers '[${name}]' not found`);
}

function readTargets(query: Query): Array<{ id: string; port?: number }> {
  return query.list('Targets.member').map((target) => {
    const port = target.integer('Port');
    return { id: target.required('Id'), ...(port === undefined ? {} : { port }) };
  });
}

/** Hands a refusal of the target group on with its own code. */
function inItsWords(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
      throw new AwsError(error.code, error.message);
    }
    throw error;
  }
}

function quoted(targets: ReadonlyArray<{ id: string }>): string {
  return targets.map(({ id }) => `'${id}'`).join(', ');
}

function zoneOf(turn: Turn, ip: string): string {
  return [...turn.account.instances.values()].find(({ privateIp }) => privateIp === ip)?.zone ?? 'all';
}

/** One page: PageSize is 1 to 400, and 400 when left out (ELBv2 API reference). */
function page<T>(query: Query, all: T[]): { items: T[]; marker: string | undefined } {
  const size = query.integer('PageSize') ?? 400;
  if (size < 1 || size > 400) {
    throw new AwsError('ValidationError', `Page size '${size}' must be from 1 to 400`);
  }
  const start = Number(query.text('Marker') ?? 0);
  if (!Number.isInteger(start)) throw new AwsError('ValidationError', 'The marker is not valid');
  const end = start + size;
  return { items: all.slice(start, end), marker: end < all.length ? String(end) : undefined };
}

function attributesXml(attributes: ReadonlyMap<string, string>): Xml {
  return { member: [...attributes].map(([Key, Value]) => ({ Key, Value })) };
}

function groupXml(turn: Turn, group: TargetGroup): Xml {
  const check = group.healthCheck;
  const place =
    group.targetType === 'lambda'
      ? {}
      : {
          Protocol: group.protocol,
          ProtocolVersion: 'HTTP1',
          Port: group.port,
          VpcId: turn.account.vpcId,
        };
  return {
    TargetGroupArn: group.arn,
    TargetGroupName: group.name,
    ...place,
    TargetType: group.targetType,
    IpAddressType: 'ipv4',
    HealthCheckProtocol: group.protocol,
    HealthCheckPort: String(check.port),
    HealthCheckEnabled: check.enabled,
    HealthCheckPath: check.path,
    HealthCheckIntervalSeconds: Math.round(check.intervalMs / 1000),
    HealthCheckTimeoutSeconds: Math.round(check.timeoutMs / 1000),
    HealthyThresholdCount: check.healthyThreshold,
    UnhealthyThresholdCount: check.unhealthyThreshold,
    Matcher: { HttpCode: check.matcher },
    LoadBalancerArns: { member: [...group.loadBalancerArns] },
  };
}

function balancerXml(turn: Turn, balancer: LoadBalancer): Xml {
  return {
    LoadBalancerArn: balancer.arn,
    LoadBalancerName: balancer.name,
    DNSName: balancer.dnsName,
    Scheme: 'internet-facing',
    Type: 'application',
    IpAddressType: 'ipv4',
    VpcId: balancer.vpcId,
    State: { Code: 'active' },
    AvailabilityZones: {
      member: balancer.zones.map((zone) => ({ ZoneName: zone, SubnetId: turn.account.subnetOf(zone) })),
    },
    SecurityGroups: { member: balancer.securityGroupIds },
  };
}

import { AwsError, type Query, type Xml } from './query.ts';
import type { ScalingGroup, ScalingMember } from './scaling-group.ts';
import type { Operations, Turn } from './turn.ts';

/** The Auto Scaling actions that the lab knows (API version 2011-01-01). */
export const autoscaling: Operations = {
  DescribeAutoScalingGroups(turn) {
    const { account, query } = turn;
    turn.authorize('autoscaling:DescribeAutoScalingGroups', [{ arn: '*' }]);
    const names = query.texts('AutoScalingGroupNames.member');
    // A name of nothing is left out without a word, as on AWS.
    const found = [...account.scalingGroups.values()].filter(
      ({ name }) => names.length === 0 || names.includes(name),
    );
    const { items, nextToken } = page(query, found, { otherwise: 50, max: 100 });
    return {
      AutoScalingGroups: { member: items.map((group) => groupXml(turn, group)) },
      NextToken: nextToken,
    };
  },

  DescribeAutoScalingInstances(turn) {
    const { account, query } = turn;
    turn.authorize('autoscaling:DescribeAutoScalingInstances', [{ arn: '*' }]);
    const ids = query.texts('InstanceIds.member');
    const found = [...account.scalingGroups.values()].flatMap((group) =>
      [...group.members.values()]
        // Instances of no group, and ids of nothing, are left out without a word, as on AWS.
        .filter(({ instance }) => ids.length === 0 || ids.includes(instance.id))
        .map((member) => ({ AutoScalingGroupName: group.name, ...memberXml(member) })),
    );
    const { items, nextToken } = page(query, found, { otherwise: 50, max: 50 });
    return { AutoScalingInstances: { member: items }, NextToken: nextToken };
  },

  DescribeInstanceRefreshes(turn) {
    turn.authorize('autoscaling:DescribeInstanceRefreshes', [{ arn: '*' }]);
    const group = findGroup(turn);
    const { refresh } = group;
    return {
      InstanceRefreshes: {
        member: refresh
          ? [{ InstanceRefreshId: refresh.id, AutoScalingGroupName: group.name, Status: refresh.status }]
          : [],
      },
    };
  },

  EnterStandby(turn) {
    const group = changing(turn, 'EnterStandby');
    const ids = instanceIds(turn);
    group.enterStandby(ids, turn.query.required('ShouldDecrementDesiredCapacity') === 'true');
    return activities(group, ids, 'Moving EC2 instance to Standby');
  },

  ExitStandby(turn) {
    const group = changing(turn, 'ExitStandby');
    const ids = instanceIds(turn);
    group.exitStandby(ids);
    return activities(group, ids, 'Moving EC2 instance out of Standby');
  },

  UpdateAutoScalingGroup(turn) {
    const { query } = turn;
    const known = new Set([
      'Action',
      'Version',
      'AutoScalingGroupName',
      'MinSize',
      'MaxSize',
      'DesiredCapacity',
    ]);
    const group = changing(turn, 'UpdateAutoScalingGroup');
    for (const name of Object.keys(query.entries()))
      if (!known.has(name)) throw new AwsError('ValidationError', `the lab cannot update ${name} of a group`);
    const [minSize, maxSize, desiredCapacity] = ['MinSize', 'MaxSize', 'DesiredCapacity'].map((name) =>
      query.integer(name),
    );
    group.resize({
      ...(minSize !== undefined && { minSize }),
      ...(maxSize !== undefined && { maxSize }),
      ...(desiredCapacity !== undefined && { desiredCapacity }),
    });
    return {};
  },
};

function findGroup(turn: Turn): ScalingGroup {
  const name = turn.query.required('AutoScalingGroupName');
  const group = turn.account.scalingGroups.get(name);
  if (!group) throw new AwsError('ValidationError', 'AutoScalingGroup name not found - null');
  return group;
}

/** Leave for the group by its ARN; one that is not there is asked for by its name alone. */
function changing(turn: Turn, action: string): ScalingGroup {
  const name = turn.query.required('AutoScalingGroupName');
  const arn =
    turn.account.scalingGroups.get(name)?.arn ??
    turn.account.arn('autoscaling', `autoScalingGroup:*:autoScalingGroupName/${name}`);
  turn.authorize(`autoscaling:${action}`, [{ arn }]);
  return findGroup(turn);
}

/** At most 19 ids (API model: the list's own limit, whatever the text beside it says). */
function instanceIds({ query }: Turn): string[] {
  const ids = query.texts('InstanceIds.member');
  if (ids.length === 0) throw new AwsError('ValidationError', 'Must provide at least one instance id.');
  if (ids.length > 19)
    throw new AwsError(
      'ValidationError',
      `1 validation error detected: Value at 'instanceIds' failed to satisfy constraint: Member must have length less than or equal to 19`,
    );
  return ids;
}

function activities(group: ScalingGroup, ids: readonly string[], what: string): Xml {
  return {
    Activities: {
      member: ids.map((id) => ({
        ActivityId: `${group.name}-${id}-${group.activities.length}`,
        AutoScalingGroupName: group.name,
        Description: `${what}: ${id}`,
        Cause: 'At the request of a user.',
        StatusCode: 'InProgress',
        Progress: 50,
      })),
    },
  };
}

function page<T>(
  query: Query,
  all: T[],
  { otherwise, max }: { otherwise: number; max: number },
): { items: T[]; nextToken: string | undefined } {
  const size = query.integer('MaxRecords') ?? otherwise;
  if (size < 1 || size > max) throw new AwsError('ValidationError', `MaxRecords must be from 1 to ${max}`);
  const start = Number(query.text('NextToken') ?? 0);
  if (!Number.isInteger(start)) throw new AwsError('InvalidNextToken', 'The token is not valid.');
  const end = start + size;
  return { items: all.slice(start, end), nextToken: end < all.length ? String(end) : undefined };
}

function memberXml({ instance, lifecycle }: ScalingMember) {
  return {
    InstanceId: instance.id,
    AvailabilityZone: instance.zone,
    LifecycleState: lifecycle,
    HealthStatus: instance.state === 'running' ? 'Healthy' : 'Unhealthy',
    ProtectedFromScaleIn: false,
  };
}

function groupXml(turn: Turn, group: ScalingGroup): Xml {
  return {
    AutoScalingGroupName: group.name,
    AutoScalingGroupARN: group.arn,
    MinSize: group.minSize,
    MaxSize: group.maxSize,
    DesiredCapacity: group.desiredCapacity,
    DefaultCooldown: 300,
    AvailabilityZones: {
      member: [...new Set([...group.members.values()].map(({ instance }) => instance.zone))],
    },
    TargetGroupARNs: { member: group.targetGroups.map(({ arn }) => arn) },
    HealthCheckType: group.healthCheckType,
    HealthCheckGracePeriod: Math.round(group.healthCheckGraceMs / 1000),
    Instances: { member: [...group.members.values()].map(memberXml) },
    SuspendedProcesses: {
      member: [...group.suspended].map((ProcessName) => ({
        ProcessName,
        SuspensionReason: `User suspended at ${turn.account.wallTime(turn.account.clock.now()).toISOString()}`,
      })),
    },
    CreatedTime: turn.account.wallTime(turn.account.clock.now()),
  };
}

import { type CountOrPercent, UserError } from '@lockkeeper/action';
import type { Instance, TargetGroup, TargetHealth } from '@lockkeeper/aws';
import { formatDuration } from '@lockkeeper/wait';
import { type DrainSettings, drainLimit, idleWindow } from '../roll/drain.ts';
import { judgeHealth, likelyCause, stateText } from '../roll/health.ts';
import type { HostRecord, Membership } from '../roll/roll.ts';
import { batchSizeOf, capacityWithout, keyOf, type Required, requiredHealthy } from './capacity.ts';

/** A target group and what DescribeTargetHealth lists of it. */
export interface GroupFacts {
  group: TargetGroup;
  health: TargetHealth[];
}

export type HostAddress = 'public-ip' | 'private-ip' | 'public-dns' | 'private-dns';

/** Where SSH answers on a host; the port is undefined where the input `port` holds. */
export interface SshAddress {
  host: string;
  port?: number;
}

/** A target as the user named it, or as a record names it. */
export interface NamedTarget {
  id: string;
  port?: number;
}

export interface PlanSettings {
  /** None: everything that is registered. */
  targets: NamedTarget[];
  /** Addresses given by hand. */
  hosts: ReadonlyMap<string, SshAddress>;
  hostAddress: HostAddress;
  batchSize: CountOrPercent;
  minHealthy: CountOrPercent;
  drain: DrainSettings;
  healthyTimeout: number;
  bakeTime: number;
  stabilityWindow: number;
}

/** A host of the fleet before anything is known of what it runs. */
export interface FleetMember {
  id: string;
  address: SshAddress;
  memberships: Membership[];
  /** In every group, at the start. */
  healthy: boolean;
  /** An earlier run took it out of every group and did not bring it back. */
  missing: boolean;
  /** Missing, and the load balancer is still ending its connections. */
  draining: boolean;
  zone: string;
  /** `healthy`, or states with reasons. */
  state: string;
}

/** Everything wrong at once, as one refusal; nothing was changed. */
function refuse(problems: string[]): never {
  throw new UserError([...problems, 'Nothing was changed.'].join('\n'));
}

/** Refuses target groups that cannot be rolled, before anything else is asked. */
export function checkGroups(groups: readonly GroupFacts[]): void {
  const problems = groups.flatMap(({ group }) => {
    if (group.targetType === 'lambda')
      return [`the target group ${group.name} has targets of type lambda; there is no host to deploy to`];
    if (group.targetType === 'alb')
      return [
        `the target group ${group.name} forwards to another load balancer; name that one's target group`,
      ];
    if (group.targetType === 'ip')
      return [
        `the target group ${group.name} has targets of type ip, which this version does not roll yet: AWS lets an address return only after the whole deregistration delay`,
      ];
    if (group.protocol !== 'HTTP' && group.protocol !== 'HTTPS')
      return [
        `the target group ${group.name} speaks ${group.protocol || 'an unknown protocol'}; expected HTTP or HTTPS, behind an Application Load Balancer`,
      ];
    if (group.loadBalancers.length === 0)
      return [
        `no load balancer uses the target group ${group.name}, so nothing checks or serves its targets; add it to a listener rule`,
      ];
    return [];
  });
  if (problems.length > 0) refuse(problems);
}

/** Ids of the instances that the roll is about: those named, or all that are registered. */
export function instanceIds(
  groups: readonly GroupFacts[],
  settings: Pick<PlanSettings, 'targets'>,
): string[] {
  const registered = groups.flatMap(({ health }) =>
    health.filter((target) => target.state !== 'draining').map(({ id }) => id),
  );
  const wanted = settings.targets.length > 0 ? settings.targets.map(({ id }) => id) : registered;
  return [...new Set(wanted)];
}

/**
 * The hosts of the fleet with their addresses and places. `missing` are places that an interrupted run's record names
 * and that are no longer registered. Throws one UserError with all that makes a roll impossible.
 */
export function fleetMembers(
  groups: readonly GroupFacts[],
  instances: ReadonlyMap<string, Instance>,
  settings: Pick<PlanSettings, 'targets' | 'hosts' | 'hostAddress'>,
  missing: ReadonlyArray<Membership & { id: string }> = [],
): FleetMember[] {
  const problems: string[] = [];
  const byArn = new Map(groups.map((facts) => [facts.group.arn, facts]));
  const healthOf = (id: string, { group, port }: Membership) =>
    byArn.get(group)?.health.find((target) => target.id === id && target.port === port);
  const isMissing = (id: string, { group, port }: Membership) =>
    missing.some((place) => place.id === id && place.group === group && place.port === port);
  const ids = [...new Set([...instanceIds(groups, settings), ...missing.map(({ id }) => id)])];

  if (ids.length === 0)
    problems.push(
      `nothing is registered in ${groups.map(({ group }) => group.name).join(', ')}; register the instances first`,
    );
  const members = ids.flatMap((id): FleetMember[] => {
    const memberships = [
      ...groups.flatMap(({ group, health }) =>
        health
          .filter((target) => target.id === id && target.state !== 'draining')
          .map(({ port }) => ({ group: group.arn, port })),
      ),
      ...missing.filter((place) => place.id === id).map(({ group, port }) => ({ group, port })),
    ].filter(
      (one, index, all) => all.findIndex((m) => m.group === one.group && m.port === one.port) === index,
    );
    if (memberships.length === 0) {
      const draining = groups.some(({ health }) => health.some((t) => t.id === id && t.state === 'draining'));
      problems.push(
        `targets: ${id} is ${draining ? 'being deregistered from' : 'not registered in'} ${groups.map(({ group }) => group.name).join(', ')}`,
      );
      return [];
    }
    const named = settings.targets.filter((target) => target.id === id && target.port !== undefined);
    const ports = [...new Set(memberships.map(({ port }) => port))];
    for (const { port } of named)
      if (!ports.includes(port!))
        problems.push(`targets: ${id} is registered on port ${ports.join(', ')}, not ${port}`);
    if (named.length > 0 && ports.some((port) => !named.some((target) => target.port === port)))
      problems.push(
        `targets: ${id} is registered on ports ${ports.join(', ')}, and a release replaces what serves all of them; leave the port out`,
      );

    const seen = memberships.map((m) => ({ m, target: healthOf(id, m) }));
    for (const { m, target } of seen) {
      if (!target || isMissing(id, m)) continue;
      const verdict = judgeHealth(target, byArn.get(m.group)!.group);
      if (verdict.kind === 'fatal')
        problems.push(`${keyOf(target)} is ${stateText(target)}. ${verdict.cause}`);
    }
    const instance = instances.get(id);
    if (instance?.autoScalingGroup)
      problems.push(
        `${id} belongs to the Auto Scaling group ${instance.autoScalingGroup}, which may terminate a member that is taken out by hand; putting members in standby is not supported by this version yet`,
      );
    const address = addressOf(id, instance, settings);
    if (typeof address === 'string') {
      problems.push(address);
      return [];
    }
    const stateOf = ({ m, target }: (typeof seen)[number]) =>
      memberships.length > 1
        ? `${byArn.get(m.group)!.group.name}:${m.port} ${stateText(target)}`
        : stateText(target);
    return [
      {
        id,
        address,
        memberships,
        healthy: seen.every(({ m, target }) => !isMissing(id, m) && target?.state === 'healthy'),
        missing: memberships.every((m) => isMissing(id, m)),
        draining:
          memberships.every((m) => isMissing(id, m)) &&
          seen.some(({ target }) => target?.state === 'draining'),
        zone: instance?.zone ?? '',
        state: seen.map(stateOf).join(', '),
      },
    ];
  });
  for (const id of settings.hosts.keys())
    if (!ids.includes(id)) problems.push(`hosts: ${id} is not among the targets: ${ids.join(', ')}`);
  if (problems.length > 0) refuse(problems);
  return members;
}

function addressOf(
  id: string,
  instance: Instance | undefined,
  { hosts, hostAddress }: Pick<PlanSettings, 'hosts' | 'hostAddress'>,
): SshAddress | string {
  const given = hosts.get(id);
  if (given) return given;
  if (!instance) return `${id} was not found by DescribeInstances in this region; is it terminated?`;
  if (instance.state !== 'running') return `${id} is ${instance.state}; start it, or deregister it for good`;
  const [host, what] = {
    'public-ip': [instance.publicIp, 'public IP address'],
    'private-ip': [instance.privateIp, 'private IP address'],
    'public-dns': [instance.publicDns, 'public DNS name'],
    'private-dns': [instance.privateDns, 'private DNS name'],
  }[hostAddress] as [string, string];
  return host
    ? { host }
    : `${id} has no ${what}; choose another host-address, or name its address: hosts: ${id}=<host>`;
}

/** What a staged host said of itself. */
export interface StagedFacts {
  /** It already runs this release. */
  unchanged: boolean;
}

export interface Plan {
  hosts: HostRecord[];
  batches: string[][];
  skipped: string[];
  required: Map<string, Required>;
  /** Milliseconds from the first drain to the end: when no connection holds it up, and when all goes slowly. */
  estimate: { least: number; most: number };
  warnings: string[];
  notes: string[];
}

/**
 * The whole roll in advance: who goes when, who is left alone, how long it takes, and what to look out for. Throws
 * a UserError when a batch would leave too few in service, or min-healthy can never hold.
 */
export function planRoll(
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  staged: ReadonlyMap<string, StagedFacts>,
  settings: PlanSettings,
): Plan {
  const size = batchSizeOf(settings.batchSize, members.length);
  const required = new Map(
    groups.map(({ group, health }) => {
      const places = new Set([
        ...health.filter(({ state }) => state !== 'draining').map(keyOf),
        ...members.flatMap(({ id, memberships }) =>
          memberships.filter((m) => m.group === group.arn).map(({ port }) => keyOf({ id, port })),
        ),
      ]);
      return [group.arn, requiredHealthy(group, places.size, settings.minHealthy)] as const;
    }),
  );

  const skipped = members.filter(({ id, healthy }) => healthy && staged.get(id)?.unchanged === true);
  const rolled = members.filter((member) => !skipped.includes(member));
  // Who serves nobody goes first: if the release is bad, nothing is lost by it.
  const rank = ({ missing, healthy }: FleetMember) => (missing ? 0 : healthy ? 2 : 1);
  const ordered = [...rolled].sort((a, b) => rank(a) - rank(b));
  const missing = ordered.filter((member) => member.missing);
  const present = ordered.filter((member) => !member.missing);
  const batches: string[][] = [];
  // What is out already is no loss of capacity: all of it at once.
  if (missing.length > 0) batches.push(missing.map(({ id }) => id));
  for (let at = 0; at < present.length; at += size)
    batches.push(present.slice(at, at + size).map(({ id }) => id));

  const problems = capacityProblems(groups, members, batches, required);
  if (problems.length > 0) refuse([...new Set(problems)]);

  const batchOf = new Map(batches.flatMap((batch, index) => batch.map((id) => [id, index] as const)));
  const hosts = members.map(({ id, memberships, missing, draining }): HostRecord => {
    const skip = !batchOf.has(id);
    return {
      id,
      memberships,
      rotation: draining ? 'draining' : missing ? 'out' : 'in',
      release: skip ? 'new' : 'old',
      goal: 'new',
      finished: skip,
      touched: missing,
      changed: false,
      skipped: skip,
      batch: batchOf.get(id) ?? -1,
      failure: '',
    };
  });
  return {
    hosts,
    batches,
    skipped: skipped.map(({ id }) => id),
    required,
    estimate: estimate(groups, batches.length, settings),
    ...remarks(groups, members, settings),
  };
}

/** Plays the batches through, each one healthy again before the next begins. */
function capacityProblems(
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  batches: readonly string[][],
  required: ReadonlyMap<string, Required>,
): string[] {
  const problems: string[] = [];
  for (const { group, health } of groups) {
    let now = health;
    const places = (batch: readonly string[]) =>
      new Set(
        members
          .filter(({ id }) => batch.includes(id))
          .flatMap(({ id, memberships }) =>
            memberships.filter((m) => m.group === group.arn).map(({ port }) => keyOf({ id, port })),
          ),
      );
    for (const batch of batches) {
      const leaving = places(batch);
      const must = required.get(group.arn)!;
      const { allowed, remaining } = capacityWithout(now, group, leaving, must);
      if (!allowed)
        problems.push(
          `taking out ${batch.join(' and ')} would leave ${remaining} of ${now.length} targets of ${group.name} in service, and ${must.count} must stay (${must.because}); ${now.length <= must.count ? 'this can never hold: register another target, or ask for fewer' : 'choose a smaller batch-size'}`,
        );
      now = [
        ...now.filter((target) => !leaving.has(keyOf(target))),
        ...[...leaving].map((key): TargetHealth => {
          const at = key.lastIndexOf(':');
          return {
            id: key.slice(0, at),
            port: Number(key.slice(at + 1)),
            state: 'healthy',
            reason: '',
            description: '',
            shifted: false,
          };
        }),
      ];
    }
  }
  return problems;
}

// A container's start, measured on small machines; only for the estimate.
const typicalStart = 10_000;

function estimate(
  groups: readonly GroupFacts[],
  batches: number,
  { drain, stabilityWindow, bakeTime, healthyTimeout }: PlanSettings,
): Plan['estimate'] {
  const longest = (of: (group: TargetGroup) => number) =>
    Math.max(0, ...groups.map(({ group }) => of(group)));
  const delay = longest((group) => group.deregistrationDelay);
  const interval = longest((group) => group.healthCheck.interval);
  const deploy = typicalStart + stabilityWindow;
  const idle = Math.min(Math.max(Math.min(drain.settle, delay), idleWindow), delay);
  return {
    least: batches * ((drain.kind === 'full' ? delay : idle) + deploy + bakeTime),
    most:
      batches *
      (drainLimit(drain, delay, drain.kind === 'idle') +
        deploy +
        Math.min(healthyTimeout, 30_000 + 2 * interval) +
        bakeTime),
  };
}

function remarks(
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  settings: PlanSettings,
): Pick<Plan, 'warnings' | 'notes'> {
  const warnings: string[] = [];
  const notes: string[] = [];
  for (const { group, health } of groups) {
    const { name, healthCheck, deregistrationDelay: delay } = group;
    if (group.stickiness)
      notes.push(
        `${name} has stickiness (${group.stickiness.type}, ${formatDuration(group.stickiness.duration)}): users of a host that drains move to another one; what only that host's memory holds of their session is lost`,
      );
    if (group.slowStart > 0)
      (settings.bakeTime < group.slowStart ? warnings : notes).push(
        `${name} has a slow start of ${formatDuration(group.slowStart)}: healthy does not mean a full share of the requests${settings.bakeTime < group.slowStart ? `; set bake-time to ${formatDuration(group.slowStart)} so that the next host leaves only then` : ''}`,
      );
    if (delay < 10_000)
      warnings.push(
        `${name} has a deregistration delay of ${formatDuration(delay)}: a request that takes longer is cut off when its host leaves`,
      );
    for (const { idleTimeout } of group.loadBalancers) {
      if (idleTimeout === undefined)
        notes.push(
          `the load balancer's idle timeout could not be read (elasticloadbalancing:DescribeLoadBalancerAttributes); it matters to WebSockets only`,
        );
      else if (idleTimeout <= 60_000)
        notes.push(
          `the load balancer cuts connections that are quiet for ${formatDuration(idleTimeout)} (idle timeout); WebSockets need a longer one, or a ping more often`,
        );
      else if (idleTimeout > delay && settings.drain.kind === 'idle')
        notes.push(
          `connections may stay open for ${formatDuration(idleTimeout)} (idle timeout); those still open ${formatDuration(drainLimit(settings.drain, delay, true))} after their host began to drain are cut`,
        );
    }
    if (
      settings.drain.kind === 'full' &&
      settings.drain.timeout !== undefined &&
      settings.drain.timeout < delay
    )
      warnings.push(
        `drain: full waits the whole delay of ${formatDuration(delay)}; drain-timeout has no effect`,
      );
    if (settings.healthyTimeout < healthCheck.interval + healthCheck.timeout)
      warnings.push(
        `healthy-timeout (${formatDuration(settings.healthyTimeout)}) is shorter than one health check of ${name} (every ${formatDuration(healthCheck.interval)})`,
      );
    for (const target of health) {
      if (target.state === 'draining' && !members.some(({ id, missing }) => missing && id === target.id))
        warnings.push(
          `${keyOf(target)} is being deregistered from ${name} by somebody else; it is left alone`,
        );
      if (target.shifted)
        warnings.push(
          `a zonal shift keeps traffic away from the zone of ${keyOf(target)}; fewer serve than look healthy`,
        );
      if (target.state !== 'healthy' && target.state !== 'draining') {
        const cause = likelyCause(target, group);
        warnings.push(`${keyOf(target)} is ${stateText(target)}.${cause ? ` ${cause}` : ''}`);
      }
    }
  }
  return { warnings, notes };
}

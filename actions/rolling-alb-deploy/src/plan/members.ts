import { isIP } from 'node:net';
import type { Instance } from '@lockkeeper/aws';
import { judgeHealth, likelyCause, stateText } from '../roll/health.ts';
import type { Membership } from '../roll/roll.ts';
import { keyOf } from './capacity.ts';
import { type GroupFacts, ofHosts } from './groups.ts';
import { belonging, type ScalingFacts } from './scaling.ts';

export type HostAddress = 'public-ip' | 'private-ip' | 'public-dns' | 'private-dns';

/** Where SSH answers on a host, and which keys it may show besides those of the inputs. */
export interface SshAddress {
  host: string;
  /** Undefined where the input `port` holds. */
  port?: number;
  /** `SHA256:…`, from its console. */
  fingerprints?: string[];
}

/** A target as the user named it: instance id or address, and perhaps a port. */
export interface NamedTarget {
  id: string;
  port?: number;
}

export interface MemberSettings {
  /** None: everything that is registered. */
  targets: NamedTarget[];
  /** Addresses given by hand. */
  hosts: ReadonlyMap<string, SshAddress>;
  hostAddress: HostAddress;
}

/** A host of the fleet before anything is known of what it runs. */
export interface FleetMember {
  /** Instance id; the address of an `ip` target. */
  id: string;
  address: SshAddress;
  memberships: Membership[];
  /** In every group, at the start. */
  healthy: boolean;
  /** An earlier run took it out of every group and did not bring it back. */
  missing: boolean;
  /** Missing, and the load balancer is still ending its connections. */
  draining: boolean;
  /** Its Auto Scaling group; '' when none. */
  scaling: string;
  /** An earlier run left it in standby there. */
  standby: boolean;
  /** `healthy`, or states with reasons. */
  state: string;
}

/** What AWS knows of the hosts. */
export interface Surroundings {
  groups: readonly GroupFacts[];
  instances: ReadonlyMap<string, Instance>;
  /** By name. */
  scaling: ReadonlyMap<string, ScalingFacts>;
}

/** What the records of lost runs say. */
export interface Lost {
  /** Places that are no longer registered. */
  places: ReadonlyArray<Membership & { id: string }>;
  /** Every host that they name. */
  ids: ReadonlySet<string>;
}

/** The runner hands post its state in one environment variable, and Linux allows 128 KiB in one (MAX_ARG_STRLEN). */
const mostHosts = 150;

export const nothingLost: Lost = { places: [], ids: new Set() };

/** Ids that the roll is about: those named, or all that are registered. */
export function wantedIds(
  groups: readonly GroupFacts[],
  { targets }: Pick<MemberSettings, 'targets'>,
): string[] {
  const registered = ofHosts(groups).flatMap(({ health }) =>
    health.filter((target) => target.state !== 'draining').map(({ id }) => id),
  );
  return [...new Set(targets.length > 0 ? targets.map(({ id }) => id) : registered)];
}

/** The hosts of the fleet with their addresses and places, and all that makes a roll of them impossible. */
export function fleetMembers(
  around: Surroundings,
  settings: MemberSettings,
  lost: Lost = nothingLost,
): { members: FleetMember[]; problems: string[]; warnings: string[] } {
  const { groups } = around;
  const names = groups.map(({ group }) => group.name).join(', ');
  const ids = [...new Set([...wantedIds(groups, settings), ...lost.places.map(({ id }) => id)])];
  const members: FleetMember[] = [];
  const problems: string[] = [];
  const warnings: string[] = [];

  if (ids.length === 0 && ofHosts(groups).length === groups.length)
    problems.push(`nothing is registered in ${names}; register the instances first`);
  for (const id of ids) {
    const memberships = membershipsOf(id, groups, lost);
    if (memberships.length === 0) {
      const draining = groups.some(({ health }) => health.some((t) => t.id === id && t.state === 'draining'));
      problems.push(
        `targets: ${id} is ${draining ? 'being deregistered from' : 'not registered in'} ${names}`,
      );
      continue;
    }
    problems.push(...portProblems(id, memberships, settings));
    const instance = around.instances.get(id);
    const to = belonging(id, instance?.autoScalingGroup ?? '', around.scaling, lost.ids.has(id));
    if (to.kind === 'coming' || to.kind === 'leaving') {
      if (settings.targets.some((target) => target.id === id)) problems.push(`targets: ${to.why}`);
      else warnings.push(`${to.why}; it is left alone`);
      continue;
    }
    if (to.kind === 'free' && to.warning) warnings.push(to.warning);
    problems.push(...stateProblems(id, memberships, groups, lost));
    const address = addressOf(id, instance, settings);
    if (typeof address === 'string') {
      problems.push(address);
      continue;
    }
    const member = to.kind === 'member' ? to : { scaling: '', standby: false };
    members.push({
      id,
      address,
      memberships,
      ...standing(id, memberships, groups, lost),
      scaling: member.scaling,
      standby: member.standby,
    });
  }
  if (members.length > mostHosts)
    problems.push(
      `${members.length} hosts are more than one step can keep in mind for its post step (${mostHosts}); name some of them in targets, and the others in another step`,
    );
  for (const id of settings.hosts.keys())
    if (!ids.includes(id)) problems.push(`hosts: ${id} is not among the targets: ${ids.join(', ')}`);
  return { members, problems: [...problems, ...twice(members, around.instances)], warnings };
}

const same = (one: Membership) => (other: Membership) => one.group === other.group && one.port === other.port;

function membershipsOf(id: string, groups: readonly GroupFacts[], { places }: Lost): Membership[] {
  return [
    ...groups.flatMap(({ group, health }) =>
      health
        .filter((target) => target.id === id && target.state !== 'draining')
        .map(({ port }) => ({ group: group.arn, port })),
    ),
    ...places.filter((place) => place.id === id).map(({ group, port }) => ({ group, port })),
  ].filter((one, index, all) => all.findIndex(same(one)) === index);
}

function portProblems(id: string, memberships: Membership[], { targets }: MemberSettings): string[] {
  const named = targets.filter((target) => target.id === id && target.port !== undefined);
  const ports = [...new Set(memberships.map(({ port }) => port))];
  const unknown = named.filter(({ port }) => !ports.includes(port!));
  return [
    ...unknown.map(({ port }) => `targets: ${id} is registered on port ${ports.join(', ')}, not ${port}`),
    ...(named.length > 0 && ports.some((port) => !named.some((target) => target.port === port))
      ? [
          `targets: ${id} is registered on ports ${ports.join(', ')}, and a release replaces what serves all of them; leave the port out`,
        ]
      : []),
  ];
}

/** Each place with its group and what is seen of it; undefined where it is missing. */
function seen(id: string, memberships: Membership[], groups: readonly GroupFacts[], { places }: Lost) {
  return memberships.map((m) => {
    const facts = groups.find(({ group }) => group.arn === m.group)!;
    const target = facts.health.find((one) => one.id === id && one.port === m.port);
    return { m, target, group: facts.group, isMissing: places.some((one) => one.id === id && same(one)(m)) };
  });
}

/** States that no waiting mends. */
function stateProblems(
  id: string,
  memberships: Membership[],
  groups: readonly GroupFacts[],
  lost: Lost,
): string[] {
  return seen(id, memberships, groups, lost).flatMap(({ target, group, isMissing }) => {
    if (!target || isMissing || group.loadBalancers.length === 0) return [];
    return judgeHealth(target, group).kind === 'fatal'
      ? [`${keyOf(target)} is ${stateText(target)}. ${likelyCause(target, group)}`]
      : [];
  });
}

function standing(
  id: string,
  memberships: Membership[],
  groups: readonly GroupFacts[],
  lost: Lost,
): Pick<FleetMember, 'healthy' | 'missing' | 'draining' | 'state'> {
  const places = seen(id, memberships, groups, lost);
  const missing = places.every(({ isMissing }) => isMissing);
  return {
    healthy: places.every(({ target, isMissing }) => !isMissing && target?.state === 'healthy'),
    missing,
    draining: missing && places.some(({ target }) => target?.state === 'draining'),
    state: places
      .map(({ m, target, group }) =>
        places.length > 1 ? `${group.name}:${m.port} ${stateText(target)}` : stateText(target),
      )
      .join(', '),
  };
}

function addressOf(
  id: string,
  instance: Instance | undefined,
  { hosts, hostAddress }: MemberSettings,
): SshAddress | string {
  const given = hosts.get(id);
  if (given) return given;
  // The address of an ip target is the host, wherever its instance's other addresses lead.
  if (isIP(id) !== 0) return { host: id };
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

/** One machine under two names would be drained under one and still serve under the other. */
function twice(members: readonly FleetMember[], instances: ReadonlyMap<string, Instance>): string[] {
  return members.flatMap((one, index) => {
    const { host, port } = one.address;
    const other = members
      .slice(0, index)
      .find(
        (before) =>
          (before.address.host === host && before.address.port === port) ||
          instances.get(before.id)?.privateIp === one.id ||
          instances.get(one.id)?.privateIp === before.id,
      );
    return other
      ? [`${other.id} and ${one.id} are the same machine (${host}); register it in groups of one target type`]
      : [];
  });
}

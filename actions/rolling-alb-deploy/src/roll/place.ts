import type { TargetHealth } from '@lockkeeper/aws';
import { keyOf } from '../plan/capacity.ts';
import type { HostRecord, Membership } from './roll.ts';

type Placed = Pick<HostRecord, 'id' | 'memberships'>;

/** `i-…:8000` */
export const placeKey = ({ id }: { id: string }, { port }: Membership) => keyOf({ id, port });

/** Draining or not registered: no new request is sent there, or soon none will be. */
export function isOut(target: TargetHealth | undefined): boolean {
  return (
    target === undefined ||
    target.state === 'draining' ||
    (target.state === 'unused' && target.reason === 'Target.NotRegistered')
  );
}

/** The places of hosts by ARN of their target group. */
export function byGroup(hosts: readonly Placed[]): Map<string, Array<{ id: string; port: number }>> {
  const groups = new Map<string, Array<{ id: string; port: number }>>();
  for (const { id, memberships } of hosts)
    for (const { group, port } of memberships)
      groups.set(group, [...(groups.get(group) ?? []), { id, port }]);
  return groups;
}

export const names = (hosts: ReadonlyArray<{ id: string }>) => hosts.map(({ id }) => id).join(', ');

export const places = (hosts: readonly Placed[]) =>
  hosts.flatMap((host) => [...new Set(host.memberships.map((m) => placeKey(host, m)))]).join(', ');

/** A failure with its host, named once. */
export const ofHost = (id: string, why: string) => (why.includes(id) ? why : `${id}: ${why}`);

/** What to type to put a host back by hand. */
export function registerCommands({ id, memberships }: Placed): string[] {
  return memberships.map(
    ({ group, port }) =>
      `aws elbv2 register-targets ${groupArguments(group)} --targets Id=${id},Port=${port}`,
  );
}

/** What to type to bring members of Auto Scaling groups back from standby by hand. */
export function exitStandbyCommands(
  hosts: ReadonlyArray<Pick<HostRecord, 'id' | 'scaling' | 'memberships'>>,
): string[] {
  return hosts.map(({ id, scaling, memberships }) => {
    const region = memberships[0]?.group.split(':')[3];
    return `aws autoscaling exit-standby ${region ? `--region ${region} ` : ''}--auto-scaling-group-name '${scaling.replaceAll("'", "'\\''")}' --instance-ids ${id}`;
  });
}

/** What to type to see how all targets of a group are, and why. */
export const describeCommand = (group: string) => `aws elbv2 describe-target-health ${groupArguments(group)}`;

/** An ARN names its region; the reader's CLI may be set to another. */
function groupArguments(arn: string): string {
  const region = arn.split(':')[3];
  return `${region ? `--region ${region} ` : ''}--target-group-arn ${arn}`;
}

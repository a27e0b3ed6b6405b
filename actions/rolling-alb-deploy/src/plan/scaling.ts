import type { ScalingGroup } from '@lockkeeper/aws';
import { hasLeft, lifecycleOf } from '../roll/lifecycle.ts';

/** An Auto Scaling group that hosts of the roll are members of. */
export interface ScalingFacts {
  group: ScalingGroup;
  /** The status of an instance refresh that is under way. */
  refresh: string | undefined;
}

/** What a host is to its Auto Scaling group before the roll. */
export type Belonging =
  /** No member, or one that somebody else put in standby and that is left there. */
  | { kind: 'free'; warning?: string }
  | { kind: 'member'; scaling: string; standby: boolean }
  /** Not there yet, or about to end: no host for this roll. */
  | { kind: 'coming' | 'leaving'; why: string };

/** `name` is the group that the instance's tag names; `recorded`: a lost run's record knows the host. */
export function belonging(
  id: string,
  name: string,
  scaling: ReadonlyMap<string, ScalingFacts>,
  recorded: boolean,
): Belonging {
  const group = scaling.get(name)?.group;
  if (!group?.members.some((member) => member.id === id)) return { kind: 'free' };
  const lifecycle = lifecycleOf(group, id);
  if (lifecycle === 'InService') return { kind: 'member', scaling: name, standby: false };
  if (lifecycle === 'Standby' || lifecycle === 'EnteringStandby')
    return recorded
      ? { kind: 'member', scaling: name, standby: true }
      : {
          kind: 'free',
          warning: `${id} is in standby in ${name}, and no run of ours put it there; it is deployed to and stays in standby`,
        };
  const why = `${id} is ${lifecycle} in the Auto Scaling group ${name}`;
  return { kind: hasLeft(lifecycle) ? 'leaving' : 'coming', why };
}

/** What makes members of these groups impossible to roll, one line each. */
export function scalingProblems(scaling: ReadonlyMap<string, ScalingFacts>): string[] {
  return [...scaling.values()].flatMap(({ group: { name, suspended }, refresh }) => [
    ...(suspended.includes('Launch')
      ? [
          `the process Launch of the Auto Scaling group ${name} is suspended, and then AWS returns nobody from standby; resume it: aws autoscaling resume-processes --auto-scaling-group-name ${name} --scaling-processes Launch`,
        ]
      : []),
    ...(refresh
      ? [
          `an instance refresh of the Auto Scaling group ${name} is under way (${refresh}), which replaces members meanwhile, and may end those in standby; wait for its end, or: aws autoscaling cancel-instance-refresh --auto-scaling-group-name ${name}`,
        ]
      : []),
  ]);
}

/** Whether its minimum keeps that many members from stepping aside together. */
export function needsRoom({ desired, minSize, members }: ScalingGroup, together: number): boolean {
  return desired - Math.min(together, members.length) < minSize;
}

/** What to look out for: `warnings` may spoil the roll, `notes` only explain it. `batches` are of instance ids. */
export function scalingRemarks(
  scaling: ReadonlyMap<string, ScalingFacts>,
  batches: ReadonlyArray<readonly string[]>,
): { warnings: string[]; notes: string[] } {
  const warnings: string[] = [];
  const notes: string[] = [];
  for (const { group } of scaling.values()) {
    const { name, minSize, desired, suspended, members } = group;
    const most = Math.max(
      0,
      ...batches.map((batch) => batch.filter((id) => members.some((one) => one.id === id)).length),
    );
    if (most === 0) continue;
    notes.push(
      `members of ${name} go into standby while they are out, and return to it once they are healthy again`,
    );
    if (needsRoom(group, most))
      notes.push(
        `${name} is at its minimum of ${minSize}: it is lowered by ${minSize - desired + most} while members are in standby, and is ${minSize} again as soon as they are back`,
      );
    if (most > 1 && !suspended.includes('AZRebalance') && new Set(members.map(({ zone }) => zone)).size > 1)
      warnings.push(
        `${name} may rebalance its zones while ${most} members are in standby, and then it ends some that serve; suspend its process AZRebalance for the roll, or use batch-size: 1`,
      );
    if (suspended.includes('AddToLoadBalancer'))
      notes.push(
        `the process AddToLoadBalancer of ${name} is suspended; its members are registered again all the same`,
      );
  }
  return { warnings, notes };
}

import type { TargetGroup } from '@lockkeeper/aws';
import { type DrainSettings, drainLimit, idleWindow } from '../roll/drain.ts';
import type { GroupFacts } from './groups.ts';
import type { FleetMember } from './members.ts';

/** Milliseconds from the first drain to the end: when no connection holds it up, and when all goes slowly. */
export interface Estimate {
  least: number;
  most: number;
}

// A container's start, measured on small machines; only for the estimate.
const typicalStart = 10_000;

/** How long that many batches take. */
export function estimate(
  groups: readonly GroupFacts[],
  members: ReadonlyArray<Pick<FleetMember, 'scaling'>>,
  batches: number,
  settings: { drain: DrainSettings; stabilityWindow: number; bakeTime: number; healthyTimeout: number },
): Estimate {
  const { drain, stabilityWindow, bakeTime, healthyTimeout } = settings;
  const longest = (of: (group: TargetGroup) => number) =>
    Math.max(0, ...groups.map(({ group }) => of(group)));
  const delay = longest((group) => group.deregistrationDelay);
  const interval = longest((group) => group.healthCheck.interval);
  const deploy = typicalStart + stabilityWindow;
  const idle = Math.min(Math.max(Math.min(drain.settle, delay), idleWindow), delay);
  const out = (drained: number) =>
    returnsLate(groups, members) ? Math.max(delay, drained + deploy) : drained + deploy;
  return {
    least: batches * (out(drain.kind === 'full' ? delay : idle) + bakeTime),
    most:
      batches *
      (out(drainLimit(drain, delay, drain.kind === 'idle')) +
        Math.min(healthyTimeout, 30_000 + 2 * interval) +
        bakeTime),
  };
}

/** Addresses, and members of Auto Scaling groups, return only when the deregistration delay is over. */
export function returnsLate(
  groups: readonly GroupFacts[],
  members: ReadonlyArray<Pick<FleetMember, 'scaling'>>,
): boolean {
  return (
    groups.some(({ group }) => group.targetType === 'ip') || members.some(({ scaling }) => scaling !== '')
  );
}

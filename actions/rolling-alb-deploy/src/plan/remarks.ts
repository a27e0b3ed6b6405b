import { formatDuration } from '@lockkeeper/wait';
import { drainLimit } from '../roll/drain.ts';
import { likelyCause, stateText } from '../roll/health.ts';
import { keyOf } from './capacity.ts';
import { returnsLate } from './estimate.ts';
import type { GroupFacts } from './groups.ts';
import type { FleetMember } from './members.ts';
import type { PlanSettings } from './plan-settings.ts';

/** What to look out for: `warnings` may spoil the roll, `notes` only explain it. */
export function remarks(
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  settings: PlanSettings,
): { warnings: string[]; notes: string[] } {
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
    if (
      settings.drain.kind === 'idle' &&
      delay > settings.drain.settle &&
      returnsLate([{ group, health }], members)
    )
      notes.push(
        `${group.targetType === 'ip' ? `an address returns to ${name}` : `members of an Auto Scaling group return to ${name}`} only when the deregistration delay of ${formatDuration(delay)} is over, however soon it is idle; a shorter delay makes the roll shorter`,
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
  if (members.length > 1 && !settings.preDeploy)
    notes.push(
      'there is no pre-deploy: what an image does when it starts, such as migrations in its entrypoint, is done on one host while the others serve the release before, and both must bear it',
    );
  return { warnings, notes };
}

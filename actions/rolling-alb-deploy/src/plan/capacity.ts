import type { CountOrPercent } from '@lockkeeper/action';
import type { TargetGroup, TargetHealth, TargetRef, Threshold } from '@lockkeeper/aws';

export const keyOf = ({ id, port }: TargetRef) => `${id}:${port}`;

/** How many must keep serving in a group, and who says so. */
export interface Required {
  count: number;
  because: string;
}

/**
 * The strictest of `min-healthy` and the group's own thresholds, of `total` targets. Percentages round up, so that
 * more keeps serving. Below the group's thresholds a load balancer sends to sick targets or leaves DNS.
 */
export function requiredHealthy(group: TargetGroup, total: number, minHealthy: CountOrPercent): Required {
  const own = (threshold: Threshold, name: string): Required => ({
    count: Math.max(threshold.count ?? 0, Math.ceil(((threshold.percent ?? 0) / 100) * total)),
    because: `${name} of the target group`,
  });
  const asked: Required =
    'count' in minHealthy
      ? { count: minHealthy.count, because: `min-healthy: ${minHealthy.count}` }
      : {
          count: Math.ceil((minHealthy.percent / 100) * total),
          because: `min-healthy: ${minHealthy.percent}% of ${total}`,
        };
  return [
    own(group.unhealthyRouting, 'unhealthy_state_routing.minimum_healthy_targets'),
    own(group.dnsFailover, 'dns_failover.minimum_healthy_targets'),
  ].reduce((strictest, one) => (one.count > strictest.count ? one : strictest), asked);
}

/** Who gets requests: the healthy ones, or everybody while so few are healthy that the balancer fails open. */
export function servingTargets(health: readonly TargetHealth[], group: TargetGroup): TargetHealth[] {
  const active = health.filter(({ state }) => state !== 'draining' && state !== 'unused');
  const healthy = active.filter(({ state }) => state === 'healthy');
  const failOpenBelow = Math.max(
    1,
    group.unhealthyRouting.count ?? 0,
    Math.ceil(((group.unhealthyRouting.percent ?? 0) / 100) * active.length),
  );
  return healthy.length < failOpenBelow ? active : healthy;
}

/**
 * Whether these places may leave the group now. Taking out what serves nobody is always allowed: it makes nothing
 * worse. Otherwise the number that would keep serving is the answer to tell.
 */
export function capacityWithout(
  health: readonly TargetHealth[],
  group: TargetGroup,
  leaving: ReadonlySet<string>,
  required: Required,
): { allowed: boolean; remaining: number } {
  const serving = servingTargets(health, group);
  const remaining = serving.filter((target) => !leaving.has(keyOf(target))).length;
  return { allowed: remaining === serving.length || remaining >= required.count, remaining };
}

/** How many hosts move at once: at least one; percentages round down, so that more keeps serving. */
export function batchSizeOf(size: CountOrPercent, hosts: number): number {
  return 'count' in size ? size.count : Math.max(1, Math.floor((size.percent / 100) * hosts));
}

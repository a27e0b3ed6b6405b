import { keyOf } from './target-group.ts';
import type { TargetRecord } from './target-state.ts';

export interface RoutingRules {
  /** Lab ms that the nodes go on sending to a target after it was deregistered; never longer than its drain. */
  lingerMs: number;
  checksEnabled: boolean;
  /** target_group_health.unhealthy_state_routing: below either of them requests go to everybody (fail open). */
  minHealthyCount: number;
  minHealthyPercent: number | undefined;
  slowStartMs: number;
}

export interface Route {
  target: TargetRecord;
  /** Its part of the traffic beside the others': 1, or less in slow start. */
  weight: number;
}

/** Reads the routing rules out of a target group's attributes. */
export function routingRules(
  attributes: ReadonlyMap<string, string>,
  rest: { lingerMs: number; checksEnabled: boolean },
): RoutingRules {
  const prefix = 'target_group_health.unhealthy_state_routing.minimum_healthy_targets';
  const percent = attributes.get(`${prefix}.percentage`) ?? 'off';
  return {
    ...rest,
    minHealthyCount: Number(attributes.get(`${prefix}.count`) ?? 1),
    minHealthyPercent: percent === 'off' ? undefined : Number(percent),
    slowStartMs: Number(attributes.get('slow_start.duration_seconds') ?? 0) * 1000,
  };
}

/**
 * Who may get the next request: the healthy ones, or everybody when too few are healthy. A target just deregistered
 * counts as what it was until the lingering ends, because the balancer's nodes have not heard yet.
 */
export function routes(targets: readonly TargetRecord[], rules: RoutingRules, now: number): Route[] {
  const known = targets.filter((target) => {
    if (target.phase === 'registering') return false;
    return target.drain === undefined || now < lingersUntil(target.drain, rules.lingerMs);
  });
  const healthy = known.filter(
    (target) => !rules.checksEnabled || target.phase === 'healthy' || target.drain?.wasHealthy === true,
  );
  const enough =
    healthy.length >= rules.minHealthyCount &&
    (rules.minHealthyPercent === undefined ||
      (healthy.length * 100) / known.length >= rules.minHealthyPercent);
  const chosen = enough ? healthy : known;
  const weights = chosen.map((target) => slowStartWeight(target, rules.slowStartMs, now));
  // Slow start needs somebody else to take the rest: where all are in it, nobody is (ELB guide, "Slow start mode").
  const slow = weights.some((weight) => weight === 1);
  return chosen.map((target, index) => ({ target, weight: slow ? weights[index]! : 1 }));
}

/** Lab time at which the nodes have heard of a deregistration. */
export function lingersUntil(drain: { from: number; until: number }, lingerMs: number): number {
  return Math.min(drain.from + lingerMs, drain.until);
}

function slowStartWeight(target: TargetRecord, slowStartMs: number, now: number): number {
  if (slowStartMs === 0 || target.firstHealthyAt === undefined || target.phase !== 'healthy') return 1;
  return Math.min(1, Math.max(0.05, (now - target.firstHealthyAt) / slowStartMs));
}

export type Algorithm = 'round_robin' | 'least_outstanding_requests' | 'weighted_random';

/** Remembers whose turn it is. */
export function rotation(random: () => number): {
  next(
    routes: readonly Route[],
    algorithm: Algorithm,
    outstanding: (key: string) => number,
  ): Route | undefined;
} {
  const credit = new Map<string, number>();
  // Smooth weighted round robin: with equal weights it is plain round robin.
  const roundRobin = (routes: readonly Route[]): Route | undefined => {
    let best: Route | undefined;
    let total = 0;
    for (const route of routes) {
      const key = keyOf(route.target);
      const mine = (credit.get(key) ?? 0) + route.weight;
      credit.set(key, mine);
      total += route.weight;
      if (best === undefined || mine > (credit.get(keyOf(best.target)) ?? 0)) best = route;
    }
    if (best !== undefined) credit.set(keyOf(best.target), credit.get(keyOf(best.target))! - total);
    const present = new Set(routes.map(({ target }) => keyOf(target)));
    for (const key of credit.keys()) if (!present.has(key)) credit.delete(key);
    return best;
  };
  return {
    next(routes, algorithm, outstanding) {
      if (algorithm === 'weighted_random') {
        const total = routes.reduce((sum, route) => sum + route.weight, 0);
        let left = random() * total;
        for (const route of routes) {
          left -= route.weight;
          if (left < 0) return route;
        }
        return routes.at(-1);
      }
      if (algorithm === 'least_outstanding_requests') {
        const least = Math.min(...routes.map(({ target }) => outstanding(keyOf(target))));
        return roundRobin(routes.filter(({ target }) => outstanding(keyOf(target)) === least));
      }
      return roundRobin(routes);
    },
  };
}

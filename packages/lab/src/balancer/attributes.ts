/** The attributes of a new Application Load Balancer target group, with AWS's own defaults (ELBv2 API reference). */
export const defaultAttributes: Readonly<Record<string, string>> = {
  'deregistration_delay.timeout_seconds': '300',
  'load_balancing.algorithm.type': 'round_robin',
  'load_balancing.algorithm.anomaly_mitigation': 'off',
  'load_balancing.cross_zone.enabled': 'use_load_balancer_configuration',
  'slow_start.duration_seconds': '0',
  'stickiness.enabled': 'false',
  'stickiness.type': 'lb_cookie',
  'stickiness.lb_cookie.duration_seconds': '86400',
  'stickiness.app_cookie.cookie_name': '',
  'stickiness.app_cookie.duration_seconds': '86400',
  'target_group_health.dns_failover.minimum_healthy_targets.count': '1',
  'target_group_health.dns_failover.minimum_healthy_targets.percentage': 'off',
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count': '1',
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage': 'off',
};

const seconds = (min: number, max: number) => (value: string) => whole(value, min, max);
const oneOf =
  (...values: string[]) =>
  (value: string) =>
    values.includes(value);

const allowed: Record<string, (value: string) => boolean> = {
  'deregistration_delay.timeout_seconds': seconds(0, 3600),
  'load_balancing.algorithm.type': oneOf('round_robin', 'least_outstanding_requests', 'weighted_random'),
  'load_balancing.algorithm.anomaly_mitigation': oneOf('on', 'off'),
  'load_balancing.cross_zone.enabled': oneOf('true', 'false', 'use_load_balancer_configuration'),
  'slow_start.duration_seconds': (value) => value === '0' || whole(value, 30, 900),
  'stickiness.enabled': oneOf('true', 'false'),
  'stickiness.type': oneOf('lb_cookie', 'app_cookie'),
  'stickiness.lb_cookie.duration_seconds': seconds(1, 604_800),
  'stickiness.app_cookie.cookie_name': () => true,
  'stickiness.app_cookie.duration_seconds': seconds(1, 604_800),
  'target_group_health.dns_failover.minimum_healthy_targets.count': (v) => v === 'off' || whole(v, 1, 1000),
  'target_group_health.dns_failover.minimum_healthy_targets.percentage': (v) =>
    v === 'off' || whole(v, 1, 100),
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count': seconds(1, 1000),
  'target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage': (v) =>
    v === 'off' || whole(v, 1, 100),
};

function whole(value: string, min: number, max: number): boolean {
  return /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max;
}

/** Why an attribute cannot be set so; undefined when it can. */
export function attributeProblem(key: string, value: string): string | undefined {
  const accepts = allowed[key];
  if (accepts === undefined) return `Target group attribute key '${key}' is not recognized`;
  if (!accepts(value)) return `Target group attribute value '${value}' is not valid for '${key}'`;
  return undefined;
}

import type { AwsCallError } from './call.ts';

/** One place in a target group: the same instance may be registered on several ports. */
export interface TargetRef {
  /** Instance id, or the address in a group of type ip. */
  id: string;
  port: number;
}

export type TargetState =
  | 'initial'
  | 'healthy'
  | 'unhealthy'
  | 'unhealthy.draining'
  | 'unused'
  | 'draining'
  | 'unavailable';

/** What DescribeTargetHealth says of one place. */
export interface TargetHealth extends TargetRef {
  state: TargetState;
  /** Such as `Target.ResponseCodeMismatch`; '' when healthy. */
  reason: string;
  /** Such as `Health checks failed with these codes: [502]`. */
  description: string;
  /** Set while a zonal shift keeps traffic away from a target that is healthy. */
  shifted: boolean;
}

export interface LoadBalancer {
  arn: string;
  /** Milliseconds after which a quiet connection is cut; undefined when it could not be read. */
  idleTimeout?: number;
}

/** Healthy targets below which a load balancer changes its ways; undefined means off. */
export interface Threshold {
  count?: number;
  percent?: number;
}

/** A target group with what of its settings matters to a roll. Times in milliseconds. */
export interface TargetGroup {
  arn: string;
  name: string;
  targetType: string;
  protocol: string;
  port: number;
  loadBalancers: LoadBalancer[];
  healthCheck: {
    path: string;
    port: string;
    interval: number;
    timeout: number;
    healthyThreshold: number;
    unhealthyThreshold: number;
    matcher: string;
  };
  deregistrationDelay: number;
  slowStart: number;
  stickiness?: { type: string; duration: number };
  /** Below it the balancer sends to all targets, unhealthy ones too. */
  unhealthyRouting: Threshold;
  /** Below it the zone is taken out of DNS. */
  dnsFailover: Threshold;
}

/** The calls that a roll makes to load balancing. All throw AwsCallError. */
export interface TargetGroups {
  describe(arn: string): Promise<TargetGroup>;
  /** Every place of the group; one whose deregistration delay is over is no longer listed. */
  health(arn: string): Promise<TargetHealth[]>;
  /** Asynchronous on AWS: the answer only says that the request was taken. */
  register(arn: string, targets: readonly TargetRef[]): Promise<void>;
  /** AWS answers success for a place that does not exist, a wrong port included: verify with `health`. */
  deregister(arn: string, targets: readonly TargetRef[]): Promise<void>;
  /** Refusals of RegisterTargets and DeregisterTargets for want of permission, found without changing anything. */
  missingPermissions(group: Pick<TargetGroup, 'arn' | 'port' | 'targetType'>): Promise<AwsCallError[]>;
}

/** `name` of an ARN `arn:…:targetgroup/name/id`; the ARN itself where it is not of that form. */
export function targetGroupName(arn: string): string {
  return /:targetgroup\/([^/]+)\/[0-9a-f]+$/.exec(arn)?.[1] ?? arn;
}

/**
 * Attributes as AWS gives them, keys and values as text, into what a roll needs. Missing keys take the ELBv2
 * defaults (delay 300 s, everything else off; healthy targets needed: 1 for both thresholds).
 */
export function readAttributes(
  attributes: ReadonlyMap<string, string>,
): Pick<
  TargetGroup,
  'deregistrationDelay' | 'slowStart' | 'stickiness' | 'unhealthyRouting' | 'dnsFailover'
> {
  const get = (key: string) => attributes.get(key) ?? '';
  const seconds = (key: string, otherwise: number) =>
    (/^\d+$/.test(get(key)) ? Number(get(key)) : otherwise) * 1000;
  const threshold = (key: string): Threshold => {
    const count = get(`${key}.minimum_healthy_targets.count`) || '1';
    const percent = get(`${key}.minimum_healthy_targets.percentage`) || 'off';
    return {
      ...(/^\d+$/.test(count) && { count: Number(count) }),
      ...(/^\d+$/.test(percent) && { percent: Number(percent) }),
    };
  };
  const type = get('stickiness.type') || 'lb_cookie';
  return {
    deregistrationDelay: seconds('deregistration_delay.timeout_seconds', 300),
    slowStart: seconds('slow_start.duration_seconds', 0),
    ...(get('stickiness.enabled') === 'true' && {
      stickiness: { type, duration: seconds(`stickiness.${type}.duration_seconds`, 86_400) },
    }),
    unhealthyRouting: threshold('target_group_health.unhealthy_state_routing'),
    dnsFailover: threshold('target_group_health.dns_failover'),
  };
}

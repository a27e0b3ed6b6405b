/** What the load balancer's nodes saw in one health check. */
export type CheckResult =
  | { ok: true; status: number }
  /** The answer's status is not in the matcher. */
  | { ok: false; kind: 'status'; status: number }
  | { ok: false; kind: 'timeout' }
  /** Refused, reset, or an answer that is not HTTP. */
  | { ok: false; kind: 'connection'; message: string };

export type TargetPhase = 'registering' | 'checking' | 'healthy' | 'unhealthy' | 'draining';

/** One registration of an (id, port). Registering again after a drain is a new registration. */
export interface TargetRecord {
  readonly id: string;
  readonly port: number;
  readonly registration: number;
  readonly phase: TargetPhase;
  /** Lab time of the last change of phase. */
  readonly since: number;
  /** Lab time at which this registration was healthy for the first time: slow start counts from there. */
  readonly firstHealthyAt?: number;
  /** Checks passed and failed in a row. */
  readonly passed: number;
  readonly failed: number;
  readonly lastFailure?: Extract<CheckResult, { ok: false }>;
  /** Set while draining. */
  readonly drain?: { from: number; until: number; wasHealthy: boolean };
}

export type TargetStateName = 'initial' | 'healthy' | 'unhealthy' | 'unused' | 'draining' | 'unavailable';

/** One TargetHealthDescription, as DescribeTargetHealth shows it. */
export interface TargetHealth {
  id: string;
  port: number;
  state: TargetStateName;
  reason?: string;
  description?: string;
}

/** What the account knows of the thing behind a target. */
export type TargetCondition = 'usable' | 'stopped' | 'terminated' | 'ip-unusable';

export interface Thresholds {
  healthyThreshold: number;
  unhealthyThreshold: number;
}

/**
 * The record after one more check. A new target needs one passed check, an unhealthy one `healthyThreshold` in a
 * row (ELB guide, "Health checks for your target groups"); failures count to `unhealthyThreshold` in any phase.
 */
export function afterCheck(
  target: TargetRecord,
  result: CheckResult,
  thresholds: Thresholds,
  now: number,
): TargetRecord {
  if (target.phase === 'draining' || target.phase === 'registering') return target;
  const passed = result.ok ? target.passed + 1 : 0;
  const failed = result.ok ? 0 : target.failed + 1;
  const next = { ...target, passed, failed, ...(result.ok ? {} : { lastFailure: result }) };
  const phase = phaseAfter(target.phase, passed, failed, thresholds);
  if (phase === target.phase) return next;
  const firstHealthyAt = target.firstHealthyAt ?? (phase === 'healthy' ? now : undefined);
  return { ...next, phase, since: now, ...(firstHealthyAt === undefined ? {} : { firstHealthyAt }) };
}

function phaseAfter(phase: TargetPhase, passed: number, failed: number, thresholds: Thresholds): TargetPhase {
  const needed = phase === 'unhealthy' ? thresholds.healthyThreshold : 1;
  if (passed >= needed) return 'healthy';
  if (failed >= thresholds.unhealthyThreshold) return 'unhealthy';
  return phase;
}

/** What DescribeTargetHealth says of a registered target. */
export function describeTarget(
  target: TargetRecord,
  around: { inUse: boolean; condition: TargetCondition; checksEnabled: boolean },
): TargetHealth {
  const { id, port } = target;
  if (target.phase === 'draining') {
    return {
      id,
      port,
      state: 'draining',
      reason: 'Target.DeregistrationInProgress',
      description: 'Target deregistration is in progress',
    };
  }
  if (!around.inUse) {
    return {
      id,
      port,
      state: 'unused',
      reason: 'Target.NotInUse',
      description: 'Target group is not configured to receive traffic from the load balancer',
    };
  }
  if (around.condition === 'ip-unusable') {
    return {
      id,
      port,
      state: 'unused',
      reason: 'Target.IpUnusable',
      description: 'The IP address cannot be used as a target, it is in use by a load balancer',
    };
  }
  if (around.condition !== 'usable') {
    return {
      id,
      port,
      state: 'unused',
      reason: 'Target.InvalidState',
      description: `Target is in the ${around.condition} state`,
    };
  }
  if (target.phase === 'registering') {
    return {
      id,
      port,
      state: 'initial',
      reason: 'Elb.RegistrationInProgress',
      description: 'Target registration is in progress',
    };
  }
  if (!around.checksEnabled) {
    return {
      id,
      port,
      state: 'unavailable',
      reason: 'Target.HealthCheckDisabled',
      description: 'Health checks are not enabled for this target',
    };
  }
  if (target.phase === 'checking') {
    return {
      id,
      port,
      state: 'initial',
      reason: 'Elb.InitialHealthChecking',
      description: 'Initial health checks in progress',
    };
  }
  if (target.phase === 'healthy') return { id, port, state: 'healthy' };
  return { id, port, state: 'unhealthy', ...failureInWords(target.lastFailure) };
}

function failureInWords(failure: TargetRecord['lastFailure']): { reason: string; description: string } {
  if (failure?.kind === 'status') {
    return {
      reason: 'Target.ResponseCodeMismatch',
      description: `Health checks failed with these codes: [${failure.status}]`,
    };
  }
  if (failure?.kind === 'timeout') return { reason: 'Target.Timeout', description: 'Request timed out' };
  return { reason: 'Target.FailedHealthChecks', description: 'Health checks failed' };
}

/** What DescribeTargetHealth says of an (id, port) it was asked for and does not have. */
export function notRegistered(id: string, port: number): TargetHealth {
  return {
    id,
    port,
    state: 'unused',
    reason: 'Target.NotRegistered',
    description: 'Target is not registered to the target group',
  };
}

import { createHash } from 'node:crypto';
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { LabClock } from '../clock.ts';
import { attributeProblem, defaultAttributes } from './attributes.ts';
import { parseMatcher } from './matcher.ts';
import {
  afterCheck,
  type CheckResult,
  describeTarget,
  notRegistered,
  type TargetCondition,
  type TargetHealth,
  type TargetRecord,
} from './target-state.ts';

/** Times in lab milliseconds. */
export interface HealthCheckSettings {
  enabled: boolean;
  path: string;
  /** `traffic-port` checks the port that the target is registered with. */
  port: 'traffic-port' | number;
  intervalMs: number;
  timeoutMs: number;
  healthyThreshold: number;
  unhealthyThreshold: number;
  matcher: string;
}

export interface TargetGroupSettings {
  clock: LabClock;
  name: string;
  port: number;
  arn?: string;
  protocol?: 'HTTP' | 'HTTPS';
  /** `lambda` is described, and has no targets here. */
  targetType?: 'instance' | 'ip' | 'lambda';
  healthCheck?: Partial<HealthCheckSettings>;
  attributes?: Record<string, string>;
  loadBalancerArns?: string[];
  /** Lab milliseconds that a target shows Elb.RegistrationInProgress. */
  registrationMs?: number;
}

/** A refusal, with the error code that ELBv2 answers. */
export class TargetGroupError extends Error {
  override readonly name = 'TargetGroupError';
  readonly code: 'InvalidTarget' | 'TooManyTargets' | 'ValidationError';

  constructor(code: TargetGroupError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** A target's state as DescribeTargetHealth would show it, from `at` (lab time) on. */
export interface TargetChange extends TargetHealth {
  at: number;
  registration: number;
}

export interface TargetId {
  id: string;
  port?: number | undefined;
}

/**
 * One target group: who is registered, and in what state. Health is what a load balancer's checks reported through
 * `recordCheck`; without a load balancer everything is unused. Times are lab time.
 */
export class TargetGroup {
  readonly arn: string;
  readonly name: string;
  readonly port: number;
  readonly protocol: 'HTTP' | 'HTTPS';
  readonly targetType: 'instance' | 'ip' | 'lambda';
  readonly healthCheck: HealthCheckSettings;
  readonly attributes: Map<string, string>;
  /** Load balancers that forward to this group; empty means Target.NotInUse. */
  readonly loadBalancerArns: string[];
  /** Every change of state so far, oldest first. */
  readonly history: TargetChange[] = [];
  /** Asked for what the account knows of an instance or address (stopped, terminated …); an account sets it. */
  condition: (id: string, port: number) => TargetCondition = () => 'usable';

  readonly #clock: LabClock;
  readonly #registrationMs: number;
  readonly #targets = new Map<string, TargetRecord>();
  readonly #timers = new Map<string, { cancel(): void }>();
  readonly #listeners = new Set<(change: TargetChange) => void>();
  #registrations = 0;

  constructor(settings: TargetGroupSettings) {
    this.#clock = settings.clock;
    this.name = settings.name;
    this.port = settings.port;
    this.protocol = settings.protocol ?? 'HTTP';
    this.targetType = settings.targetType ?? 'instance';
    this.arn =
      settings.arn ??
      `arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/${this.name}/${createHash('sha256').update(this.name).digest('hex').slice(0, 16)}`;
    this.healthCheck = {
      enabled: true,
      path: '/',
      port: 'traffic-port',
      intervalMs: 30_000,
      timeoutMs: 5_000,
      healthyThreshold: 5,
      unhealthyThreshold: 2,
      matcher: '200',
      ...settings.healthCheck,
    };
    parseMatcher(this.healthCheck.matcher);
    this.attributes = new Map(Object.entries(defaultAttributes));
    this.setAttributes(settings.attributes ?? {});
    this.loadBalancerArns = [...(settings.loadBalancerArns ?? [])];
    this.#registrationMs = settings.registrationMs ?? 2_000;
  }

  /** Sets attributes, all or none; throws TargetGroupError (ValidationError) for an unknown key or value. */
  setAttributes(attributes: Record<string, string>): void {
    for (const [key, value] of Object.entries(attributes)) {
      const problem = attributeProblem(key, value);
      if (problem !== undefined) throw new TargetGroupError('ValidationError', problem);
    }
    for (const [key, value] of Object.entries(attributes)) this.attributes.set(key, value);
  }

  /** The deregistration delay in lab milliseconds. */
  get deregistrationDelayMs(): number {
    return Number(this.attributes.get('deregistration_delay.timeout_seconds')) * 1000;
  }

  /**
   * Registers targets, all or none; without a port the group's own applies. A registered one is left as it is, a
   * draining instance comes back as new, a draining address is refused until its delay is over (ELB guide).
   */
  register(targets: readonly TargetId[]): void {
    const wanted = targets.map((target) => ({ id: target.id, port: target.port ?? this.port }));
    for (const { id, port } of wanted) this.#refuseUnregistrable(id, port);
    const added = new Set(wanted.map(keyOf).filter((key) => !this.#targets.has(key)));
    if (this.#targets.size + added.size > 1000) {
      throw new TargetGroupError(
        'TooManyTargets',
        `The maximum number of targets in target group '${this.name}' has been reached`,
      );
    }
    for (const { id, port } of wanted) {
      const present = this.#targets.get(keyOf({ id, port }));
      if (present !== undefined && present.phase !== 'draining') continue;
      this.#start(id, port);
    }
  }

  #refuseUnregistrable(id: string, port: number): void {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new TargetGroupError(
        'ValidationError',
        `Port '${port}' is not valid; expected a number from 1 to 65535`,
      );
    }
    if (this.targetType === 'instance' && !/^i-[0-9a-z]+$/.test(id)) {
      throw new TargetGroupError('ValidationError', `Instance ID '${id}' is not valid`);
    }
    if (this.targetType === 'ip' && !isIPv4(id) && !isIPv6(id)) {
      throw new TargetGroupError('ValidationError', `The IP address '${id}' is not valid`);
    }
    if (this.targetType === 'ip' && isIPv4(id) && !registrable.check(id)) {
      throw new TargetGroupError(
        'ValidationError',
        `The IP address '${id}' is not within a range specified by VPC or the private ranges`,
      );
    }
    const condition = this.condition(id, port);
    if (this.targetType === 'instance' && condition !== 'usable') {
      throw new TargetGroupError(
        'InvalidTarget',
        `The following targets are not in a running state and cannot be registered: '${id}'`,
      );
    }
    if (this.targetType === 'ip' && this.#targets.get(keyOf({ id, port }))?.phase === 'draining') {
      throw new TargetGroupError(
        'InvalidTarget',
        `The following targets are deregistering and cannot be registered again until the deregistration delay is over: '${id}'`,
      );
    }
  }

  #start(id: string, port: number): void {
    const key = keyOf({ id, port });
    this.#timers.get(key)?.cancel();
    this.#registrations += 1;
    this.#put({
      id,
      port,
      registration: this.#registrations,
      phase: 'registering',
      since: this.#clock.now(),
      passed: 0,
      failed: 0,
    });
    const finish = () => {
      this.#timers.delete(key);
      const target = this.#targets.get(key);
      if (target?.phase === 'registering')
        this.#put({ ...target, phase: 'checking', since: this.#clock.now() });
    };
    this.#timers.set(key, this.#clock.after(this.#registrationMs, finish));
  }

  /**
   * Deregisters targets. Without a port the group's own applies: for a target registered with another port that
   * does nothing and says nothing, as on AWS; nor does naming a target that is not there.
   */
  deregister(targets: readonly TargetId[]): void {
    for (const { id, port } of targets) {
      const key = keyOf({ id, port: port ?? this.port });
      const target = this.#targets.get(key);
      if (target === undefined || target.phase === 'draining') continue;
      this.#timers.get(key)?.cancel();
      const now = this.#clock.now();
      const delay = this.deregistrationDelayMs;
      // Nothing to drain where no load balancer ever sent anything.
      if (this.loadBalancerArns.length === 0) {
        this.#remove(target);
        continue;
      }
      this.#put({
        ...target,
        phase: 'draining',
        since: now,
        drain: { from: now, until: now + delay, wasHealthy: target.phase === 'healthy' },
      });
      // The whole delay, however idle the target is: AWS shows `draining` until it is over.
      this.#timers.set(
        key,
        this.#clock.after(delay, () => this.#remove(target)),
      );
    }
  }

  #remove(target: TargetRecord): void {
    const key = keyOf(target);
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
    this.#targets.delete(key);
    this.#tell(notRegistered(target.id, target.port), target.registration);
  }

  /** DescribeTargetHealth: of all targets, or of those named; a port left out means the group's own. */
  health(targets?: readonly TargetId[]): TargetHealth[] {
    if (targets === undefined) return [...this.#targets.values()].map((target) => this.#describe(target));
    return targets.map(({ id, port = this.port }) => {
      const target = this.#targets.get(keyOf({ id, port }));
      return target === undefined ? notRegistered(id, port) : this.#describe(target);
    });
  }

  #describe(target: TargetRecord): TargetHealth {
    return describeTarget(target, {
      inUse: this.loadBalancerArns.length > 0,
      condition: this.condition(target.id, target.port),
      checksEnabled: this.healthCheck.enabled,
    });
  }

  /** The records behind `health()`, for the load balancer that serves this group. */
  records(): TargetRecord[] {
    return [...this.#targets.values()];
  }

  /** What a check of that registration saw. Late results of an earlier registration are dropped. */
  recordCheck(target: Pick<TargetRecord, 'id' | 'port' | 'registration'>, result: CheckResult): void {
    const current = this.#targets.get(keyOf(target));
    if (current === undefined || current.registration !== target.registration) return;
    this.#put(afterCheck(current, result, this.healthCheck, this.#clock.now()));
  }

  /** A target that cannot be checked (its instance is stopped) has to earn its health anew. */
  forgetChecks(target: Pick<TargetRecord, 'id' | 'port' | 'registration'>): void {
    const current = this.#targets.get(keyOf(target));
    if (current === undefined || current.registration !== target.registration) return;
    if (current.phase === 'healthy' || current.phase === 'unhealthy') {
      this.#put({ ...current, phase: 'checking', since: this.#clock.now(), passed: 0, failed: 0 });
    }
  }

  /** Calls `listener` at every change of a target's state; answers how to stop that. */
  onChange(listener: (change: TargetChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #put(target: TargetRecord): void {
    const key = keyOf(target);
    const before = this.#targets.get(key);
    this.#targets.set(key, target);
    if (before?.phase === target.phase && before.registration === target.registration) return;
    this.#tell(this.#describe(target), target.registration);
  }

  #tell(health: TargetHealth, registration: number): void {
    const change = { ...health, at: this.#clock.now(), registration };
    this.history.push(change);
    for (const listener of [...this.#listeners]) listener(change);
  }

  /** Stops all timers; states stay as they are. */
  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#listeners.clear();
  }
}

/** Private addresses (RFC 1918, RFC 6598; API reference, RegisterTargets), and loopback, which is the lab's VPC. */
const registrable = new BlockList();
for (const [net, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
] as const)
  registrable.addSubnet(net, prefix);

/** `i-0abc:8000`: how a target is named in counts and messages. */
export function keyOf(target: { id: string; port: number }): string {
  return `${target.id}:${target.port}`;
}

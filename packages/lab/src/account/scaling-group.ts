import type { TargetGroup } from '../balancer/index.ts';
import type { LabClock } from '../clock.ts';
import type { Instance } from './instance.ts';
import { AwsError } from './query.ts';

export type LifecycleState =
  | 'Pending'
  | 'Pending:Wait'
  | 'InService'
  | 'EnteringStandby'
  | 'Standby'
  | 'Terminating'
  | 'Terminated';

export interface ScalingMember {
  readonly instance: Instance;
  lifecycle: LifecycleState;
  /** Lab time of the last change of its lifecycle state. */
  since: number;
}

export interface ScalingGroupSettings {
  name: string;
  minSize: number;
  maxSize: number;
  /** Default: as many as there are members. */
  desiredCapacity?: number;
  members?: readonly Instance[];
  /** Members are registered here at the group's own port when they come into service, and deregistered when they leave it. */
  targetGroups?: readonly TargetGroup[];
  healthCheckType?: 'EC2' | 'ELB';
  /** Lab ms after coming into service in which a failed health check does not count. */
  healthCheckGraceMs?: number;
  /** Starts an instance as the launch template says; without it the group cannot grow. */
  launch?: () => Instance | Promise<Instance>;
}

/** Lab ms for what a member does without a load balancer: a change of state, a check. */
const step = 2_000;
const checkEvery = 10_000;

/**
 * An Auto Scaling group: keeps as many members in service as it is told, replaces what its health checks find ill, and
 * lets members step aside into standby. Times are lab time. What AWS documents of it (user guide, "Temporarily remove
 * instances"; API reference, EnterStandby and ExitStandby) holds here; its refusals are in AWS's words.
 */
export class ScalingGroup {
  readonly name: string;
  readonly arn: string;
  readonly members = new Map<string, ScalingMember>();
  readonly targetGroups: readonly TargetGroup[];
  readonly healthCheckType: 'EC2' | 'ELB';
  readonly healthCheckGraceMs: number;
  /** Processes that somebody suspended: Launch, Terminate, AddToLoadBalancer, AZRebalance, ReplaceUnhealthy … */
  readonly suspended = new Set<string>();
  minSize: number;
  maxSize: number;
  desiredCapacity: number;
  /** The state of an instance refresh, where one was ever started. */
  refresh: { id: string; status: string } | undefined;
  /** New members wait in Pending:Wait until somebody completes the launch hook. */
  launchHook = false;
  /** What it did, oldest first. */
  readonly activities: Array<{ at: number; id: string; what: string }> = [];

  readonly #clock: LabClock;
  readonly #launch: ScalingGroupSettings['launch'];
  readonly #timers = new Set<{ cancel(): void }>();
  readonly #terminated = new Set<(instance: Instance) => void>();
  #launching = 0;

  constructor(clock: LabClock, arn: string, settings: ScalingGroupSettings) {
    this.#clock = clock;
    this.name = settings.name;
    this.arn = arn;
    this.minSize = settings.minSize;
    this.maxSize = settings.maxSize;
    this.targetGroups = settings.targetGroups ?? [];
    this.healthCheckType = settings.healthCheckType ?? 'EC2';
    this.healthCheckGraceMs = settings.healthCheckGraceMs ?? 0;
    this.#launch = settings.launch;
    for (const instance of settings.members ?? [])
      this.members.set(instance.id, { instance, lifecycle: 'InService', since: clock.now() });
    this.desiredCapacity = settings.desiredCapacity ?? this.members.size;
    this.#everyCheck();
  }

  /** Calls `listener` when an instance is gone for good. */
  onTerminated(listener: (instance: Instance) => void): () => void {
    this.#terminated.add(listener);
    return () => this.#terminated.delete(listener);
  }

  /** Members step aside, all or none; throws the service's own refusal. */
  enterStandby(ids: readonly string[], decrement: boolean): void {
    const members = ids.map((id) => this.#member(id));
    for (const { instance, lifecycle } of members)
      if (lifecycle !== 'InService') throw refused(`The instance ${instance.id} is not in InService.`);
    if (decrement && this.desiredCapacity - ids.length < this.minSize)
      throw refused(
        `AutoScalingGroup ${this.name} has min-size=${this.minSize}, max-size=${this.maxSize}, and desired-size=${this.desiredCapacity}. To place into standby ${ids.length} instance${ids.length === 1 ? '' : 's'}, please update the AutoScalingGroup sizes appropriately.`,
      );
    if (decrement) this.desiredCapacity -= ids.length;
    for (const member of members) {
      this.#become(member, 'EnteringStandby');
      this.#leaveTargetGroups(member);
      this.#onceDrained(member, () => {
        if (member.lifecycle === 'EnteringStandby') this.#become(member, 'Standby');
      });
    }
    this.#reconcile();
  }

  /** Members come back, all or none; throws the service's own refusal. */
  exitStandby(ids: readonly string[]): void {
    const members = ids.map((id) => this.#member(id));
    for (const { instance, lifecycle } of members)
      if (lifecycle !== 'Standby') throw refused(`The instance ${instance.id} is not in Standby.`);
    // "You can't return an instance in a standby state to service if the Launch process is suspended" (user guide).
    if (this.suspended.has('Launch'))
      throw refused(
        `AutoScalingGroup ${this.name} cannot return instances: the Launch process is suspended.`,
      );
    if (this.desiredCapacity + ids.length > this.maxSize)
      throw refused(
        `AutoScalingGroup ${this.name} has min-size=${this.minSize}, max-size=${this.maxSize}, and desired-size=${this.desiredCapacity}. To return ${ids.length} instance${ids.length === 1 ? '' : 's'} to service, please update the AutoScalingGroup sizes appropriately.`,
      );
    this.desiredCapacity += ids.length;
    for (const member of members) {
      this.#become(member, 'Pending');
      // A launch hook concerns new members only.
      this.#after(step, () => this.#comeIntoService(member));
    }
  }

  /** UpdateAutoScalingGroup: what is left out stays; a desired capacity outside the new sizes follows them. */
  resize(sizes: { minSize?: number; maxSize?: number; desiredCapacity?: number }): void {
    const minSize = sizes.minSize ?? this.minSize;
    const maxSize = sizes.maxSize ?? this.maxSize;
    if (minSize > maxSize)
      throw refused(`Max bound, ${maxSize}, must be greater than or equal to min bound, ${minSize}`);
    const desired = sizes.desiredCapacity ?? Math.min(maxSize, Math.max(minSize, this.desiredCapacity));
    if (desired < minSize || desired > maxSize)
      throw refused(
        `Desired capacity:${desired} must be between the specified min size:${minSize} and max size:${maxSize}`,
      );
    Object.assign(this, { minSize, maxSize, desiredCapacity: desired });
    this.#reconcile();
  }

  /** One member less, as after an alarm: the named one, or the oldest in service. */
  scaleIn(id?: string): void {
    if (this.desiredCapacity <= this.minSize) return;
    const member = id === undefined ? this.#inService()[0] : this.#member(id);
    if (!member) return;
    this.desiredCapacity -= 1;
    this.#terminate(member, 'scaled in');
  }

  /** One member more, as after an alarm. */
  scaleOut(): void {
    this.resize({ desiredCapacity: this.desiredCapacity + 1 });
  }

  /** The launch hook of a new member is over: it goes on into service. */
  completeLaunch(id: string): void {
    const member = this.#member(id);
    if (member.lifecycle !== 'Pending:Wait')
      throw refused(`No active Lifecycle Action found with instance ID ${id}`);
    this.#become(member, 'Pending');
    this.#after(step, () => this.#comeIntoService(member));
  }

  /** Stops all timers; states stay as they are. */
  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #member(id: string): ScalingMember {
    const member = this.members.get(id);
    if (!member) throw refused(`The instance ${id} is not part of Auto Scaling group ${this.name}.`);
    return member;
  }

  #inService(): ScalingMember[] {
    return [...this.members.values()].filter(({ lifecycle }) => lifecycle === 'InService');
  }

  #become(member: ScalingMember, lifecycle: LifecycleState, why?: string): void {
    member.lifecycle = lifecycle;
    member.since = this.#clock.now();
    const what = why === undefined ? lifecycle : `${lifecycle}: ${why}`;
    this.activities.push({ at: member.since, id: member.instance.id, what });
  }

  #comeIntoService(member: ScalingMember): void {
    if (member.lifecycle !== 'Pending') return;
    if (!this.suspended.has('AddToLoadBalancer'))
      for (const group of this.targetGroups) group.register([{ id: member.instance.id }]);
    this.#become(member, 'InService');
  }

  #leaveTargetGroups({ instance }: ScalingMember): void {
    for (const group of this.targetGroups) group.deregister([{ id: instance.id }]);
  }

  /**
   * When no target group drains the member any more. AWS waits for the deregistration delay here (the activity shows
   * WaitingForELBConnectionDraining); it does not document what it does about a target that is registered meanwhile.
   */
  #onceDrained(member: ScalingMember, then: () => void): void {
    const draining = () =>
      this.targetGroups.some((group) =>
        group
          .health()
          .some(
            ({ id, port, state }) => id === member.instance.id && port === group.port && state === 'draining',
          ),
      );
    const look = () => {
      if (draining()) this.#after(step, look);
      else then();
    };
    this.#after(step, look);
  }

  #terminate(member: ScalingMember, why: string): void {
    this.#become(member, 'Terminating', why);
    this.#leaveTargetGroups(member);
    this.#onceDrained(member, () => {
      member.instance.state = 'terminated';
      this.#become(member, 'Terminated');
      this.members.delete(member.instance.id);
      for (const listener of [...this.#terminated]) listener(member.instance);
      this.#reconcile();
    });
  }

  /** As many as desired: launches or ends what differs. Members in standby count for nothing. */
  #reconcile(): void {
    const counting = [...this.members.values()].filter(({ lifecycle }) =>
      ['Pending', 'Pending:Wait', 'InService'].includes(lifecycle),
    );
    const missing = this.desiredCapacity - counting.length - this.#launching;
    if (missing > 0 && !this.suspended.has('Launch')) for (let n = 0; n < missing; n++) this.#start();
    if (missing < 0 && !this.suspended.has('Terminate'))
      for (const member of counting.slice(0, -missing)) this.#terminate(member, 'more than desired');
  }

  #start(): void {
    const launch = this.#launch;
    if (!launch) return;
    this.#launching += 1;
    const over = () => {
      this.#launching -= 1;
    };
    void Promise.resolve(launch()).then((instance) => {
      over();
      const member: ScalingMember = { instance, lifecycle: 'Pending', since: this.#clock.now() };
      this.members.set(instance.id, member);
      this.#become(member, this.launchHook ? 'Pending:Wait' : 'Pending');
      this.#after(step, () => this.#comeIntoService(member));
    }, over);
  }

  #everyCheck(): void {
    this.#after(checkEvery, () => {
      if (!this.suspended.has('HealthCheck') && !this.suspended.has('ReplaceUnhealthy'))
        this.#replaceUnhealthy();
      this.#everyCheck();
    });
  }

  #replaceUnhealthy(): void {
    for (const member of this.#inService()) {
      if (member.instance.state !== 'running') this.#terminate(member, 'EC2 instance status checks failed');
      else if (
        this.healthCheckType === 'ELB' &&
        this.#clock.now() - member.since > this.healthCheckGraceMs &&
        this.targetGroups.some((group) => !isServed(group, member.instance.id))
      )
        this.#terminate(member, 'ELB system health check failure');
    }
  }

  #after(ms: number, fn: () => void): void {
    const timer = this.#clock.after(ms, () => {
      this.#timers.delete(timer);
      fn();
    });
    this.#timers.add(timer);
  }
}

/** What ELB tells Auto Scaling: a target that is unhealthy, on its way out, or not there at all is ill. */
function isServed(group: TargetGroup, id: string): boolean {
  const [target] = group.health([{ id }]);
  return target?.state === 'healthy' || target?.state === 'initial' || target?.state === 'unavailable';
}

function refused(message: string): AwsError {
  return new AwsError('ValidationError', message);
}

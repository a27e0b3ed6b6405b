import { memoryLog } from '@lockkeeper/action';
import { AwsCallError, type TargetGroup, type TargetHealth } from '@lockkeeper/aws';
import { fakeClock } from '@lockkeeper/wait';
import { keyOf, type Required } from '../src/plan/capacity.ts';
import type { PlanSettings } from '../src/plan/plan-settings.ts';
import type { HostRecord, OnFailure } from '../src/roll/roll.ts';
import type { FleetHost, Minimum, RollContext } from '../src/roll/roll-context.ts';
import { runRoll } from '../src/roll/run-roll.ts';
import { Timeline } from '../src/roll/timeline.ts';

export const arn =
  'arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/web/0123456789abcdef';

export function group(change: Partial<TargetGroup> = {}): TargetGroup {
  return {
    arn,
    name: 'web',
    targetType: 'instance',
    protocol: 'HTTP',
    port: 8000,
    loadBalancers: [{ arn: 'arn:lb', idleTimeout: 60_000 }],
    healthCheck: {
      path: '/health/',
      port: 'traffic-port',
      interval: 10_000,
      timeout: 5_000,
      healthyThreshold: 2,
      unhealthyThreshold: 3,
      matcher: '200',
    },
    deregistrationDelay: 60_000,
    slowStart: 0,
    unhealthyRouting: { count: 1 },
    dnsFailover: { count: 1 },
    ...change,
  };
}

export function health(id: string, change: Partial<TargetHealth> = {}): TargetHealth {
  return { id, port: 8000, state: 'healthy', reason: '', description: '', shifted: false, ...change };
}

/** What the inputs say of a roll: one host after another. */
export function planSettings(change: Partial<PlanSettings> = {}): PlanSettings {
  return {
    targets: [],
    hosts: new Map(),
    hostAddress: 'public-ip',
    batchSize: { count: 1 },
    minHealthy: { count: 1 },
    drain: { kind: 'idle', settle: 15_000 },
    healthyTimeout: 300_000,
    bakeTime: 0,
    stabilityWindow: 10_000,
    preDeploy: false,
    ...change,
  };
}

export function record(id: string, change: Partial<HostRecord> = {}): HostRecord {
  return {
    id,
    memberships: [{ group: arn, port: 8000 }],
    scaling: '',
    standby: false,
    left: false,
    rotation: 'in',
    release: 'old',
    goal: 'new',
    finished: false,
    touched: false,
    changed: false,
    skipped: false,
    batch: 0,
    cut: 0,
    failure: '',
    ...change,
  };
}

export type Effect = 'register' | 'deregister' | 'switch' | 'go-back' | 'enter' | 'exit' | 'min';

/** What to do to one effect: refuse before it, do it and lose the answer, or die around it. */
export type Fault = 'denied' | 'throttled' | 'lost' | 'kill-before' | 'kill-after' | 'sick' | 'fails';

/** Thrown where a real main would be killed: nothing after it runs. */
export class Killed extends Error {}

const awsCalls: readonly Effect[] = ['register', 'deregister', 'enter', 'exit', 'min'];

/**
 * Target groups with their machines in virtual time: draining shows for the whole delay, a new target needs one passed
 * check, a machine that runs a sick release (or nothing) fails its checks, and an Auto Scaling group ends at once whom
 * it finds ill or missing there. Faults strike the n-th effect.
 */
export function stand({
  ids = ['i-a', 'i-b'],
  faults: given = {} as Record<number, Fault>,
  faultsFrom = undefined as { effect: Effect; fault: 'denied' } | undefined,
  sick = new Set<string>(),
  minimum = 1,
  settings = {} as Partial<RollContext['settings']>,
  connections = (_id: string, _sinceMs: number): number | undefined => 0,
  unwell = (_id: string, _now: number): string | undefined => undefined,
  target = group(),
  more = [] as TargetGroup[],
  scaling = undefined as { minSize: number; maxSize: number } | undefined,
}: {
  ids?: string[];
  faults?: Record<number, Fault>;
  faultsFrom?: { effect: Effect; fault: 'denied' };
  sick?: Set<string>;
  minimum?: number;
  settings?: Partial<RollContext['settings']>;
  connections?: (id: string, sinceMs: number) => number | undefined;
  unwell?: (id: string, now: number) => string | undefined;
  target?: TargetGroup;
  /** Groups that every machine is in besides, on their own ports. */
  more?: TargetGroup[];
  /** All machines are members of one Auto Scaling group, `asg`, which registers them in `target`. */
  scaling?: { minSize: number; maxSize: number };
} = {}) {
  const clock = fakeClock(1_000_000);
  let faults = given;
  const log = memoryLog();
  const groups = new Map([target, ...more].map((one) => [one.arn, one]));
  const members = new Map<string, { since: number; drainingSince?: number }>();
  const placeOf = (group: string, id: string, port: number) => `${group} ${id}:${port}`;
  /** What each machine runs: `between` serves nothing, `ended` is gone. */
  const runs = new Map<string, 'old' | 'new' | 'between' | 'ended'>();
  for (const id of ids) {
    for (const { arn: group, port } of groups.values())
      members.set(placeOf(group, id, port), { since: -1_000_000 });
    runs.set(id, 'old');
  }
  const asg = {
    name: 'asg',
    minSize: scaling?.minSize ?? 0,
    maxSize: scaling?.maxSize ?? 0,
    desired: ids.length,
    suspended: [],
    targetGroups: [target.arn],
  };
  const lifecycles = new Map(scaling ? ids.map((id) => [id, { state: 'InService', since: 0 }]) : []);
  let effects = 0;
  let dead = false;
  /** The fewest that served requests at any change because of the roll. */
  let fewest = ids.length;
  const journal: string[] = [];

  const fit = (id: string) => runs.get(id) === 'old' || (runs.get(id) === 'new' && !sick.has(id));
  const stateOf = (arn: string, id: string, port: number): TargetHealth | undefined => {
    const { deregistrationDelay, healthCheck } = groups.get(arn)!;
    const key = placeOf(arn, id, port);
    const member = members.get(key);
    if (!member) return undefined;
    if (member.drainingSince !== undefined) {
      if (clock.now() - member.drainingSince >= deregistrationDelay) {
        members.delete(key);
        return undefined;
      }
      return health(id, { port, state: 'draining', reason: 'Target.DeregistrationInProgress' });
    }
    if (clock.now() - member.since < healthCheck.interval)
      return health(id, { port, state: 'initial', reason: 'Elb.RegistrationInProgress' });
    return fit(id)
      ? health(id, { port })
      : health(id, {
          port,
          state: 'unhealthy',
          reason: 'Target.ResponseCodeMismatch',
          description: 'Health checks failed with these codes: [502]',
        });
  };
  const all = (arn = target.arn) =>
    [...members.keys()].flatMap((key) => {
      const [group, place] = key.split(' ') as [string, string];
      const at = place.lastIndexOf(':');
      return group === arn ? (stateOf(arn, place.slice(0, at), Number(place.slice(at + 1))) ?? []) : [];
    });
  const served = () => {
    fewest = Math.min(fewest, all().filter(({ state }) => state === 'healthy').length);
  };
  const register = (arn: string, targets: ReadonlyArray<{ id: string; port: number }>) => {
    for (const { id, port } of targets) {
      const member = members.get(placeOf(arn, id, port));
      const draining = stateOf(arn, id, port)?.state === 'draining';
      if (draining && groups.get(arn)!.targetType === 'ip')
        throw new AwsCallError('refused', 'InvalidTarget', `${id} is deregistering`);
      if (!member || draining) members.set(placeOf(arn, id, port), { since: clock.now() });
    }
  };
  const deregister = (arn: string, targets: ReadonlyArray<{ id: string; port: number }>) => {
    for (const { id, port } of targets) {
      const member = members.get(placeOf(arn, id, port));
      if (member && member.drainingSince === undefined) member.drainingSince = clock.now();
    }
  };

  /** What Auto Scaling did since somebody looked last. */
  const letScale = () => {
    for (const [id, member] of lifecycles) {
      const place = stateOf(target.arn, id, target.port);
      const waited = clock.now() - member.since >= 2_000;
      if (member.state === 'EnteringStandby' && waited && place?.state !== 'draining')
        Object.assign(member, { state: 'Standby', since: clock.now() });
      if (member.state === 'Pending' && waited) {
        register(target.arn, [{ id, port: target.port }]);
        Object.assign(member, { state: 'InService', since: clock.now() });
      }
      // No mercy: no grace period, no threshold.
      if (member.state === 'InService' && place?.state !== 'healthy' && place?.state !== 'initial') {
        journal.push(`ended ${id}`);
        runs.set(id, 'ended');
        lifecycles.delete(id);
      }
    }
  };

  const effect = async (kind: Effect, what: string, act: () => void) => {
    if (dead) throw new Killed();
    letScale();
    const fault = faultsFrom?.effect === kind ? faultsFrom.fault : faults[effects];
    effects++;
    const call = awsCalls.includes(kind);
    if (fault === 'kill-before') {
      dead = true;
      throw new Killed();
    }
    if (fault === 'denied' && call) throw new AwsCallError('denied', 'AccessDenied', `not allowed: ${kind}`);
    if (fault === 'throttled' && call)
      throw new AwsCallError('unsure', 'Throttling', `AWS throttles ${kind}`);
    if (fault === 'fails' && !call) {
      journal.push(`${kind} ${what} fails`);
      if (kind === 'switch') runs.set(what, 'between');
      throw new Error(`${what} does not come up`);
    }
    act();
    journal.push(`${kind} ${what}`);
    served();
    if (fault === 'kill-after') {
      dead = true;
      throw new Killed();
    }
    if (fault === 'lost' && call) throw new AwsCallError('unsure', 'Timeout', `${kind} had no answer`);
  };

  const gate: RollContext['gate'] = {
    health: async (arn) => {
      if (dead) throw new Killed();
      letScale();
      return all(arn);
    },
    register: (arn, targets) =>
      effect('register', targets.map(keyOf).join(' '), () => register(arn, targets)),
    deregister: (arn, targets) =>
      effect('deregister', targets.map(keyOf).join(' '), () => deregister(arn, targets)),
  };
  const become = (ids: readonly string[], from: string, to: string) => {
    for (const id of ids)
      if (lifecycles.get(id)?.state !== from)
        throw new AwsCallError('refused', 'ValidationError', `The instance ${id} is not in ${from}.`);
    for (const id of ids) lifecycles.set(id, { state: to, since: clock.now() });
  };
  const autoScaling: RollContext['scaling'] = {
    describe: async () => {
      if (dead) throw new Killed();
      letScale();
      const list = [...lifecycles].map(([id, { state }]) => ({ id, zone: 'a', lifecycle: state }));
      return new Map([[asg.name, { ...asg, members: list }]]);
    },
    enterStandby: (_name, ids) =>
      effect('enter', ids.join(' '), () => {
        if (asg.desired - ids.length < asg.minSize)
          throw new AwsCallError('refused', 'ValidationError', `min-size=${asg.minSize}`);
        become(ids, 'InService', 'EnteringStandby');
        asg.desired -= ids.length;
        deregister(
          target.arn,
          ids.map((id) => ({ id, port: target.port })),
        );
      }),
    exitStandby: (_name, ids) =>
      effect('exit', ids.join(' '), () => {
        if (asg.desired + ids.length > asg.maxSize)
          throw new AwsCallError('refused', 'ValidationError', `max-size=${asg.maxSize}`);
        become(ids, 'Standby', 'Pending');
        asg.desired += ids.length;
      }),
    setMinSize: (_name, minSize) =>
      effect('min', String(minSize), () => {
        asg.minSize = minSize;
      }),
  };
  const fleet = (id: string): FleetHost => ({
    switchOver: () =>
      effect('switch', id, () => {
        runs.set(id, 'new');
      }),
    goBack: () =>
      effect('go-back', id, () => {
        runs.set(id, 'old');
      }),
    settle: async () => {},
    unwell: async () => unwell(id, clock.now()),
    connections: async () =>
      connections(id, clock.now() - (members.get(placeOf(target.arn, id, target.port))?.drainingSince ?? 0)),
  });

  const timeline = new Timeline();
  let saved: HostRecord[] = [];
  let minimums: Minimum[] = [];
  const context = (onFailure: OnFailure, signal: AbortSignal): RollContext => ({
    groups,
    gate,
    scaling: autoScaling,
    minimums,
    fleet,
    settings: {
      drain: { kind: 'idle', settle: 15_000 },
      healthyTimeout: 120_000,
      bakeTime: 0,
      standbyPatience: target.deregistrationDelay + 60_000,
      onFailure,
      required: new Map<string, Required>(
        [...groups.keys()].map((one) => [one, { count: minimum, because: 'min-healthy' }]),
      ),
      ...settings,
    },
    clock,
    log,
    signal,
    timeline,
    evidence: () => {},
    save: (hosts) => {
      if (!dead) saved = structuredClone(hosts) as HostRecord[];
    },
    saveMinimums: (lowered) => {
      if (!dead) minimums = [...lowered];
    },
  });
  const places = [...groups.values()].map(({ arn: group, port }) => ({ group, port }));
  const member = { scaling: scaling ? 'asg' : '', memberships: places };

  return {
    clock,
    log,
    journal,
    runs,
    members,
    timeline,
    asg,
    saved: () => saved,
    minimums: () => minimums,
    effects: () => effects,
    fewest: () => fewest,
    /** Places registered and not draining, as at the start; with their groups where there are several. */
    membership: () =>
      [...groups.values()]
        .flatMap(({ arn, name }) =>
          all(arn)
            .filter(({ state }) => state !== 'draining')
            .map((one) => (groups.size > 1 ? `${name} ${keyOf(one)}` : keyOf(one))),
        )
        .sort(),
    states: () => Object.fromEntries(all().map((one) => [one.id, one.state])),
    lifecycles: () => {
      letScale();
      return Object.fromEntries([...lifecycles].map(([id, { state }]) => [id, state]));
    },
    /** Auto Scaling ends a member that serves, as on a scale-in. */
    scaleIn: (id: string) => {
      asg.desired -= 1;
      lifecycles.set(id, { state: 'Terminating', since: clock.now() });
      deregister(target.arn, [{ id, port: target.port }]);
    },
    record: (id: string, change: Partial<HostRecord> = {}) => record(id, { ...member, ...change }),
    /** main: rolls one host after another unless records are given. */
    roll: (
      onFailure: OnFailure = 'rollback-all',
      hosts: HostRecord[] = ids.map((id, batch) => record(id, { ...member, batch })),
      signal = new AbortController().signal,
    ) => {
      saved = structuredClone(hosts);
      return runRoll(hosts, context(onFailure, signal));
    },
    context,
    /** A new process: what struck main is over. */
    revive: () => {
      dead = false;
      faults = {};
    },
  };
}

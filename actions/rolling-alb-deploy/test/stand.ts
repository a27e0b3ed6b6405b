import { memoryLog } from '@lockkeeper/action';
import { AwsCallError, type TargetGroup, type TargetGroups, type TargetHealth } from '@lockkeeper/aws';
import { fakeClock } from '@lockkeeper/wait';
import { keyOf, type Required } from '../src/plan/capacity.ts';
import type { HostRecord, Membership, OnFailure } from '../src/roll/roll.ts';
import type { FleetHost, RollContext } from '../src/roll/roll-context.ts';
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

export function record(id: string, change: Partial<HostRecord> = {}): HostRecord {
  return {
    id,
    memberships: [{ group: arn, port: 8000 }],
    rotation: 'in',
    release: 'old',
    goal: 'new',
    finished: false,
    touched: false,
    changed: false,
    skipped: false,
    batch: 0,
    failure: '',
    ...change,
  };
}

export type Effect = 'register' | 'deregister' | 'switch' | 'go-back';

/** What to do to one effect: refuse before it, do it and lose the answer, or die around it. */
export type Fault = 'denied' | 'throttled' | 'lost' | 'kill-before' | 'kill-after' | 'sick' | 'fails';

/** Thrown where a real main would be killed: nothing after it runs. */
export class Killed extends Error {}

/**
 * A target group with its machines in virtual time: draining shows for the whole delay, a new target needs one passed
 * check, a machine that runs a sick release (or nothing) fails its checks. Faults strike the n-th effect.
 */
export function stand({
  ids = ['i-a', 'i-b'],
  faults = {} as Record<number, Fault>,
  faultsFrom = undefined as { effect: Effect; fault: 'denied' } | undefined,
  sick = new Set<string>(),
  minimum = 1,
  settings = {} as Partial<RollContext['settings']>,
  connections = (_id: string, _sinceMs: number): number | undefined => 0,
  target = group(),
}: {
  ids?: string[];
  faults?: Record<number, Fault>;
  faultsFrom?: { effect: Effect; fault: 'denied' };
  sick?: Set<string>;
  minimum?: number;
  settings?: Partial<RollContext['settings']>;
  connections?: (id: string, sinceMs: number) => number | undefined;
  target?: TargetGroup;
} = {}) {
  const clock = fakeClock(1_000_000);
  const log = memoryLog();
  const members = new Map<string, { since: number; drainingSince?: number }>();
  /** What each machine runs: `between` serves nothing. */
  const runs = new Map<string, 'old' | 'new' | 'between'>();
  for (const id of ids) {
    members.set(`${id}:8000`, { since: -1_000_000 });
    runs.set(id, 'old');
  }
  let effects = 0;
  let dead = false;
  /** The fewest that served requests at any change because of the roll. */
  let fewest = ids.length;
  const journal: string[] = [];

  const fit = (id: string) => runs.get(id) === 'old' || (runs.get(id) === 'new' && !sick.has(id));
  const stateOf = (key: string): TargetHealth | undefined => {
    const member = members.get(key);
    const at = key.lastIndexOf(':');
    const [id, port] = [key.slice(0, at), Number(key.slice(at + 1))];
    if (!member) return undefined;
    if (member.drainingSince !== undefined) {
      if (clock.now() - member.drainingSince >= target.deregistrationDelay) {
        members.delete(key);
        return undefined;
      }
      return health(id, { port, state: 'draining', reason: 'Target.DeregistrationInProgress' });
    }
    if (clock.now() - member.since < target.healthCheck.interval)
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
  const all = () => [...members.keys()].flatMap((key) => stateOf(key) ?? []);
  const served = () => {
    fewest = Math.min(fewest, all().filter(({ state }) => state === 'healthy').length);
  };

  const effect = async (kind: Effect, what: string, act: () => void) => {
    if (dead) throw new Killed();
    const fault = faultsFrom?.effect === kind ? faultsFrom.fault : faults[effects];
    effects++;
    const call = kind === 'register' || kind === 'deregister';
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
    journal.push(`${kind} ${what}`);
    act();
    served();
    if (fault === 'kill-after') {
      dead = true;
      throw new Killed();
    }
    if (fault === 'lost' && call) throw new AwsCallError('unsure', 'Timeout', `${kind} had no answer`);
  };

  const gate: Pick<TargetGroups, 'health' | 'register' | 'deregister'> = {
    health: async () => {
      if (dead) throw new Killed();
      return all();
    },
    register: (_group, targets) =>
      effect('register', targets.map(keyOf).join(' '), () => {
        for (const one of targets) {
          const member = members.get(keyOf(one));
          if (!member || member.drainingSince !== undefined) members.set(keyOf(one), { since: clock.now() });
        }
      }),
    deregister: (_group, targets) =>
      effect('deregister', targets.map(keyOf).join(' '), () => {
        for (const one of targets) {
          const member = members.get(keyOf(one));
          if (member && member.drainingSince === undefined) member.drainingSince = clock.now();
        }
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
    connections: async () => connections(id, clock.now() - (members.get(`${id}:8000`)?.drainingSince ?? 0)),
  });

  const timeline = new Timeline();
  let saved: HostRecord[] = [];
  const context = (onFailure: OnFailure, signal: AbortSignal): RollContext => ({
    groups: new Map([[arn, target]]),
    gate,
    fleet,
    settings: {
      drain: { kind: 'idle', settle: 15_000 },
      healthyTimeout: 120_000,
      bakeTime: 0,
      onFailure,
      required: new Map<string, Required>([[arn, { count: minimum, because: 'min-healthy' }]]),
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
  });

  return {
    clock,
    log,
    journal,
    runs,
    members,
    timeline,
    saved: () => saved,
    effects: () => effects,
    fewest: () => fewest,
    /** Places registered and not draining, as at the start. */
    membership: () =>
      all()
        .filter(({ state }) => state !== 'draining')
        .map(keyOf)
        .sort(),
    states: () => Object.fromEntries(all().map((one) => [one.id, one.state])),
    /** main: rolls one host after another unless records are given. */
    roll: (
      onFailure: OnFailure = 'rollback-all',
      hosts: HostRecord[] = ids.map((id, batch) => record(id, { batch })),
      signal = new AbortController().signal,
    ) => {
      saved = structuredClone(hosts);
      return runRoll(hosts, context(onFailure, signal));
    },
    context,
    /** A new process: what struck main is over. */
    revive: () => {
      dead = false;
      for (const key of Object.keys(faults)) delete faults[Number(key)];
    },
  };
}

export const memberships = (...ports: number[]): Membership[] => ports.map((port) => ({ group: arn, port }));

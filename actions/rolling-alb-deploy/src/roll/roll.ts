/** A place in a target group that a host had at the start and must have at the end. */
export interface Membership {
  /** ARN of the target group. */
  group: string;
  port: number;
}

/**
 * Where the host is towards the load balancer. `leaving` and `joining` are written down before the call, so after a
 * crash they mean: perhaps. `out` includes hosts that were missing when we came. `watched`: in service and proven, but
 * its Auto Scaling group still has it in standby.
 */
export type Rotation = 'in' | 'leaving' | 'draining' | 'out' | 'joining' | 'registered' | 'watched';

/**
 * What the host runs. `switching` and `reverting` are written down before the effect. `unfit`: nothing more is tried,
 * it goes back in rotation with what it has, and the load balancer's check decides on traffic.
 */
export type Release = 'old' | 'switching' | 'new' | 'reverting' | 'unfit';

export type OnFailure = 'rollback-all' | 'rollback-failed' | 'stop';

/** One host of the roll; the list of these is the state from which post and decisions work. */
export interface HostRecord {
  /** Instance id; the address of an `ip` target. */
  id: string;
  memberships: Membership[];
  /** The Auto Scaling group that it is a member of; '' when none. */
  scaling: string;
  /** This run (or a lost one) put it in standby, or was about to, and has not seen it back in service. */
  standby: boolean;
  /** Its Auto Scaling group ended it meanwhile: nothing more is done about it. */
  left: boolean;
  rotation: Rotation;
  release: Release;
  goal: 'old' | 'new';
  /** Nothing more to do, for good or ill. */
  finished: boolean;
  /** Whether this run took it out, or found it out: what post may register. */
  touched: boolean;
  /** Whether the new release was started on it, even if only begun. */
  changed: boolean;
  /** It already ran the release and was healthy: left alone. */
  skipped: boolean;
  /** Index of the batch, from 0; hosts of one batch move together. */
  batch: number;
  /** Connections that were still open when its drains ended. */
  cut: number;
  /** Why it failed, one line; '' when it did not. */
  failure: string;
}

export type Step =
  | 'put-back'
  | 'go-back'
  | 'switch'
  | 'drain'
  | 'take-out'
  | 'wait-healthy'
  | 'bake'
  | 'rejoin';

/** The next thing to do, for these hosts together. */
export interface Round {
  step: Step;
  hosts: string[];
}

/** The next step of one host; undefined when it is where it should be. A host changes release only out of rotation. */
export function nextStep(host: HostRecord): Step | undefined {
  if (host.finished) return undefined;
  if (host.release === host.goal || host.release === 'unfit') {
    switch (host.rotation) {
      case 'in':
        return 'bake';
      case 'watched':
        return 'rejoin';
      case 'registered':
        return 'wait-healthy';
      default:
        return 'put-back';
    }
  }
  switch (host.rotation) {
    case 'draining':
      return 'drain';
    case 'out':
      return host.goal === 'new' ? 'switch' : 'go-back';
    default:
      return 'take-out';
  }
}

/** In this order: what gives capacity back comes first, what takes it away last. */
const order: readonly Step[] = [
  'put-back',
  'go-back',
  'switch',
  'drain',
  'take-out',
  'wait-healthy',
  'bake',
  'rejoin',
];

/** Whether work on the host has begun and is not over, so that no other host may start. */
export function underWay(host: HostRecord): boolean {
  if (host.finished) return false;
  const step = nextStep(host);
  return !(step === 'take-out' && host.rotation === 'in');
}

/**
 * What to do next. Hosts under way go on together, one kind of step at a time; only when there are none does the
 * next batch begin: forwards in order, back from the last. Undefined: the roll is over.
 */
export function decide(hosts: readonly HostRecord[]): Round | undefined {
  const busy = hosts.filter(underWay);
  if (busy.length > 0) {
    for (const step of order) {
      const now = busy.filter((host) => nextStep(host) === step);
      if (now.length > 0) return { step, hosts: now.map(({ id }) => id) };
    }
  }
  const waiting = hosts.filter((host) => nextStep(host) === 'take-out');
  const goingBack = waiting.filter(({ goal }) => goal === 'old');
  const batch = goingBack.length
    ? Math.max(...goingBack.map((host) => host.batch))
    : Math.min(...waiting.map((host) => host.batch));
  const next = (goingBack.length ? goingBack : waiting).filter((host) => host.batch === batch);
  return next.length > 0 ? { step: 'take-out', hosts: next.map(({ id }) => id) } : undefined;
}

/** What becomes of the roll when hosts fail in a step: goals change, nothing else. */
export function afterFailure(
  hosts: readonly HostRecord[],
  failed: ReadonlyMap<string, string>,
  step: Step,
  onFailure: OnFailure,
): HostRecord[] {
  // A host that fails on its way back changes nothing for the others.
  const forward = hosts.some(({ id, goal }) => failed.has(id) && goal === 'new');
  return hosts.map((host): HostRecord => {
    const why = failed.get(host.id);
    if (why === undefined) return forward ? withTheOthers(host, onFailure) : host;
    const named = { ...host, failure: host.failure ? `${host.failure}; then ${why}` : why };
    return host.goal === 'old' ? failedGoingBack(named, step) : failedGoingForward(named, onFailure);
  });
}

function failedGoingForward(host: HostRecord, onFailure: OnFailure): HostRecord {
  if (host.skipped) return { ...host, finished: true };
  if (onFailure !== 'stop') return { ...host, goal: 'old' };
  if (host.release === 'new') return { ...host, finished: true };
  return { ...host, goal: 'old', release: host.release === 'old' ? 'old' : 'unfit' };
}

function failedGoingBack(host: HostRecord, step: Step): HostRecord {
  switch (step) {
    case 'go-back':
      return { ...host, release: 'unfit' };
    case 'take-out':
    case 'drain':
      // It could not be taken out (again), so it keeps what it runs and stays in service.
      if (host.rotation === 'in') return { ...host, finished: true };
      return { ...host, release: host.release === 'old' ? 'old' : 'unfit' };
    default:
      // Neither registering nor waiting is tried again here; post tries once more to register.
      return { ...host, finished: true };
  }
}

function withTheOthers(host: HostRecord, onFailure: OnFailure): HostRecord {
  if (host.left || host.skipped || host.goal === 'old') return host;
  if (host.release === 'old' && host.rotation === 'in') return { ...host, goal: 'old', finished: true };
  // Otherwise the others of the batch end what they began.
  return onFailure === 'rollback-all' ? { ...host, goal: 'old', finished: false } : host;
}

export type RollResult = 'deployed' | 'unchanged' | 'rolled-back' | 'rollback-failed' | 'failed';

/** How the roll ended, from where every host ended. */
export function resultOf(all: readonly HostRecord[], onFailure: OnFailure): RollResult {
  const hosts = all.filter(({ left }) => !left);
  if (hosts.length === 0) return 'failed';
  if (hosts.every((host) => host.skipped)) return 'unchanged';
  const atGoal = (host: HostRecord) => host.finished && host.rotation === 'in';
  if (hosts.every((host) => atGoal(host) && host.release === 'new' && host.failure === '')) return 'deployed';
  const changed = hosts.filter((host) => host.changed);
  if (changed.length === 0)
    return hosts.every(({ rotation }) => rotation === 'in') ? 'failed' : 'rollback-failed';
  if (hosts.every((host) => atGoal(host) && (host.release === 'old' || host.skipped))) return 'rolled-back';
  if (onFailure === 'stop') return 'failed';
  const wanted = changed.filter(({ goal }) => goal === 'old');
  return wanted.every((host) => atGoal(host) && host.release === 'old') ? 'failed' : 'rollback-failed';
}

/** Hosts that this run took out (or found out) and that are, or may be, not registered now. */
export function leftOut(hosts: readonly HostRecord[]): HostRecord[] {
  return hosts.filter(({ left, touched, rotation }) => !left && touched && !serves.has(rotation));
}

const serves = new Set<Rotation>(['in', 'registered', 'watched']);

/** Hosts that are, or may be, in standby still: they may serve, but their Auto Scaling group does not count them. */
export function inStandby(hosts: readonly HostRecord[]): HostRecord[] {
  return hosts.filter(({ left, standby }) => !left && standby);
}

/**
 * What post makes of the records that a dead main left: hosts under way go back, finished ones stay as they are.
 * Without time for a drain, one that already takes requests on the new release keeps it.
 */
export function afterInterruption(
  hosts: readonly HostRecord[],
  { canDrain }: { canDrain: boolean },
): HostRecord[] {
  return hosts.map((host): HostRecord => {
    if (host.left) return host;
    if (host.release === 'old' && host.rotation === 'in' && !host.standby)
      return { ...host, goal: 'old', finished: true };
    if (host.finished && leftOut([host]).length === 0 && !host.standby) return host;
    if (host.rotation === 'watched')
      return { ...host, goal: host.release === 'new' ? 'new' : 'old', finished: false };
    const takesRequests = host.release === 'new' && host.rotation !== 'out';
    const goal =
      host.finished || (takesRequests && !canDrain) ? (host.release === 'new' ? 'new' : 'old') : 'old';
    return { ...host, goal, finished: false };
  });
}

/** When the time of post is nearly over: no more work on hosts, only back into rotation with what they run. */
export function registerOnly(hosts: readonly HostRecord[]): HostRecord[] {
  return hosts.map((host): HostRecord => {
    if (host.finished) return host;
    if (host.release === 'old' || host.release === 'new') return { ...host, goal: host.release };
    return { ...host, release: 'unfit', goal: 'old' };
  });
}

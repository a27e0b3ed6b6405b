import { type Log, messageOf, UserError } from '@lockkeeper/action';
import { AwsCallError, type TargetGroup, type TargetGroups, type TargetHealth } from '@lockkeeper/aws';
import { backoff, type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { capacityWithout, keyOf, type Required } from './capacity.ts';
import { type DrainSettings, judgeDrain } from './drain.ts';
import { judgeHealth, likelyCause, stateText } from './health.ts';
import {
  afterFailure,
  decide,
  type HostRecord,
  type Membership,
  type OnFailure,
  type Round,
  type Step,
} from './roll.ts';
import { phaseOf, type Timeline } from './timeline.ts';

/** One host as the roll works on it. What goes wrong is thrown as UserError. */
export interface FleetHost {
  /** Puts the staged release up and proves it. */
  switchOver(): Promise<void>;
  /** Back to what ran before, verified; throws when that does not run. */
  goBack(reason: string): Promise<void>;
  /** Established connections to a port of the host's services; undefined when that cannot be told. */
  connections(port: number): Promise<number | undefined>;
  /** Healthy in its groups and watched: from now on the host counts the new release as the one that serves. */
  settle(): Promise<void>;
}

export interface RollSettings {
  drain: DrainSettings;
  healthyTimeout: number;
  bakeTime: number;
  onFailure: OnFailure;
  /** By ARN of the target group. */
  required: ReadonlyMap<string, Required>;
}

export interface RollContext {
  groups: ReadonlyMap<string, TargetGroup>;
  gate: Pick<TargetGroups, 'health' | 'register' | 'deregister'>;
  fleet: (id: string) => FleetHost;
  settings: RollSettings;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  timeline: Timeline;
  /** What a failing host's containers said. */
  evidence(id: string, text: string): void;
  /** Writes the records down; called before each effect that they cover. */
  save(hosts: readonly HostRecord[]): void;
}

/**
 * Rolls until `decide` knows nothing more to do, and answers where every host ended. A host's failure is in its
 * record; what is thrown is a cancelled signal (after putting back, at once, what was out but unchanged) or a bug.
 */
export async function runRoll(start: readonly HostRecord[], context: RollContext): Promise<HostRecord[]> {
  const roll = new Roll(start, context);
  try {
    await roll.run();
  } catch (error) {
    if (context.signal.aborted) await roll.putBackUnchanged();
    throw error;
  }
  return roll.hosts;
}

type Failures = Map<string, string>;
/** Health by group and place. */
type Look = Map<string, Map<string, TargetHealth>>;

/** How long AWS gets to show `draining` after it took the request. */
const leaveDeadline = 60_000;
/** How long a call that got no clear answer is tried. */
const unsureDeadline = 60_000;
/** Milliseconds left to put back what is out when the runner stops us; it kills 10 s after the first signal. */
const cancelBudget = 4_000;

class Roll {
  hosts: HostRecord[];
  readonly #context: RollContext;
  readonly #shown = new Map<string, string>();
  readonly #drainingSince = new Map<string, number>();

  constructor(start: readonly HostRecord[], context: RollContext) {
    this.hosts = [...start];
    this.#context = context;
  }

  async run(): Promise<void> {
    const { signal, clock, timeline, settings, log } = this.#context;
    for (let round = decide(this.hosts); round; round = decide(this.hosts)) {
      signal.throwIfAborted();
      const from = clock.now();
      const failed = await this.#perform(round);
      for (const host of round.hosts)
        if (clock.now() > from && (round.step !== 'bake' || settings.bakeTime > 0))
          timeline.add({ host, phase: phaseOf[round.step], from, to: clock.now() });
      if (failed.size === 0) continue;
      for (const [id, why] of failed) log.error(`${id}: ${why}`, `${id} failed`);
      this.hosts = afterFailure(this.hosts, failed, round.step, settings.onFailure);
      this.#save();
    }
  }

  async #perform(round: Round): Promise<Failures> {
    const hosts = this.#named(round.hosts);
    const perform: Record<Step, () => Promise<Failures>> = {
      'take-out': () => this.#takeOut(hosts),
      drain: () => this.#drain(hosts),
      switch: () => this.#switch(hosts),
      'go-back': () => this.#goBack(hosts),
      'put-back': () => this.#putBack(hosts),
      'wait-healthy': () => this.#waitHealthy(hosts),
      bake: () => this.#bake(hosts),
    };
    try {
      return await perform[round.step]();
    } catch (error) {
      if (this.#context.signal.aborted || !(error instanceof UserError)) throw error;
      // A refusal that concerns the whole round, such as a denied call.
      return new Map(round.hosts.map((id) => [id, reasonOf(error)]));
    }
  }

  async #takeOut(hosts: HostRecord[]): Promise<Failures> {
    const { gate, clock, log } = this.#context;
    await this.#awaitCapacity(hosts);
    this.#set(hosts, { rotation: 'leaving', touched: true });
    log.info(`taking out ${places(hosts)}`);
    const stillIn = (look: Look) =>
      hosts.filter((host) => host.memberships.some((m) => !isOut(look.get(m.group)?.get(placeKey(host, m)))));
    const deregister = async (remaining: HostRecord[]) => {
      let sure = true;
      for (const [group, targets] of byGroup(remaining)) {
        sure = (await this.#mutate(() => gate.deregister(group, targets))) && sure;
      }
      return sure;
    };
    let sure = await deregister(hosts);
    const deadline = new Deadline(clock, leaveDeadline);
    for await (const look of this.#looks(deadline)) {
      const remaining = stillIn(look);
      if (remaining.length === 0) {
        const now = clock.now();
        for (const { id } of hosts) this.#drainingSince.set(id, now);
        this.#set(hosts, { rotation: 'draining' });
        return new Map();
      }
      // The answer was lost and AWS shows no sign of the request: asking again is harmless.
      if (!sure) sure = await deregister(remaining);
    }
    return new Map(
      hosts.map(({ id }) => [
        id,
        `AWS took DeregisterTargets, but ${places(hosts)} did not start draining within ${formatDuration(leaveDeadline)}`,
      ]),
    );
  }

  /** Waits until taking these hosts out leaves enough in service; somebody else may be taking out too. */
  async #awaitCapacity(hosts: HostRecord[]): Promise<void> {
    const { groups, settings, clock, log } = this.#context;
    const deadline = new Deadline(clock, settings.healthyTimeout);
    let said = '';
    for await (const look of this.#looks(deadline)) {
      said = '';
      for (const [arn, targets] of byGroup(hosts)) {
        const group = groups.get(arn)!;
        const required = settings.required.get(arn)!;
        const leaving = new Set(targets.map(keyOf));
        const { allowed, remaining } = capacityWithout(
          [...(look.get(arn)?.values() ?? [])],
          group,
          leaving,
          required,
        );
        if (!allowed)
          said = `taking out ${places(hosts)} would leave ${remaining} in service in ${group.name}, and ${required.count} must stay (${required.because})`;
      }
      if (!said) return;
      this.#say('capacity', `waiting: ${said}`, (line) => log.info(line));
    }
    throw new UserError(`${said}; it did not change within ${formatDuration(settings.healthyTimeout)}`, {
      next: 'see why the other targets of the group are not healthy',
    });
  }

  async #drain(hosts: HostRecord[]): Promise<Failures> {
    const { groups, settings, clock, log, fleet, signal } = this.#context;
    const failed: Failures = new Map();
    const delayOf = (host: HostRecord) =>
      Math.max(...host.memberships.map(({ group }) => groups.get(group)!.deregistrationDelay));
    const longest = Math.max(...hosts.map(delayOf));
    /** When no connection was first seen; Infinity while there are some; undefined where it cannot be told. */
    const quietSince = new Map<string, number | undefined>();
    const open = new Map<string, number>();
    const nextLook = { at: 0, attempt: 0 };
    const interval = backoff({ first: 1_000, max: 5_000 });
    let look: Look | undefined;
    let left = hosts;
    log.info(
      `draining ${names(hosts)}: ${settings.drain.kind === 'full' ? `the whole delay, ${formatDuration(longest)}` : `until no connection is open, at most ${formatDuration(longest)}`}`,
    );
    while (left.length > 0) {
      signal.throwIfAborted();
      if (settings.drain.kind === 'idle') {
        await this.#abortable(
          Promise.all(
            left.map(async (host) => {
              const ports = [...new Set(host.memberships.map(({ port }) => port))];
              const counts = await Promise.all(
                ports.map((port) => count(() => fleet(host.id).connections(port))),
              );
              const now = clock.now();
              if (counts.some((one) => one === undefined)) {
                quietSince.set(host.id, undefined);
                this.#say(
                  `${host.id} count`,
                  `${host.id}: the connections cannot be counted, so the whole delay of ${formatDuration(delayOf(host))} is waited out`,
                  (line) => log.warning(line),
                );
                return;
              }
              const total = counts.reduce<number>((sum, one) => sum + one!, 0);
              open.set(host.id, total);
              const before = quietSince.get(host.id) ?? Number.POSITIVE_INFINITY;
              quietSince.set(host.id, total > 0 ? Number.POSITIVE_INFINITY : Math.min(before, now));
              this.#say(
                `${host.id} open`,
                `${host.id}: ${total === 0 ? 'no connection is open' : `${total} ${total === 1 ? 'connection is' : 'connections are'} open`}`,
                (line) => log.info(`${line}, ${this.#since(host.id)} after draining began`),
              );
            }),
          ),
        );
      }
      if (clock.now() >= nextLook.at) {
        look = await this.#look();
        nextLook.at = clock.now() + interval(nextLook.attempt++);
      }
      for (const host of left) {
        const targets = host.memberships.map((m) => look?.get(m.group)?.get(placeKey(host, m)));
        if (look && targets.some((target) => !isOut(target))) {
          failed.set(
            host.id,
            `somebody else registered ${places([host])} again while it was being drained: ${targets.map(stateText).join(', ')}`,
          );
          continue;
        }
        const since = quietSince.get(host.id);
        const verdict = judgeDrain(settings.drain, {
          delay: delayOf(host),
          sinceDraining: clock.now() - this.#drainingFrom(host.id),
          idleFor: since === undefined ? undefined : Math.max(0, clock.now() - since),
          open: open.get(host.id) ?? 0,
          gone: look !== undefined && targets.every((target) => target?.state !== 'draining'),
        });
        if (!verdict.done) continue;
        this.#set([host], { rotation: 'out' });
        if (verdict.why === 'cut')
          log.warning(
            `${host.id}: ${verdict.open} ${verdict.open === 1 ? 'connection was' : 'connections were'} still open when the time to drain was over and will be cut`,
          );
        else
          log.info(
            `${host.id}: drained after ${this.#since(host.id)}${verdict.why === 'idle' ? ', no connection left' : ''}`,
          );
      }
      left = left.filter(({ id }) => !failed.has(id) && this.#one(id).rotation !== 'out');
      if (left.length > 0) await clock.sleep(1_000, signal);
    }
    return failed;
  }

  async #switch(hosts: HostRecord[]): Promise<Failures> {
    const { fleet, log } = this.#context;
    this.#set(hosts, { release: 'switching', changed: true });
    log.info(`switching ${names(hosts)} to the new release`);
    return this.#each(hosts, async ({ id }) => {
      await fleet(id).switchOver();
      this.#set([this.#one(id)], { release: 'new' });
    });
  }

  async #goBack(hosts: HostRecord[]): Promise<Failures> {
    const { fleet, log } = this.#context;
    this.#set(hosts, { release: 'reverting' });
    log.info(`bringing ${names(hosts)} back to the release before`);
    return this.#each(hosts, async ({ id, failure }) => {
      await fleet(id).goBack(failure || 'the roll was taken back');
      this.#set([this.#one(id)], { release: 'old' });
    });
  }

  async #putBack(hosts: HostRecord[]): Promise<Failures> {
    const { clock } = this.#context;
    this.#set(hosts, { rotation: 'joining' });
    const deadline = new Deadline(clock, unsureDeadline);
    for await (const look of this.#looks(deadline)) {
      const missing = hosts
        .map((host) => ({
          ...host,
          memberships: host.memberships.filter((m) => isOut(look.get(m.group)?.get(placeKey(host, m)))),
        }))
        .filter(({ memberships }) => memberships.length > 0);
      const { sure, failed } = await this.#register(missing);
      if (sure) {
        this.#set(
          hosts.filter(({ id }) => !failed.has(id)),
          { rotation: 'registered' },
        );
        return failed;
      }
    }
    throw new UserError(
      `${places(hosts)} could not be registered within ${formatDuration(unsureDeadline)}: AWS gave no clear answer`,
      { next: hosts.flatMap((host) => registerCommands(host)).join('\n') },
    );
  }

  /** Registers; where AWS refuses several at once, each is tried alone, so that one stopped instance keeps nobody out. */
  async #register(hosts: HostRecord[]): Promise<{ sure: boolean; failed: Failures }> {
    const { gate, log } = this.#context;
    const failed: Failures = new Map();
    let sure = true;
    if (hosts.length > 0) log.info(`registering ${places(hosts)}`);
    for (const [group, targets] of byGroup(hosts)) {
      try {
        sure = (await this.#mutate(() => gate.register(group, targets))) && sure;
      } catch (error) {
        if (!(error instanceof AwsCallError)) throw error;
        if (error.kind === 'denied' || hosts.length === 1) {
          for (const host of hosts)
            failed.set(host.id, `${reasonOf(error)}. Still out: ${registerCommands(host).join(' ; ')}`);
          continue;
        }
        for (const host of hosts) {
          const alone = await this.#register([host]);
          sure = alone.sure && sure;
          for (const [id, why] of alone.failed) failed.set(id, why);
        }
        return { sure, failed };
      }
    }
    return { sure, failed };
  }

  async #waitHealthy(hosts: HostRecord[]): Promise<Failures> {
    const { groups, settings, clock, log, timeline } = this.#context;
    const from = clock.now();
    const deadline = new Deadline(clock, settings.healthyTimeout);
    const missed = new Map<string, number>();
    const failed: Failures = new Map();
    let left = hosts;
    let last: Look = new Map();
    for await (const look of this.#looks(deadline)) {
      last = look;
      for (const host of left) {
        const seen = host.memberships.map((m) => ({ m, target: look.get(m.group)?.get(placeKey(host, m)) }));
        for (const { m, target } of seen) {
          const text = stateText(target);
          this.#say(placeKey(host, m) + m.group, text, () =>
            log.info(
              `${placeKey(host, m)} is ${text}, ${formatDuration(clock.now() - from)} after registering`,
            ),
          );
        }
        const verdicts = seen.map(({ m, target }) => judgeHealth(target, groups.get(m.group)!));
        const fatal = verdicts.find((verdict) => verdict.kind === 'fatal');
        if (fatal) {
          failed.set(
            host.id,
            `${seen.map(({ target }) => stateText(target)).join(', ')} in the target group. ${fatal.cause}`,
          );
        } else if (verdicts.every(({ kind }) => kind === 'healthy')) {
          this.#set([host], { rotation: 'in' });
          timeline.add({ host: host.id, phase: 'health', from, to: clock.now() });
        } else if (verdicts.some(({ kind }) => kind === 'missing')) {
          // The answer to a registration comes before its effect; seen missing thrice it did not take.
          const times = (missed.get(host.id) ?? 0) + 1;
          missed.set(host.id, times);
          if (times % 3 === 0) {
            const missing = {
              ...host,
              memberships: seen.filter(({ target }) => isOut(target)).map(({ m }) => m),
            };
            const again = await this.#register([missing]);
            for (const [id, why] of again.failed) failed.set(id, why);
          }
        }
      }
      if (failed.size > 0) return failed;
      left = left.filter(({ id }) => this.#one(id).rotation !== 'in');
      if (left.length === 0) return failed;
    }
    for (const host of left) {
      const seen = host.memberships.map((m) => ({ m, target: last.get(m.group)?.get(placeKey(host, m)) }));
      const sick = seen.find(({ target }) => target?.state !== 'healthy') ?? seen[0]!;
      const cause = sick.target ? likelyCause(sick.target, groups.get(sick.m.group)!) : '';
      failed.set(
        host.id,
        `not healthy in the target group within ${formatDuration(settings.healthyTimeout)}: ${stateText(sick.target)}.${cause ? ` ${cause}` : ''}`,
      );
    }
    return failed;
  }

  async #bake(hosts: HostRecord[]): Promise<Failures> {
    const { groups, settings, clock, log } = this.#context;
    const forward = hosts.filter(({ goal, release }) => goal === 'new' && release === 'new');
    const failed: Failures = new Map();
    if (forward.length > 0 && settings.bakeTime > 0) {
      log.info(`watching ${names(forward)} for ${formatDuration(settings.bakeTime)}`);
      const deadline = new Deadline(clock, settings.bakeTime);
      for await (const look of this.#looks(deadline)) {
        for (const host of forward)
          for (const m of host.memberships) {
            const target = look.get(m.group)?.get(placeKey(host, m));
            if (target?.state === 'healthy') continue;
            const cause = target ? likelyCause(target, groups.get(m.group)!) : '';
            failed.set(
              host.id,
              `no longer healthy during bake-time: ${stateText(target)}.${cause ? ` ${cause}` : ''}`,
            );
          }
        if (failed.size > 0) break;
      }
    }
    if (failed.size === 0) await this.#settle(forward);
    this.#set(failed.size === 0 ? hosts : hosts.filter((host) => !forward.includes(host)), {
      finished: true,
    });
    return failed;
  }

  /** The host's own record follows; it is in service and proven, so that a failure here is only told. */
  async #settle(hosts: HostRecord[]): Promise<void> {
    const { fleet, log } = this.#context;
    const failed = await this.#each(hosts, ({ id }) => fleet(id).settle());
    for (const [id, why] of failed) log.warning(`${id}: ${why}`);
  }

  /** On a cancelled run: what is out of rotation but still runs the old release can go back at once, without a host. */
  async putBackUnchanged(): Promise<void> {
    const { gate, log, clock } = this.#context;
    const unchanged = this.hosts.filter(
      ({ touched, release, rotation }) =>
        touched &&
        release === 'old' &&
        (rotation === 'leaving' || rotation === 'draining' || rotation === 'out'),
    );
    if (unchanged.length === 0) return;
    this.#set(unchanged, { rotation: 'joining', goal: 'old' });
    log.info(`cancelled: registering ${places(unchanged)}, nothing was changed there`);
    const attempts = Promise.allSettled(
      [...byGroup(unchanged)].map(([group, targets]) => gate.register(group, targets)),
    );
    const results = await Promise.race([attempts, clock.sleep(cancelBudget).then(() => undefined)]);
    if (results?.every(({ status }) => status === 'fulfilled'))
      this.#set(unchanged, { rotation: 'registered' });
    else log.info('not all of it was answered in time; the post step goes on with it');
  }

  /** Runs a call that changes membership. False: nobody knows whether it happened, so look before doing it again. */
  async #mutate(call: () => Promise<void>): Promise<boolean> {
    try {
      await this.#abortable(call());
      return true;
    } catch (error) {
      if (!(error instanceof AwsCallError) || error.kind !== 'unsure') throw error;
      this.#context.log.info(`${error.message}; looking at what became of it`);
      return false;
    }
  }

  /** One look after another, 1 s apart at first and backing off to 5 s, until the deadline; always at least one. */
  async *#looks(deadline: Deadline): AsyncGenerator<Look> {
    const { clock, signal } = this.#context;
    const interval = backoff({ first: 1_000, max: 5_000, factor: 1.3 });
    for (let attempt = 0; ; attempt++) {
      const look = await this.#look();
      if (look) yield look;
      if (deadline.passed()) return;
      await clock.sleep(Math.min(interval(attempt), Math.max(1, deadline.remaining())), signal);
    }
  }

  /** One describe a group, for all its targets. Undefined when AWS gave no answer this time; a refusal is thrown. */
  async #look(): Promise<Look | undefined> {
    const { groups, gate, log } = this.#context;
    try {
      const entries = await this.#abortable(
        Promise.all(
          [...groups.keys()].map(async (arn) => {
            const health = await gate.health(arn);
            return [arn, new Map(health.map((target) => [keyOf(target), target]))] as const;
          }),
        ),
      );
      this.#shown.delete('look');
      return new Map(entries);
    } catch (error) {
      if (!(error instanceof AwsCallError) || error.kind !== 'unsure') throw error;
      this.#say('look', `${error.message}; asking again`, (line) => log.info(line));
      return undefined;
    }
  }

  async #each(hosts: HostRecord[], work: (host: HostRecord) => Promise<void>): Promise<Failures> {
    const results = await this.#abortable(Promise.allSettled(hosts.map(work)));
    const failed: Failures = new Map();
    results.forEach((result, index) => {
      if (result.status === 'rejected') {
        this.#context.signal.throwIfAborted();
        const { id } = hosts[index]!;
        const reason: unknown = result.reason;
        failed.set(id, reasonOf(reason));
        if (reason instanceof UserError && reason.details) this.#context.evidence(id, reason.details);
        if (!(reason instanceof UserError) && reason instanceof Error)
          this.#context.log.debug(reason.stack ?? reason.message);
      }
    });
    return failed;
  }

  async #abortable<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    let stop = () => {};
    const aborted = new Promise<never>((_resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      signal.removeEventListener('abort', stop);
      // What lost the race may still fail; nobody waits for it any more.
      work.catch(() => {});
    }
  }

  /** Speaks on change only. */
  #say(about: string, text: string, speak: (line: string) => void): void {
    if (this.#shown.get(about) === text) return;
    this.#shown.set(about, text);
    speak(text);
  }

  #set(hosts: readonly HostRecord[], change: Partial<HostRecord>): void {
    if (hosts.length === 0) return;
    const ids = new Set(hosts.map(({ id }) => id));
    this.hosts = this.hosts.map((host) => (ids.has(host.id) ? { ...host, ...change } : host));
    this.#save();
  }

  #save(): void {
    this.#context.save(this.hosts);
  }

  #one(id: string): HostRecord {
    return this.hosts.find((host) => host.id === id)!;
  }

  #named(ids: readonly string[]): HostRecord[] {
    return ids.map((id) => this.#one(id));
  }

  /** A drain that an earlier process began counts from when we first saw it. */
  #drainingFrom(id: string): number {
    const known = this.#drainingSince.get(id);
    if (known !== undefined) return known;
    const now = this.#context.clock.now();
    this.#drainingSince.set(id, now);
    return now;
  }

  #since(id: string): string {
    return formatDuration(this.#context.clock.now() - this.#drainingFrom(id));
  }
}

const placeKey = (host: HostRecord, { port }: Membership) => keyOf({ id: host.id, port });

/** Draining or not registered: no new request is sent there, or soon none will be. */
function isOut(target: TargetHealth | undefined): boolean {
  return (
    target === undefined ||
    target.state === 'draining' ||
    (target.state === 'unused' && target.reason === 'Target.NotRegistered')
  );
}

function byGroup(hosts: readonly HostRecord[]): Map<string, Array<{ id: string; port: number }>> {
  const groups = new Map<string, Array<{ id: string; port: number }>>();
  for (const { id, memberships } of hosts)
    for (const { group, port } of memberships)
      groups.set(group, [...(groups.get(group) ?? []), { id, port }]);
  return groups;
}

const names = (hosts: readonly HostRecord[]) => hosts.map(({ id }) => id).join(', ');

const places = (hosts: readonly HostRecord[]) =>
  hosts.flatMap((host) => [...new Set(host.memberships.map((m) => placeKey(host, m)))]).join(', ');

/** What to type to put a host back by hand. */
export function registerCommands({ id, memberships }: Pick<HostRecord, 'id' | 'memberships'>): string[] {
  return memberships.map(
    ({ group, port }) =>
      `aws elbv2 register-targets --target-group-arn ${group} --targets Id=${id},Port=${port}`,
  );
}

/** Counting is a help, never a reason to fail: what goes wrong means that it cannot be told. */
async function count(connections: () => Promise<number | undefined>): Promise<number | undefined> {
  try {
    return await connections();
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  return messageOf(error).split('\n')[0]!;
}

import { UserError } from '@lockkeeper/action';
import { AwsCallError, type TargetHealth } from '@lockkeeper/aws';
import { Deadline, formatDuration } from '@lockkeeper/wait';
import { capacityWithout, keyOf } from '../plan/capacity.ts';
import { judgeHealth, likelyCause, stateText } from './health.ts';
import type { Ledger } from './ledger.ts';
import { byGroup, describeCommand, isOut, placeKey, places, registerCommands } from './place.ts';
import type { HostRecord, Membership } from './roll.ts';
import type { Failures, RollContext } from './roll-context.ts';
import type { Standby } from './standby.ts';
import type { Look, Watch } from './watch.ts';

/** How long AWS gets to show `draining` after it took the request. */
const leaveDeadline = 60_000;
/** How long a call that got no clear answer is tried. */
const unsureDeadline = 60_000;
/** Milliseconds left to put back what is out when the runner stops us; it kills 10 s after the first signal. */
const cancelBudget = 4_000;

/** Takes hosts out of their target groups and puts them back, each transition verified. */
export class Rotation {
  readonly #context: RollContext;
  readonly #ledger: Ledger;
  readonly #watch: Watch;
  readonly #standby: Standby;

  constructor(context: RollContext, ledger: Ledger, watch: Watch, standby: Standby) {
    this.#context = context;
    this.#ledger = ledger;
    this.#watch = watch;
    this.#standby = standby;
  }

  async takeOut(leaving: HostRecord[]): Promise<Failures> {
    await this.#awaitCapacity(leaving);
    const members = leaving.filter(({ scaling }) => scaling !== '');
    this.#ledger.set(leaving, { rotation: 'leaving', touched: true });
    this.#ledger.set(members, { standby: true });
    const failed = await this.#standby.enter(members);
    const hosts = leaving.filter(({ id }) => !failed.has(id) && !this.#ledger.one(id).left);
    if (hosts.length > 0) await this.#deregister(hosts, failed);
    return failed;
  }

  async #deregister(hosts: HostRecord[], failed: Failures): Promise<void> {
    const { gate, clock, log } = this.#context;
    log.info(`taking out ${places(hosts)}`);
    const deregister = async (remaining: HostRecord[]) => {
      let sure = true;
      for (const [group, targets] of byGroup(remaining))
        sure = (await this.#watch.change(() => gate.deregister(group, targets))) && sure;
      return sure;
    };
    let sure = await deregister(hosts);
    for await (const look of this.#watch.looks(new Deadline(clock, leaveDeadline))) {
      const stillIn = hosts.filter((host) => host.memberships.some((m) => !isOut(targetAt(look, host, m))));
      if (stillIn.length === 0) return this.#ledger.set(hosts, { rotation: 'draining' });
      // The answer was lost and AWS shows no sign of the request: asking again is harmless.
      if (!sure) sure = await deregister(stillIn);
    }
    for (const { id } of hosts)
      failed.set(
        id,
        `AWS took DeregisterTargets, but ${places(hosts)} did not start draining within ${formatDuration(leaveDeadline)}`,
      );
  }

  /** Waits until taking these hosts out leaves enough in service; somebody else may be taking out too. */
  async #awaitCapacity(hosts: HostRecord[]): Promise<void> {
    const { groups, settings, clock, log } = this.#context;
    let said = '';
    for await (const look of this.#watch.looks(new Deadline(clock, settings.healthyTimeout))) {
      said = '';
      for (const [arn, targets] of byGroup(hosts)) {
        const group = groups.get(arn)!;
        const required = settings.required.get(arn)!;
        const { allowed, remaining } = capacityWithout(
          [...(look.get(arn)?.values() ?? [])],
          group,
          new Set(targets.map(keyOf)),
          required,
        );
        if (!allowed)
          said = `taking out ${places(hosts)} would leave ${remaining} in service in ${group.name}, and ${required.count} must stay (${required.because})`;
      }
      if (!said) return;
      this.#watch.say('capacity', `waiting: ${said}`, (line) => log.info(line));
    }
    throw new UserError(`${said}; it did not change within ${formatDuration(settings.healthyTimeout)}`, {
      next: groupsOf(hosts).map(describeCommand).join('\n'),
    });
  }

  async putBack(hosts: HostRecord[]): Promise<Failures> {
    const { clock, groups, log } = this.#context;
    this.#ledger.set(hosts, { rotation: 'joining' });
    await this.#standby.settled(hosts);
    const isAddress = ({ group }: Membership) => groups.get(group)!.targetType === 'ip';
    const delays = hosts.flatMap(({ memberships }) =>
      memberships.filter(isAddress).map(({ group }) => groups.get(group)!.deregistrationDelay),
    );
    const deadline = new Deadline(clock, Math.max(0, ...delays) + unsureDeadline);
    for await (const look of this.#watch.looks(deadline)) {
      // AWS refuses an address until its delay is over (ALB guide, "Deregistration delay").
      const barred = hosts.filter((host) =>
        host.memberships.some((m) => isAddress(m) && targetAt(look, host, m)?.state === 'draining'),
      );
      const missing = hosts
        .filter((host) => !barred.includes(host))
        .map((host) => ({
          ...host,
          memberships: host.memberships.filter((m) => isOut(targetAt(look, host, m))),
        }))
        .filter(({ memberships }) => memberships.length > 0);
      const { sure, failed } = await this.#register(missing);
      if (barred.length > 0)
        this.#watch.say(
          'barred',
          `${places(barred)}: an address may return only when its deregistration delay is over`,
          (line) => log.info(line),
        );
      if (failed.size === 0 && (!sure || barred.length > 0)) continue;
      this.#ledger.set(
        hosts.filter((host) => !failed.has(host.id) && !barred.includes(host)),
        { rotation: 'registered' },
      );
      return failed;
    }
    throw new UserError(
      `${places(hosts)} could not be registered within ${formatDuration(deadline.ms)}: AWS gave no clear answer`,
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
        sure = (await this.#watch.change(() => gate.register(group, targets))) && sure;
      } catch (error) {
        if (!(error instanceof AwsCallError)) throw error;
        if (error.kind === 'denied' || hosts.length === 1) {
          for (const host of hosts)
            failed.set(
              host.id,
              `${error.message.split('\n')[0]}. Still out: ${registerCommands(host).join(' ; ')}`,
            );
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

  async waitHealthy(hosts: HostRecord[]): Promise<Failures> {
    const { groups, settings, clock, log, timeline } = this.#context;
    const from = clock.now();
    const missed = new Map<string, number>();
    const failed: Failures = new Map();
    let left = hosts;
    let last: Look = new Map();
    for await (const look of this.#watch.looks(new Deadline(clock, settings.healthyTimeout))) {
      last = look;
      for (const host of left) {
        const seen = host.memberships.map((m) => ({ m, target: targetAt(look, host, m) }));
        for (const { m, target } of seen) {
          const text = stateText(target);
          this.#watch.say(placeKey(host, m) + m.group, text, () =>
            log.info(
              `${placeKey(host, m)} is ${text}, ${formatDuration(clock.now() - from)} after registering`,
            ),
          );
        }
        const verdicts = seen.map(({ m, target }) => judgeHealth(target, groups.get(m.group)!));
        const fatal = verdicts.find((verdict) => verdict.kind === 'fatal');
        if (fatal) {
          this.#fail(
            failed,
            host,
            `${seen.map(({ target }) => stateText(target)).join(', ')} in the target group. ${fatal.cause}`,
          );
        } else if (verdicts.every(({ kind }) => kind === 'healthy')) {
          this.#ledger.set([host], { rotation: 'in' });
          timeline.add({ host: host.id, phase: 'health', from, to: clock.now() });
        } else if (verdicts.some(({ kind }) => kind === 'missing')) {
          // The answer to a registration comes before its effect; seen missing thrice it did not take.
          const times = (missed.get(host.id) ?? 0) + 1;
          missed.set(host.id, times);
          if (times % 3 === 0) {
            const memberships = seen.filter(({ target }) => isOut(target)).map(({ m }) => m);
            const again = await this.#register([{ ...host, memberships }]);
            for (const [id, why] of again.failed) failed.set(id, why);
          }
        }
      }
      if (failed.size > 0) return failed;
      left = left.filter(({ id }) => this.#ledger.one(id).rotation !== 'in');
      if (left.length === 0) return failed;
    }
    for (const host of left) {
      const seen = host.memberships.map((m) => ({ m, target: targetAt(last, host, m) }));
      const sick = seen.find(({ target }) => target?.state !== 'healthy') ?? seen[0]!;
      this.#fail(
        failed,
        host,
        `not healthy in the target group within ${formatDuration(settings.healthyTimeout)}: ${this.#explained(sick)}`,
      );
    }
    return failed;
  }

  /**
   * Watches hosts that are in service for a time, in milliseconds: in their target groups, and by health-url. Ends
   * early with those that fall ill; one answer of health-url that was not good may be chance, two in a row are not.
   */
  async stayHealthy(hosts: HostRecord[], time: number): Promise<Failures> {
    const { clock, fleet } = this.#context;
    const failed: Failures = new Map();
    const doubted = new Set<string>();
    for await (const look of this.#watch.looks(new Deadline(clock, time))) {
      for (const host of hosts)
        for (const m of host.memberships) {
          const target = targetAt(look, host, m);
          if (target?.state !== 'healthy')
            this.#fail(failed, host, `no longer healthy during bake-time: ${this.#explained({ m, target })}`);
        }
      const ills = await this.#watch.abortable(
        Promise.all(hosts.map(async (host) => [host, await fleet(host.id).unwell()] as const)),
      );
      for (const [host, ill] of ills) {
        if (ill === undefined) doubted.delete(host.id);
        else if (doubted.has(host.id)) this.#fail(failed, host, `no longer well during bake-time: ${ill}`);
        else doubted.add(host.id);
      }
      if (failed.size > 0) break;
    }
    return failed;
  }

  /** On a cancelled run: what is out of rotation but still runs the old release can go back at once, without a host. */
  async putBackUnchanged(): Promise<void> {
    const { gate, log, clock } = this.#context;
    const unchanged = this.#ledger.hosts.filter(
      ({ touched, release, rotation }) =>
        touched &&
        release === 'old' &&
        (rotation === 'leaving' || rotation === 'draining' || rotation === 'out'),
    );
    if (unchanged.length === 0) return;
    this.#ledger.set(unchanged, { rotation: 'joining', goal: 'old' });
    log.info(`cancelled: registering ${places(unchanged)}, nothing was changed there`);
    const attempts = Promise.allSettled(
      [...byGroup(unchanged)].map(([group, targets]) => gate.register(group, targets)),
    );
    const results = await Promise.race([attempts, clock.sleep(cancelBudget).then(() => undefined)]);
    if (results?.every(({ status }) => status === 'fulfilled'))
      this.#ledger.set(unchanged, { rotation: 'registered' });
    else log.info('not all of it was taken in time; the post step goes on with it');
  }

  #fail(failed: Failures, host: HostRecord, why: string): void {
    failed.set(host.id, why);
    this.#context.evidence(host.id, { next: groupsOf([host]).map(describeCommand).join('\n') });
  }

  #explained({ m, target }: { m: Membership; target: TargetHealth | undefined }): string {
    const cause = target ? likelyCause(target, this.#context.groups.get(m.group)!) : '';
    return `${stateText(target)}.${cause ? ` ${cause}` : ''}`;
  }
}

const targetAt = (look: Look, host: HostRecord, m: Membership) => look.get(m.group)?.get(placeKey(host, m));

const groupsOf = (hosts: HostRecord[]) => [...byGroup(hosts).keys()];

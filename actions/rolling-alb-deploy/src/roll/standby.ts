import { UserError } from '@lockkeeper/action';
import { AwsCallError, type ScalingGroup } from '@lockkeeper/aws';
import { Deadline, formatDuration } from '@lockkeeper/wait';
import type { Ledger } from './ledger.ts';
import { hasLeft, lifecycleOf } from './lifecycle.ts';
import type { Minimums } from './minimums.ts';
import { exitStandbyCommands, isOut, names, placeKey } from './place.ts';
import { type HostRecord, inStandby } from './roll.ts';
import type { Failures, RollContext } from './roll-context.ts';
import type { Watch } from './watch.ts';

/** How long Auto Scaling gets to show that a member steps aside. */
const enterDeadline = 60_000;
/** Refusals of one request after which its reason is believed: a state may change between the look and the call. */
const enough = 3;

/**
 * Members of Auto Scaling groups step aside into standby before they leave their target groups, and return once they
 * are proven in service there: Auto Scaling ends what it finds ill or missing in a target group, but nobody in standby.
 */
export class Standby {
  readonly #context: RollContext;
  readonly #ledger: Ledger;
  readonly #watch: Watch;
  readonly #minimums: Minimums;

  constructor(context: RollContext, ledger: Ledger, watch: Watch, minimums: Minimums) {
    this.#context = context;
    this.#ledger = ledger;
    this.#watch = watch;
    this.#minimums = minimums;
  }

  /** Puts members in standby; answers who could not be. Who has left its group meanwhile is marked as such. */
  async enter(hosts: HostRecord[]): Promise<Failures> {
    const failed: Failures = new Map();
    for (const [name, members] of byScaling(hosts)) {
      try {
        await this.#enterGroup(name, members);
      } catch (error) {
        if (!(error instanceof UserError) || this.#context.signal.aborted) throw error;
        for (const { id } of members) if (!this.#ledger.one(id).left) failed.set(id, firstLine(error));
      }
    }
    return failed;
  }

  async #enterGroup(name: string, members: HostRecord[]): Promise<void> {
    const { scaling, clock, log } = this.#context;
    let refusals = 0;
    let least: number | undefined;
    for await (const group of this.#looks(name, new Deadline(clock, enterDeadline))) {
      const present = this.#present(group, members);
      const inService = present.filter(({ id }) => lifecycleOf(group, id) === 'InService');
      if (present.every(({ id }) => standingBy.has(lifecycleOf(group, id)))) return;
      // Being launched just now: it can step aside once it is in service.
      if (inService.length === 0) continue;
      const desired = group.desired - inService.length;
      least ??= desired;
      // It was planned with those that served then; with fewer, too few might stay.
      if (desired < least)
        throw new UserError(`${name} was scaled in while ${names(inService)} stepped aside`);
      if (!(await this.#minimums.makeRoom(group, inService.length))) continue;
      log.info(`putting ${names(inService)} in standby in ${name}`);
      const ids = inService.map(({ id }) => id);
      refusals += await this.#tried(() => scaling.enterStandby(name, ids), refusals);
    }
    throw new UserError(
      `${names(members)} did not begin to step aside in ${name} within ${formatDuration(enterDeadline)}`,
    );
  }

  /** Waits, as long as there is patience, until Auto Scaling has done with taking members out. */
  async settled(hosts: HostRecord[]): Promise<void> {
    const { settings, clock, log } = this.#context;
    for (const [name, members] of byScaling(hosts.filter(({ standby }) => standby))) {
      for await (const group of this.#looks(name, new Deadline(clock, settings.standbyPatience))) {
        const entering = members.filter(({ id }) => lifecycleOf(group, id) === 'EnteringStandby');
        if (entering.length === 0) break;
        this.#watch.say(
          `standby ${name}`,
          `${names(entering)}: ${name} waits for the deregistration delay before they may return`,
          (line) => log.info(line),
        );
      }
    }
  }

  /** Brings members that are proven in service back from standby; answers who could not be. */
  async rejoin(hosts: HostRecord[]): Promise<Failures> {
    const failed: Failures = new Map();
    for (const [name, members] of byScaling(hosts)) {
      try {
        await this.#rejoinGroup(name, members);
      } catch (error) {
        if (!(error instanceof UserError) || this.#context.signal.aborted) throw error;
        for (const host of members) {
          const { left, standby } = this.#ledger.one(host.id);
          if (left || !standby) continue;
          failed.set(host.id, `in service, but not back from standby in ${name}: ${firstLine(error)}`);
          this.#context.evidence(host.id, { next: exitStandbyCommands([host]).join('\n') });
        }
      }
    }
    await this.#backInService(hosts.filter(({ id }) => !failed.has(id)));
    return failed;
  }

  async #rejoinGroup(name: string, members: HostRecord[]): Promise<void> {
    const { scaling, settings, clock, log } = this.#context;
    let refusals = 0;
    let states = '';
    for await (const group of this.#looks(name, new Deadline(clock, settings.healthyTimeout))) {
      const present = this.#present(group, members);
      const back = present.filter(({ id }) => lifecycleOf(group, id) === 'InService');
      for (const { id } of back)
        this.#watch.say(`rejoin ${id}`, `${id} is back in service in ${name}`, (line) => log.info(line));
      this.#ledger.set(back, { standby: false });
      if (back.length === present.length) {
        if (await this.#restore(group)) return;
        continue;
      }
      states = present.map(({ id }) => `${id} is ${lifecycleOf(group, id)}`).join(', ');
      this.#watch.say(`rejoin ${name}`, `${states} in ${name}`, (line) => log.info(line));
      const waiting = present.filter(({ id }) => lifecycleOf(group, id) === 'Standby').map(({ id }) => id);
      if (waiting.length === 0) continue;
      log.info(`returning ${waiting.join(', ')} to ${name}`);
      refusals += await this.#tried(() => scaling.exitStandby(name, waiting), refusals);
    }
    if (states) throw new UserError(`${states} after ${formatDuration(settings.healthyTimeout)}`);
  }

  /** In service for Auto Scaling; whom it took out of a target group once more goes back there. */
  async #backInService(hosts: HostRecord[]): Promise<void> {
    const back = hosts.filter(({ id }) => !this.#ledger.one(id).left);
    if (back.length === 0) return;
    const look = await this.#watch.look();
    for (const host of back) {
      const out = host.memberships.some((m) => look && isOut(look.get(m.group)?.get(placeKey(host, m))));
      this.#ledger.set([host], out ? { rotation: 'joining' } : { rotation: 'in', finished: true });
    }
  }

  /** At the end of a roll: who has left meanwhile is marked, and what is still lowered is raised. Only warns. */
  async finish(): Promise<void> {
    const { scaling, clock, log, signal } = this.#context;
    const members = byScaling(this.#ledger.hosts.filter(({ left }) => !left));
    const names = new Set([...members.keys(), ...this.#minimums.known.map(({ group }) => group)]);
    try {
      for (const name of names)
        for await (const found of this.#watch.answers(new Deadline(clock, enterDeadline), () =>
          scaling.describe([name]),
        )) {
          const group = found.get(name);
          if (!group) {
            this.#minimums.forget(name);
            break;
          }
          this.#present(group, members.get(name) ?? []);
          if (await this.#restore(group)) break;
        }
    } catch (error) {
      if (!(error instanceof UserError) || signal.aborted) throw error;
      log.warning(`${[...names].join(', ')} could not be looked at: ${firstLine(error)}`);
    }
  }

  #restore(group: ScalingGroup): Promise<boolean> {
    const away = inStandby(this.#ledger.hosts).filter(({ scaling }) => scaling === group.name);
    return this.#minimums.restore(group, { allBack: away.length === 0 });
  }

  /** Members that are still there; the others are marked as having left. */
  #present(group: ScalingGroup, members: HostRecord[]): HostRecord[] {
    const left = members.filter(({ id }) => hasLeft(lifecycleOf(group, id)) && !this.#ledger.one(id).left);
    for (const { id } of left)
      this.#context.log.warning(
        `${id} has left ${group.name}: ${lifecycleOf(group, id) || 'it is no longer a member'}; it is left alone`,
      );
    this.#ledger.set(left, { left: true, standby: false, finished: true });
    return members.filter(({ id }) => !this.#ledger.one(id).left);
  }

  /** One look at a group after another until the deadline, 1 s apart at first and backing off to 5 s. */
  async *#looks(name: string, deadline: Deadline): AsyncGenerator<ScalingGroup> {
    for await (const found of this.#watch.answers(deadline, () => this.#context.scaling.describe([name]))) {
      const group = found.get(name);
      if (!group) throw new UserError(`there is no Auto Scaling group ${name} any more`);
      yield group;
    }
  }

  /** Asks once: 0 when it was taken or nobody knows, 1 when it was refused; the last refusal is thrown. */
  async #tried(call: () => Promise<void>, refusals: number): Promise<number> {
    try {
      await this.#watch.change(call);
      return 0;
    } catch (error) {
      if (!(error instanceof AwsCallError) || error.kind !== 'refused' || refusals + 1 >= enough) throw error;
      this.#context.log.info(`${firstLine(error)}; looking again`);
      return 1;
    }
  }
}

const standingBy = new Set(['EnteringStandby', 'Standby']);

/** Hosts by the Auto Scaling group that they are members of. */
function byScaling(hosts: readonly HostRecord[]): Map<string, HostRecord[]> {
  const groups = new Map<string, HostRecord[]>();
  for (const host of hosts)
    if (host.scaling !== '') groups.set(host.scaling, [...(groups.get(host.scaling) ?? []), host]);
  return groups;
}

const firstLine = ({ message }: Error) => message.split('\n')[0]!;

import { randomBytes } from 'node:crypto';
import { messageOf, UserError } from '@lockkeeper/action';
import { releaseId, releaseNonce, type StagedRelease } from '@lockkeeper/compose';
import { Fleet } from './hosts/fleet.ts';
import { findLost, fleetRecord } from './hosts/fleet-record.ts';
import { withHostKeys } from './hosts/host-keys.ts';
import type { RollingInputs } from './inputs.ts';
import type { Outside } from './outside.ts';
import type { Required } from './plan/capacity.ts';
import type { GroupFacts } from './plan/groups.ts';
import {
  type FleetMember,
  fleetMembers,
  type Lost,
  nothingLost,
  type Surroundings,
  wantedIds,
} from './plan/members.ts';
import { findNewcomers } from './plan/newcomers.ts';
import { type Plan, planRoll } from './plan/plan.ts';
import { refuse } from './plan/refusal.ts';
import { hasLost, holderOf, singletonNote, takesOver, wayBackOf } from './plan/singletons.ts';
import { lookAgain, lookAround, lookForLost, statesOf } from './plan/survey.ts';
import { planLines } from './report/plan-lines.ts';
import type { Deployed, Evidence } from './report/report.ts';
import type { ReleaseNames } from './report/target-report.ts';
import { isUnfinished } from './roll/post-roll.ts';
import { resultOf } from './roll/roll.ts';
import type { Minimum } from './roll/roll-context.ts';
import { runRoll } from './roll/run-roll.ts';
import { Timeline } from './roll/timeline.ts';
import { addressesOf, firstState, type RollState } from './state.ts';

/** How much longer than the deregistration delay Auto Scaling may take on a member's way into standby. */
const standbyMargin = 120_000;

/** One deploy to one fleet. Used in the order of the methods. */
export class Deployment {
  readonly #inputs: RollingInputs;
  readonly #outside: Outside;
  readonly #fleet: Fleet;
  readonly #staged = new Map<string, StagedRelease>();
  readonly #timeline = new Timeline();
  readonly #evidence: Evidence = new Map();
  #around: Surroundings;
  #members: FleetMember[];
  #required: ReadonlyMap<string, Required> = new Map();
  /** Of the fleet's Auto Scaling groups, as they were before this roll and any lost one. */
  #minimums: Minimum[];
  #state: RollState;
  /** Why who joined meanwhile does not run the release; '' when nobody did, or they do. */
  #unrolled = '';
  /** Something is left that post must see to. */
  #forPost = true;

  constructor(
    inputs: RollingInputs,
    outside: Outside,
    { around, members }: { around: Surroundings; members: FleetMember[] },
  ) {
    const { run, log, clock, signal } = outside;
    this.#inputs = inputs;
    this.#outside = outside;
    this.#around = around;
    this.#members = members;
    this.#minimums = minimumsOf(around);
    const release = releaseId(new Date(clock.now()), run.commit, releaseNonce());
    const lockToken = randomBytes(8).toString('hex');
    this.#fleet = new Fleet({
      ssh: inputs.ssh,
      release: inputs.release,
      releaseId: release,
      commit: run.commit,
      repository: outside.repository,
      owner: run,
      lockToken,
      runnerImages: outside.runnerImages,
      log,
      clock,
      signal,
    });
    this.#state = firstState(inputs, { route: run.route, release, lockToken }, members);
    // Written before the first lock is taken: from here on post knows whom to look after.
    this.#save({});
  }

  get releases(): ReleaseNames {
    const { release, previous } = this.#state;
    return { release, previous: new Map(Object.entries(previous)) };
  }

  /** Connects to all hosts and locks them; finds whom lost runs left out, and them too. */
  async reach(): Promise<void> {
    const { log } = this.#outside;
    log.info(`reaching ${this.#members.map(({ id, address }) => `${id} (${address.host})`).join(', ')}`);
    await this.#fleet.open(this.#members);
    const { minimums, ...found } = await findLost(this.#fleet, this.#around.groups, log);
    if (found.ids.size === 0) return;
    const { around, lost } = await lookForLost(this.#outside, this.#around, found, log);
    this.#around = around;
    const members = await this.#membersOf(around, this.#inputs, lost);
    const doubtful = members.filter(({ id, missing }) => missing && !around.instances.has(id));
    await this.#fleet.open(members.filter((member) => !doubtful.includes(member)));
    const gone = await this.#openDoubtful(doubtful);
    this.#members = members.filter((member) => !gone.includes(member));
    this.#save({ addresses: addressesOf(this.#members) });
    const before = new Map(minimums.map((one) => [one.group, one]));
    this.#minimums = minimumsOf(around).map((now) => before.get(now.group) ?? now);
  }

  /** Members of the fleet with their host keys; throws one UserError with all that is wrong. */
  async #membersOf(
    around: Surroundings,
    settings: Parameters<typeof fleetMembers>[1],
    lost: Lost,
  ): Promise<FleetMember[]> {
    const { instances, log } = this.#outside;
    const fleet = fleetMembers(around, settings, lost);
    const keys =
      this.#inputs.hostKeys === 'ec2-console'
        ? await withHostKeys(instances, fleet.members)
        : { members: fleet.members, problems: [] };
    refuse([...fleet.problems, ...keys.problems]);
    for (const warning of fleet.warnings) log.warning(warning);
    return keys.members;
  }

  /** Lost addresses: AWS cannot tell whether they are gone for good, and one that is keeps no other host from its release. */
  async #openDoubtful(members: FleetMember[]): Promise<FleetMember[]> {
    const gone: FleetMember[] = [];
    for (const member of members) {
      try {
        await this.#fleet.open([member]);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.#outside.log.warning(`${member.id} is left out of account: ${messageOf(error)}`);
        gone.push(member);
      }
    }
    return gone;
  }

  /** Stages the release on all hosts and makes the plan, told in lines. Throws a UserError when it cannot be. */
  async stage(): Promise<{ plan: Plan; lines: string[] }> {
    const { log } = this.#outside;
    const named = new Set(this.#members.map(({ id }) => id));
    const whole = wantedIds(this.#around.groups, { targets: [] }).every((id) => named.has(id));
    await this.#holdSingletons(this.#members, { whole });
    const { plan, staged } = await this.#stageOn(this.#members, this.#around.groups);
    const note = singletonNote(this.#inputs.release.singletonServices, this.#state.holder);
    if (note) plan.notes.push(note);
    const [first] = staged.values();
    // With rollback-to it is an old one.
    if (first) this.#save({ release: first.id });
    const lines = planLines(plan, this.#members, this.#around.groups, staged);
    log.info(['The plan:', ...lines].join('\n'));
    for (const warning of plan.warnings) log.warning(warning);
    return { plan, lines };
  }

  /** Finds who of these runs the singleton services from now on; `whole`: nobody else can. */
  async #holdSingletons(members: readonly FleetMember[], { whole }: { whole: boolean }): Promise<void> {
    const services = this.#inputs.release.singletonServices;
    if (services.length === 0) return;
    const candidates = await Promise.all(
      members.map(async ({ id, healthy }) => ({ id, healthy, runs: await this.#fleet.singletonsOn(id) })),
    );
    const { holder, problem } = holderOf(candidates, services, { whole });
    refuse(problem ? [problem] : []);
    if (!holder) return;
    this.#save({ holder });
    this.#fleet.holdSingletons(holder);
  }

  async #stageOn(
    members: FleetMember[],
    groups: readonly GroupFacts[],
  ): Promise<{ plan: Plan; staged: Map<string, StagedRelease> }> {
    const { release } = this.#inputs;
    this.#outside.log.info(
      `staging ${release.rollbackTo ?? this.#state.release} on ${members.length} ${members.length === 1 ? 'host' : 'hosts'}`,
    );
    const staged = await this.#fleet.stage(members.map(({ id }) => id));
    for (const [id, one] of staged) this.#staged.set(id, one);
    this.#savePrevious();
    const unchanged = release.dryRun ? new Map<string, boolean>() : await this.#fleet.verifyUnchanged(staged);
    const facts = new Map(members.map(({ id }) => [id, { unchanged: unchanged.get(id) === true }]));
    const plan = planRoll(groups, members, facts, this.#inputs, this.#around.scaling);
    refuse(plan.problems);
    return { plan, staged };
  }

  #savePrevious(): void {
    const served = this.#fleet.machines.flatMap(({ id, before }) => (before ? [[id, before]] : []));
    this.#save({ previous: { ...this.#state.previous, ...Object.fromEntries(served) } });
  }

  /** The last moment before the first host drains: records on every host, and pre-deploy on the first. */
  async begin(plan: Plan): Promise<void> {
    this.#require(plan);
    this.#save({ hosts: plan.hosts, minimums: this.#lowered() });
    await this.#fleet.writeRecord(this.#record(true));
    const first = plan.batches[0]?.[0];
    if (first !== undefined) await this.#fleet.preDeploy(first, this.#staged.get(first)!.id);
  }

  #require({ required }: Plan): void {
    this.#required = required;
    this.#save({ required: [...required].map(([group, { count, because }]) => ({ group, count, because })) });
  }

  /** Until every host is somewhere: on the new release, or back. */
  async roll({ onFailure } = { onFailure: this.#inputs.onFailure }): Promise<void> {
    const { gate, scaling, clock, log, signal } = this.#outside;
    const groups = new Map(this.#around.groups.map(({ group }) => [group.arn, group]));
    const delay = Math.max(0, ...[...groups.values()].map(({ deregistrationDelay }) => deregistrationDelay));
    const hosts = await runRoll(this.#state.hosts, {
      groups,
      gate,
      scaling,
      minimums: this.#state.minimums,
      fleet: this.#fleet.hosts(this.#state.release, (id) =>
        wayBackOf(id, this.#state.holder, this.#state.hosts),
      ),
      settings: {
        ...this.#inputs,
        onFailure,
        required: this.#required,
        standbyPatience: delay + standbyMargin,
      },
      clock,
      log,
      signal,
      timeline: this.#timeline,
      evidence: (id, failure) => {
        this.#evidence.set(id, failure);
        if (failure.details) log.remote(id, `${failure.details}\n`);
      },
      save: (records) => this.#save({ hosts: [...records] }),
      saveMinimums: (minimums) => this.#save({ minimums: [...minimums] }),
    });
    this.#save({ hosts });
    await this.#fleet.forget(hosts.filter(({ left }) => left).map(({ id }) => id));
  }

  /** What a lost run lowered. */
  #lowered(): Minimum[] {
    return this.#minimums.filter(
      ({ group, minSize }) => (this.#around.scaling.get(group)?.group.minSize ?? minSize) < minSize,
    );
  }

  /**
   * Who joined the target groups while the others were rolled (Auto Scaling launches with what it knows) is rolled too,
   * until nobody new is there. Where that cannot be, the others stay as they are and the deploy ends as failed.
   */
  async rollNewcomers(): Promise<void> {
    const { log, signal } = this.#outside;
    // Who was named is all that was asked for.
    if (this.#inputs.targets.length > 0) return;
    const known = new Set(this.#members.map(({ id }) => id));
    while (['deployed', 'unchanged'].includes(resultOf(this.#state.hosts, this.#inputs.onFailure))) {
      let what = 'it could not be seen who joined meanwhile';
      try {
        const { groups, ids } = await findNewcomers(this.#outside, {
          groups: this.#around.groups,
          known,
          scaling: [...this.#around.scaling.keys()],
          patience: this.#inputs.healthyTimeout,
        });
        if (ids.length === 0) return;
        for (const id of ids) known.add(id);
        log.info(`${ids.join(', ')} joined the target groups meanwhile`);
        what = `${ids.join(', ')} joined meanwhile and could not be deployed to`;
        await this.#join(ids, groups);
      } catch (error) {
        if (!(error instanceof UserError) || signal.aborted) throw error;
        log.error(messageOf(error), what);
        this.#unrolled = `${what}: ${messageOf(error).split('\n')[0]}`;
        return;
      }
      await this.roll();
    }
  }

  /** Makes newcomers hosts of the roll, with everything that the others went through before they drained. */
  async #join(ids: readonly string[], groups: GroupFacts[]): Promise<void> {
    const around = await lookAround(this.#outside, groups, ids);
    const theirs = groups.map(({ group, health }) => ({
      group,
      health: health.filter(({ id }) => ids.includes(id)),
    }));
    const hosts = new Map([...this.#inputs.hosts].filter(([id]) => ids.includes(id)));
    const members = await this.#membersOf(
      { ...around, groups: theirs },
      { ...this.#inputs, hosts },
      nothingLost,
    );
    if (members.length === 0) return;
    this.#save({ addresses: addressesOf([...this.#members, ...members]) });
    await this.#fleet.open(members);
    this.#around = {
      ...this.#around,
      groups,
      scaling: new Map([...this.#around.scaling, ...around.scaling]),
    };
    if (hasLost(this.#state.holder, this.#state.hosts)) await this.#holdSingletons(members, { whole: true });
    const { plan } = await this.#stageOn(members, groups);
    this.#members = [...this.#members, ...members];
    const known = new Set(this.#minimums.map(({ group }) => group));
    this.#minimums = [...this.#minimums, ...minimumsOf(around).filter(({ group }) => !known.has(group))];
    this.#require(plan);
    const next = Math.max(-1, ...this.#state.hosts.map(({ batch }) => batch)) + 1;
    const joined = plan.hosts.map((host) => ({
      ...host,
      batch: host.batch < 0 ? host.batch : host.batch + next,
    }));
    await this.#fleet.writeRecord(this.#record(true));
    this.#save({ hosts: [...this.#state.hosts, ...joined] });
  }

  /** Where the host that was to run the singleton services has left, one that has the release already gets them. */
  async replaceHolder(): Promise<void> {
    const services = this.#inputs.release.singletonServices.join(', ');
    while (hasLost(this.#state.holder, this.#state.hosts)) {
      const { hosts, holder: gone } = this.#state;
      const why = `${gone}, which was to run ${services}, left meanwhile`;
      const here = new Set(hosts.filter(({ left }) => !left).map(({ id }) => id));
      if (!['deployed', 'unchanged'].includes(resultOf(hosts, this.#inputs.onFailure))) {
        this.#unrolled = [this.#unrolled, `${why}; the next deploy starts it on another host`]
          .filter(Boolean)
          .join('. ');
        return;
      }
      await this.#holdSingletons(
        this.#members.filter(({ id }) => here.has(id)),
        { whole: true },
      );
      const heir = this.#state.holder;
      this.#outside.log.info(`${why}; ${heir} takes over`);
      this.#savePrevious();
      this.#save({ hosts: takesOver(heir, hosts) });
      await this.roll({ onFailure: 'rollback-failed' });
    }
  }

  /** Leaves every host's record as the roll left the host, and tells what became of them. */
  async end(): Promise<Deployed> {
    const { gate } = this.#outside;
    const { hosts } = this.#state;
    const present = hosts.filter(({ left }) => !left);
    await this.#fleet.leaveInOrder(present, this.#staged, this.#inputs.onFailure);
    if (!this.#isUnfinished()) this.#forPost = !(await this.#closeRecord());
    const groups = await lookAgain(gate, this.#around.groups).catch(() => this.#around.groups);
    return {
      kind: 'rolled',
      releases: this.releases,
      hosts,
      onFailure: this.#inputs.onFailure,
      unrolled: this.#unrolled,
      minimums: this.#state.minimums,
      addresses: new Map(this.#members.map(({ id, address }) => [id, address.host])),
      states: statesOf(groups),
      timeline: this.#timeline,
      evidence: this.#evidence,
    };
  }

  /** After a failure outside the roll: where nothing is out of rotation, post has nothing to bring back. */
  async abandon(): Promise<void> {
    if (this.#outside.signal.aborted || this.#isUnfinished() || !this.#forPost) return;
    this.#forPost = this.#state.hosts.length > 0 && !(await this.#closeRecord());
  }

  /** An open record makes the next run look for who is missing. False: post has to close it. */
  async #closeRecord(): Promise<boolean> {
    try {
      await this.#fleet.writeRecord(this.#record(false));
      return true;
    } catch (error) {
      this.#outside.log.warning(`the record of this run could not be closed: ${messageOf(error)}`);
      return false;
    }
  }

  /** Gives the locks back, or leaves them to post. */
  async close(): Promise<void> {
    const forPost = this.#forPost && !this.#inputs.release.dryRun;
    await this.#fleet.close({ keepLocks: forPost });
    if (!forPost) this.#save({ ended: true });
  }

  #isUnfinished(): boolean {
    return isUnfinished(this.#state.hosts, this.#state.minimums);
  }

  #record(open: boolean) {
    const { run, clock } = this.#outside;
    const { release } = this.#state;
    return fleetRecord({ runUrl: run.runUrl, release, open, at: clock.now() }, this.#members, this.#minimums);
  }

  #save(change: Partial<RollState>): void {
    this.#state = { ...this.#state, ...change };
    if (!this.#inputs.release.dryRun) this.#outside.save(this.#state);
  }
}

function minimumsOf({ scaling }: Surroundings): Minimum[] {
  return [...scaling.values()].map(({ group }) => ({ group: group.name, minSize: group.minSize }));
}

import { randomBytes } from 'node:crypto';
import { type Log, messageOf } from '@lockkeeper/action';
import type { AwsRoute } from '@lockkeeper/aws';
import { releaseId, releaseNonce, type StagedRelease } from '@lockkeeper/compose';
import type { Clock } from '@lockkeeper/wait';
import type { Account } from './account.ts';
import { Fleet } from './hosts/fleet.ts';
import { fleetRecord } from './hosts/fleet-record.ts';
import type { RollingInputs } from './inputs.ts';
import { checkGroups, type FleetMember, type GroupFacts, type Plan, planRoll } from './plan/plan.ts';
import { checkPermissions, findMissing, lookAtGroups, lookAtInstances, statesOf } from './plan/survey.ts';
import type { Deployed, Evidence, ReleaseNames } from './report/report.ts';
import { planLines } from './report/summary.ts';
import { isUnfinished } from './roll/post-roll.ts';
import { leftOut } from './roll/roll.ts';
import { runRoll } from './roll/run-roll.ts';
import { Timeline } from './roll/timeline.ts';
import { addressesOf, firstState, type RollState } from './state.ts';

/** All that a deploy, and post after it, meets of the world outside; the hosts it reaches by SSH. */
export interface Outside extends Pick<Account, 'gate' | 'instances'> {
  run: { repository: string; runUrl: string; commit: string; route: AwsRoute };
  log: Log;
  clock: Clock;
  signal: AbortSignal;
  /** On disk when it returns. */
  save(state: RollState): void;
}

/**
 * Deploys to the fleet, batch after batch: all hosts are reached, locked and staged before the first one drains.
 * `announce` is told the releases once the plan stands. A failed release is an outcome; what is thrown kept the
 * roll from beginning, or cancelled it.
 */
export async function deploy(
  inputs: RollingInputs,
  outside: Outside,
  announce: (releases: ReleaseNames) => void,
): Promise<Deployed> {
  const { gate, instances, run, log, clock, signal } = outside;
  const { dryRun } = inputs.release;
  const groups = await lookAtGroups(gate, inputs.targetGroupArns);
  checkGroups(groups);
  await checkPermissions(gate, groups);
  let members = await lookAtInstances(instances, groups, inputs, [], log);

  const release = releaseId(new Date(clock.now()), run.commit, releaseNonce());
  const lockToken = randomBytes(8).toString('hex');
  const fleet = new Fleet({
    ssh: inputs.ssh,
    release: inputs.release,
    releaseId: release,
    commit: run.commit,
    owner: run,
    lockToken,
    log,
    clock,
    signal,
  });
  // Written before the first lock is taken: from here on post knows whom to look after.
  let state = firstState(inputs, { route: run.route, release, lockToken }, members);
  const save = (change: Partial<RollState>) => {
    state = { ...state, ...change };
    if (!dryRun) outside.save(state);
  };
  save({});
  const record = (open: boolean) =>
    fleetRecord({ runUrl: run.runUrl, release: state.release, open, at: clock.now() }, members);
  let forPost = true;
  try {
    log.info(`reaching ${members.map(({ id, address }) => `${id} (${address.host})`).join(', ')}`);
    await fleet.open(members);
    const lost = await findMissing(fleet, groups, log);
    if (lost.length > 0) {
      members = await lookAtInstances(instances, groups, inputs, lost, log);
      save({ addresses: addressesOf(members) });
      await fleet.open(members);
    }
    log.info(`staging ${inputs.release.rollbackTo ?? release} on ${members.length} hosts`);
    const staged = await fleet.stage();
    // With rollback-to the release is an old one.
    const releases: ReleaseNames = {
      release: [...staged.values()][0]?.id ?? release,
      previous: new Map(fleet.machines.flatMap(({ id, before }) => (before ? [[id, before]] : []))),
    };
    const unchanged = dryRun ? new Map<string, boolean>() : await fleet.verifyUnchanged(staged);
    const plan = planRoll(
      groups,
      members,
      new Map(members.map(({ id }) => [id, { unchanged: unchanged.get(id) === true }])),
      { ...inputs, stabilityWindow: inputs.release.stabilityWindow },
    );
    const lines = tellPlan(plan, members, groups, staged, log);
    announce(releases);
    if (dryRun) {
      forPost = false;
      return { kind: 'planned', releases, lines };
    }

    save({
      release: releases.release,
      previous: Object.fromEntries(releases.previous),
      required: [...plan.required].map(([group, { count, because }]) => ({ group, count, because })),
      hosts: plan.hosts,
    });
    await fleet.writeRecord(record(true));
    const first = plan.batches[0]?.[0];
    if (first !== undefined) await fleet.preDeploy(first, staged.get(first)!.id);

    const timeline = new Timeline();
    const evidence: Evidence = new Map();
    const hosts = await runRoll(plan.hosts, {
      groups: new Map(groups.map(({ group }) => [group.arn, group])),
      gate,
      fleet: fleet.hosts(releases.release),
      settings: { ...inputs, required: plan.required },
      clock,
      log,
      signal,
      timeline,
      evidence: (id, failure) => {
        evidence.set(id, failure);
        if (failure.details) log.remote(id, `${failure.details}\n`);
      },
      save: (records) => save({ hosts: [...records] }),
    });
    await fleet.leaveInOrder(hosts, staged, inputs.onFailure);
    if (leftOut(hosts).length === 0) {
      await fleet.writeRecord(record(false));
      forPost = false;
    }
    return {
      kind: 'rolled',
      releases,
      hosts,
      onFailure: inputs.onFailure,
      addresses: new Map(members.map(({ id, address }) => [id, address.host])),
      states: statesOf(await lookAtGroups(gate, inputs.targetGroupArns).catch(() => groups)),
      timeline,
      evidence,
    };
  } catch (error) {
    // Nothing was taken out yet, so there is nothing for post to bring back; only the record must not stay open.
    if (!signal.aborted && !isUnfinished(state.hosts)) {
      if (state.hosts.length > 0 && forPost)
        await fleet
          .writeRecord(record(false))
          .then(() => (forPost = false))
          .catch((cause) => log.warning(messageOf(cause)));
      else forPost = false;
    }
    throw error;
  } finally {
    await fleet.close({ keepLocks: forPost });
    if (!forPost) save({ ended: true });
  }
}

function tellPlan(
  plan: Plan,
  members: readonly FleetMember[],
  groups: readonly GroupFacts[],
  staged: ReadonlyMap<string, StagedRelease>,
  log: Log,
): string[] {
  const changes = new Map(
    [...staged].map(([id, one]) => [
      id,
      one.plan.map(({ service, change, why }) => `${service} ${change} (${why})`).join(', '),
    ]),
  );
  const lines = planLines(plan, members, groups, changes);
  log.info(['The plan:', ...lines].join('\n'));
  for (const warning of plan.warnings) log.warning(warning);
  return lines;
}

import { randomBytes } from 'node:crypto';
import { Cancelled, defineAction, messageOf, type Step, UserError } from '@lockkeeper/action';
import {
  type AwsConfig,
  awsConfig,
  awsRoute,
  instances as openInstances,
  type TargetGroups,
  takeRoute,
  targetGroups,
} from '@lockkeeper/aws';
import { Locked, releaseId, releaseNonce, secretValues } from '@lockkeeper/compose';
import { Fleet, type FleetSettings, Recovery } from './fleet.ts';
import { type FleetRecord, missingPlaces, type Place, readFleetRecord } from './fleet-record.ts';
import { stateText } from './health.ts';
import { parseInputs, type RollingInputs } from './inputs.ts';
import {
  checkGroups,
  type FleetMember,
  fleetMembers,
  type GroupFacts,
  instanceIds,
  type Plan,
  planRoll,
} from './plan.ts';
import { finishRoll, isUnfinished } from './post-roll.ts';
import {
  failureLine,
  planLines,
  type ReleaseNames,
  resultLine,
  rollSummary,
  servingReleases,
  targetReports,
} from './report.ts';
import { type HostRecord, leftOut, type RollResult, resultOf } from './roll.ts';
import { type RollContext, registerCommands, runRoll } from './run-roll.ts';
import { type RollState, rollState } from './state.ts';
import { Timeline } from './timeline.ts';

const title = 'Rolling deploy';

export const run = defineAction<RollState>({
  state: rollState,

  async main(step) {
    const started = step.clock.now();
    const inputs = parseInputs(step.inputs, step.env);
    for (const secret of secretValues(inputs.release.envFile ?? '')) step.mask(secret);
    const aws = awsOf(step, inputs.aws);
    const gate = targetGroups(aws);
    try {
      await deploy(step, inputs, aws, gate, started);
    } catch (error) {
      if (error instanceof Reported) throw error;
      const result = error instanceof Locked ? 'locked' : 'failed';
      step.output('result', result);
      step.output('reason', firstLine(messageOf(error)));
      step.output('duration-ms', Math.round(step.clock.now() - started));
      if (!(error instanceof Cancelled))
        await step.summary(rollSummary(title, false, firstLine(messageOf(error)), [], []));
      throw error;
    } finally {
      gate.close();
    }
  },

  post: finish,
});

async function deploy(
  step: Step<RollState>,
  inputs: RollingInputs,
  aws: AwsConfig,
  gate: TargetGroups,
  started: number,
): Promise<void> {
  const { log, clock, signal } = step;
  const { context } = step;
  const names: ReleaseNames & { previous: Map<string, string> } = {
    release: releaseId(new Date(clock.now()), context.sha, releaseNonce()),
    previous: new Map(),
  };
  const lockToken = randomBytes(8).toString('hex');
  const groups = await lookAtGroups(gate, inputs.targetGroupArns);
  checkGroups(groups);
  await checkPermissions(gate, groups);
  let members = await lookAtInstances(step, inputs, aws, groups, []);

  const fleet = new Fleet({
    ssh: inputs.ssh,
    release: inputs.release,
    releaseId: names.release,
    commit: context.sha,
    owner: { repository: context.repository, runUrl: context.runUrl },
    lockToken,
    log,
    clock,
    signal,
  });
  // Written before the first lock is taken: from here on post knows whom to look after.
  let state = stateOf(step, inputs, groups, members, lockToken, names);
  const { dryRun } = inputs.release;
  const save = (change: Partial<RollState>) => {
    state = { ...state, ...change };
    if (!dryRun) step.state.save(state);
  };
  save({});
  let forPost = true;
  try {
    log.info(`reaching ${members.map(({ id, address }) => `${id} (${address.host})`).join(', ')}`);
    await fleet.open(members);
    const lost = await findMissing(fleet, groups, step);
    if (lost.length > 0) {
      members = await lookAtInstances(step, inputs, aws, groups, lost);
      save({ addresses: addressesOf(members) });
      await fleet.open(members);
    }
    log.info(`staging ${inputs.release.rollbackTo ?? names.release} on ${members.length} hosts`);
    const staged = await fleet.stage();
    // With rollback-to the release is an old one.
    names.release = [...staged.values()][0]?.id ?? names.release;
    for (const { id, before } of fleet.machines) if (before) names.previous.set(id, before);
    const unchanged = dryRun ? new Map<string, boolean>() : await fleet.verifyUnchanged(staged);
    const plan = planRoll(
      groups,
      members,
      new Map(members.map(({ id }) => [id, { unchanged: unchanged.get(id) === true }])),
      { ...inputs, stabilityWindow: inputs.release.stabilityWindow },
    );
    const changes = new Map(
      [...staged].map(([id, one]) => [
        id,
        one.plan.map(({ service, change, why }) => `${service} ${change} (${why})`).join(', '),
      ]),
    );
    const lines = planLines(plan, members, groups, changes);
    log.info(['The plan:', ...lines].join('\n'));
    for (const warning of plan.warnings) log.warning(warning);
    step.output('release', names.release);
    step.output('previous-release', [...new Set(names.previous.values())].join(','));
    if (dryRun) {
      forPost = false;
      log.info('dry-run: nothing was changed');
      step.output('result', 'unchanged');
      step.output('reason', '');
      step.output('serving-release', [...new Set(names.previous.values())].join(','));
      step.output('duration-ms', Math.round(clock.now() - started));
      await step.summary([`## ${title}: the plan`, '', '```', ...lines, '```', ''].join('\n'));
      return;
    }

    save({
      release: names.release,
      previous: Object.fromEntries(names.previous),
      required: [...plan.required].map(([group, { count, because }]) => ({ group, count, because })),
      hosts: plan.hosts,
    });
    await fleet.writeRecord(fleetRecord(step, names.release, members, true));
    await preDeploy(fleet, plan, staged);

    const timeline = new Timeline();
    const evidence = new Map<string, string>();
    const hosts = await runRoll(plan.hosts, {
      ...rollContext(step, groups, gate),
      fleet: fleet.hosts(names.release),
      settings: { ...inputs, required: plan.required },
      timeline,
      evidence: (id, text) => {
        evidence.set(id, text);
        log.remote(id, `${text}\n`);
      },
      save: (records) => save({ hosts: [...records] }),
    });
    await leaveInOrder(fleet, hosts, staged, inputs, log);
    if (leftOut(hosts).length === 0) {
      await fleet.writeRecord(fleetRecord(step, names.release, members, false));
      forPost = false;
    }
    await report(step, {
      hosts,
      members,
      groups: await lookAtGroups(gate, inputs.targetGroupArns).catch(() => groups),
      names,
      timeline,
      evidence,
      inputs,
      started,
    });
  } catch (error) {
    // Nothing was taken out yet, so there is nothing for post to bring back; only the record must not stay open.
    if (!signal.aborted && !isUnfinished(state.hosts)) {
      if (state.hosts.length > 0 && forPost)
        await fleet
          .writeRecord(fleetRecord(step, names.release, members, false))
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

async function report(
  step: Step<RollState>,
  {
    hosts,
    members,
    groups,
    names,
    timeline,
    evidence,
    inputs,
    started,
  }: {
    hosts: HostRecord[];
    members: readonly FleetMember[];
    groups: readonly GroupFacts[];
    names: ReleaseNames;
    timeline: Timeline;
    evidence: ReadonlyMap<string, string>;
    inputs: RollingInputs;
    started: number;
  },
): Promise<void> {
  const result: RollResult = resultOf(hosts, inputs.onFailure);
  const took = step.clock.now() - started;
  const good = result === 'deployed' || result === 'unchanged';
  const line = resultLine(result, hosts, names, took);
  const reports = targetReports(hosts, {
    addresses: new Map(members.map(({ id, address }) => [id, address.host])),
    states: statesOf(groups),
    names,
    timeline,
  });
  step.output('result', result);
  step.output('reason', good ? '' : failureLine(hosts));
  step.output('serving-release', servingReleases(hosts, names));
  step.output('targets', reports);
  step.output('duration-ms', Math.round(took));
  await step.summary(rollSummary(title, good, line, reports, timeline.spans, evidence));
  if (good) {
    step.log.info(line);
    return;
  }
  const out = leftOut(hosts);
  const commands = out.flatMap(registerCommands);
  throw new Reported(
    out.length > 0 ? `${line} Still out of rotation: ${out.map(({ id }) => id).join(', ')}.` : line,
    {
      next:
        commands.length > 0
          ? commands.join('\n')
          : 'see the failing host’s lines above; the fleet can be deployed to again as it is',
    },
  );
}

/** A failure whose outputs and summary are written already. */
class Reported extends UserError {}

// Post

async function finish(step: Step<RollState>): Promise<void> {
  const state = step.state.read();
  if (!state || state.ended) {
    if (!state) step.log.info('no target was taken out of rotation');
    return;
  }
  const { log } = step;
  takeRoute(state.route, step.env, log);
  const gate = targetGroups(awsOf(step, state));
  try {
    const groups = await lookAtGroups(gate, state.groups);
    const addresses = new Map(
      state.addresses.map(({ id, host, port }) => [id, { host, ...(port !== undefined && { port }) }]),
    );
    const recovery = recoveryOf(step, state, addresses);
    let hosts = state.hosts;
    if (isUnfinished(hosts)) {
      const working = hosts.filter(({ finished, touched }) => touched && !finished).map(({ id }) => id);
      log.info(`main did not end; bringing back ${working.join(', ') || 'what it left'}`);
      hosts = await finishRoll(hosts, {
        ...rollContext(step, groups, gate),
        fleet: typeof recovery === 'string' ? unreachable(recovery) : recovery.hosts(hosts, 45_000),
        settings: {
          drain: state.drain,
          healthyTimeout: state.healthyTimeout,
          bakeTime: 0,
          onFailure: 'rollback-failed',
          required: new Map(state.required.map(({ group, count, because }) => [group, { count, because }])),
        },
        timeline: new Timeline(),
        evidence: (id, text) => log.remote(id, `${text}\n`),
        save: (saved) => step.state.save({ ...state, hosts: [...saved] }),
      });
    }
    if (typeof recovery !== 'string' && leftOut(hosts).length === 0)
      await recovery.tidy(
        fleetRecord(
          step,
          state.release,
          hosts.map(({ id, memberships }) => ({ id, memberships })),
          false,
        ),
      );
    await reportPost(
      step,
      state,
      hosts,
      statesOf(await lookAtGroups(gate, state.groups).catch(() => groups)),
    );
  } finally {
    gate.close();
  }
}

async function reportPost(
  step: Step<RollState>,
  state: RollState,
  hosts: readonly HostRecord[],
  states: ReadonlyMap<string, string>,
): Promise<void> {
  const names: ReleaseNames = { release: state.release, previous: new Map(Object.entries(state.previous)) };
  const out = leftOut(hosts);
  const unfit = hosts.filter(({ release, rotation }) => release === 'unfit' || rotation === 'registered');
  const onNew = hosts.filter(({ release, skipped }) => release === 'new' && !skipped);
  const lines = [
    out.length > 0
      ? `${out.map(({ id }) => id).join(', ')} could not be registered again.`
      : 'Every target is in its target group, as at the start.',
    ...(unfit.length > 0
      ? [
          `Not proven: ${unfit.map(({ id, failure }) => `${id} (${states.get(id) ?? 'not registered'}${failure ? `; ${failure}` : ''})`).join(', ')}. The load balancer's check decides whether they get requests.`,
        ]
      : []),
    ...(onNew.length > 0 && onNew.length < hosts.length
      ? [
          `${onNew.map(({ id }) => id).join(', ')} had finished and ${onNew.length === 1 ? 'serves' : 'serve'} ${state.release}; the others serve what they served before. The next deploy makes them one again, or rollback-to: previous.`,
        ]
      : []),
  ];
  for (const line of lines) step.log.info(line);
  const reports = targetReports(hosts, {
    addresses: new Map(state.addresses.map(({ id, host }) => [id, host])),
    states,
    names,
    timeline: new Timeline(),
  });
  await step.summary(
    rollSummary(
      `${title}: after the interruption`,
      out.length + unfit.length === 0,
      lines.join(' '),
      reports,
      [],
    ),
  );
  if (out.length > 0) step.fail(new UserError(lines[0]!, { next: out.flatMap(registerCommands).join('\n') }));
  if (unfit.length > 0)
    step.fail(
      new UserError(lines.find((line) => line.startsWith('Not proven'))!, {
        next: 'look at the host, or deploy again: the next run starts with unhealthy targets',
      }),
    );
}

/** The hosts over SSH; in words why not, when this step's inputs can no longer be read. */
function recoveryOf(
  step: Step<RollState>,
  state: RollState,
  addresses: ReadonlyMap<string, { host: string; port?: number }>,
): Recovery | string {
  let inputs: RollingInputs;
  try {
    inputs = parseInputs(step.inputs, { ...step.env, AWS_REGION: state.region });
  } catch (error) {
    return `the inputs of this step cannot be read any more: ${messageOf(error)}`;
  }
  const { jump, ...door } = state.ssh;
  const connectTimeout = Math.min(inputs.ssh.connectTimeout, 15_000);
  const key = { privateKey: inputs.ssh.privateKey, passphrase: inputs.ssh.passphrase, connectTimeout };
  const settings: FleetSettings = {
    ssh: {
      ...door,
      ...key,
      ...(jump && {
        jump: { ...jump, ...key, privateKey: inputs.ssh.jump?.privateKey ?? inputs.ssh.privateKey },
      }),
    },
    release: {
      ...inputs.release,
      projectDirectory: state.projectDirectory,
      lockTimeout: 10_000,
      dryRun: false,
    },
    releaseId: state.release,
    commit: step.context.sha,
    owner: { repository: step.context.repository, runUrl: step.context.runUrl },
    lockToken: state.lockToken,
    log: step.log,
    clock: step.clock,
  };
  return new Recovery(settings, addresses, new Map(Object.entries(state.previous)));
}

function unreachable(why: string): RollContext['fleet'] {
  const refuse = () => Promise.reject(new UserError(why));
  return () => ({
    switchOver: refuse,
    goBack: refuse,
    connections: async () => undefined,
    settle: async () => {},
  });
}

// Looking

async function lookAtGroups(gate: TargetGroups, arns: readonly string[]): Promise<GroupFacts[]> {
  return Promise.all(
    arns.map(async (arn) => {
      const [group, health] = await Promise.all([gate.describe(arn), gate.health(arn)]);
      return { group, health };
    }),
  );
}

/** Refuses to take out what could not be put back. */
async function checkPermissions(gate: TargetGroups, groups: readonly GroupFacts[]): Promise<void> {
  const refusals = (
    await Promise.all(groups.map(({ group }) => gate.missingPermissions(group.arn, group.port)))
  ).flat();
  if (refusals.length > 0)
    throw new UserError(`nothing was changed: ${refusals.map(({ message }) => message).join('; ')}`, {
      next: [...new Set(refusals.map(({ next }) => next))].join('\n'),
    });
}

async function lookAtInstances(
  step: Step<RollState>,
  inputs: RollingInputs,
  aws: AwsConfig,
  groups: readonly GroupFacts[],
  missing: readonly Place[],
): Promise<FleetMember[]> {
  const ec2 = openInstances(aws, { signal: step.signal });
  try {
    const found = new Map(await ec2.describe(instanceIds(groups, inputs)));
    // One by one: a terminated instance that a record still names makes AWS refuse all of them.
    const back: Place[] = [];
    for (const place of missing) {
      const one =
        found.get(place.id) ?? (await ec2.describe([place.id]).catch(() => new Map())).get(place.id);
      if (one?.state === 'running') {
        found.set(place.id, one);
        back.push(place);
      } else
        step.log.warning(
          `${place.id} was in the target group when a run was interrupted, and is ${one?.state ?? 'gone'} now; it is left out of account`,
        );
    }
    return fleetMembers(groups, found, inputs, back);
  } finally {
    ec2.close();
  }
}

/** Who an interrupted run took out and nobody put back, from any host's record. */
async function findMissing(
  fleet: Fleet,
  groups: readonly GroupFacts[],
  { log }: Step<RollState>,
): Promise<Place[]> {
  const records = await Promise.all(
    fleet.machines.map(async ({ id, ready }) => readFleetRecord(await ready.readNote('fleet'), id, log)),
  );
  const registered = (place: Place) =>
    groups.some(
      ({ group, health }) =>
        group.arn === place.group &&
        health.some((one) => one.id === place.id && one.port === place.port && one.state !== 'draining'),
    );
  const found = records.filter((one) => one !== undefined);
  const places = missingPlaces(
    found,
    registered,
    groups.map(({ group }) => group.arn),
  );
  for (const { id, port } of places)
    log.warning(`${id}:${port} was left out of rotation by an interrupted run; this run puts it back`);
  return places;
}

function statesOf(groups: readonly GroupFacts[]): Map<string, string> {
  const states = new Map<string, string>();
  for (const { health } of groups)
    for (const target of health) {
      const known = states.get(target.id);
      const text = stateText(target);
      states.set(target.id, known && known !== text ? `${known}, ${text}` : text);
    }
  return states;
}

// Around the roll

/** Once, on the host that is switched first, before anybody drains. */
async function preDeploy(
  fleet: Fleet,
  plan: Plan,
  staged: ReadonlyMap<string, { id: string }>,
): Promise<void> {
  const id = plan.batches[0]?.[0];
  if (id === undefined) return;
  const { ready } = fleet.machine(id);
  try {
    await ready.preDeploy(staged.get(id)!.id);
  } catch (error) {
    if (await ready.needsRollBack()) await ready.rollBack(messageOf(error));
    throw error;
  }
}

/** Each host's own record follows where the roll ended; what was staged in vain goes. */
async function leaveInOrder(
  fleet: Fleet,
  hosts: readonly HostRecord[],
  staged: ReadonlyMap<string, { id: string }>,
  { onFailure, release }: RollingInputs,
  log: Step<RollState>['log'],
): Promise<void> {
  for (const host of hosts) {
    const { ready } = fleet.machine(host.id);
    try {
      if (host.skipped && release.rollbackTo === undefined) await ready.discard(staged.get(host.id)!.id);
      else if (host.release === 'old' && !ready.interrupted && (await ready.needsRollBack()))
        await ready.rollBack('the roll did not reach this host');
      else if (host.changed && host.failure && onFailure === 'stop') await ready.leaveAsItIs();
    } catch (error) {
      log.warning(`${host.id}: ${messageOf(error)}`);
    }
  }
}

function rollContext(
  step: Step<RollState>,
  groups: readonly GroupFacts[],
  gate: TargetGroups,
): Pick<RollContext, 'groups' | 'gate' | 'clock' | 'log' | 'signal'> {
  return {
    groups: new Map(groups.map(({ group }) => [group.arn, group])),
    gate,
    clock: step.clock,
    log: step.log,
    signal: step.signal,
  };
}

function stateOf(
  step: Step<RollState>,
  inputs: RollingInputs,
  groups: readonly GroupFacts[],
  members: readonly FleetMember[],
  lockToken: string,
  { release }: ReleaseNames,
): RollState {
  const { port, username, trust, jump } = inputs.ssh;
  return {
    ...inputs.aws,
    route: awsRoute(step.env),
    groups: groups.map(({ group }) => group.arn),
    required: [],
    release,
    lockToken,
    drain: inputs.drain,
    healthyTimeout: inputs.healthyTimeout,
    ssh: {
      port,
      username,
      trust,
      ...(jump && {
        jump: { host: jump.host, port: jump.port, username: jump.username, trust: jump.trust },
      }),
    },
    projectDirectory: inputs.release.projectDirectory,
    addresses: addressesOf(members),
    previous: {},
    hosts: [],
    ended: false,
  };
}

const addressesOf = (members: readonly FleetMember[]) =>
  members.map(({ id, address }) => ({ id, ...address }));

function fleetRecord(
  step: Step<RollState>,
  release: string,
  members: ReadonlyArray<Pick<FleetMember, 'id' | 'memberships'>>,
  open: boolean,
): FleetRecord {
  return {
    version: 1,
    open,
    runUrl: step.context.runUrl,
    release,
    at: new Date(step.clock.now()).toISOString(),
    targets: members.flatMap(({ id, memberships }) =>
      memberships.map(({ group, port }) => ({ group, id, port })),
    ),
  };
}

function awsOf(step: Step<RollState>, { region, roleToAssume }: { region: string; roleToAssume: string }) {
  const { runId, runAttempt } = step.context;
  return awsConfig({
    region,
    roleToAssume,
    idToken: step.idToken,
    sessionName: `rolling-alb-deploy-${runId}-${runAttempt}`,
    env: step.env,
    clock: step.clock,
    log: step.log,
    mask: step.mask,
  });
}

const firstLine = (text: string) => text.split('\n')[0]!;

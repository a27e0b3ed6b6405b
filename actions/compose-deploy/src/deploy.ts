import { Cancelled, UserError } from '@lockkeeper/action';
import {
  deployRelease,
  type HostOutcome,
  Locked,
  type Project,
  type Result,
  roleOnWayBack,
  type SingletonRole,
  type StagedRelease,
} from '@lockkeeper/compose';
import { Hosts, type Opening } from './hosts.ts';

export interface Deploy extends Opening {
  onFailure: 'rollback-all' | 'rollback-failed' | 'stop';
}

export interface DeployReport {
  result: Result;
  /** The release deployed or gone back to by name. */
  release: string;
  hosts: HostOutcome[];
  /** One line; '' when all is well. */
  reason: string;
  message: string;
  details: string;
  next: string;
}

/**
 * Deploys to the hosts one after another. All are reached, locked and staged before the first one changes.
 * A failure is a report; only a cancel is thrown, with the locks left to the post step.
 */
export async function deploy(run: Deploy): Promise<DeployReport> {
  const hosts = new Hosts(run);
  const { projects } = hosts;
  let cancelled = false;
  try {
    await hosts.open();
    const staged = await stageAll(run, projects);
    if (run.settings.dryRun) return planned(run, projects, staged);
    const outcomes = await switchAll(run, projects, staged);
    return report(outcomes, [...staged.values()][0]?.id ?? run.release);
  } catch (error) {
    if (error instanceof Cancelled || run.signal?.aborted) {
      cancelled = true;
      throw error;
    }
    return await failedBeforeTheChange(run, projects, error);
  } finally {
    await hosts.close({ leave: cancelled });
  }
}

async function stageAll(
  run: Deploy,
  projects: ReadonlyMap<string, Project>,
): Promise<Map<string, StagedRelease>> {
  const staged = new Map<string, StagedRelease>();
  // A moving tag, or a branch, is resolved on the first host, for all.
  let resolved: { pins: Record<string, string>; commit?: string } | undefined;
  let { rollbackTo } = run.settings;
  for (const host of run.hosts) {
    const project = projects.get(host)!;
    const release = await run.log.group(`Stage on ${host}`, () =>
      rollbackTo ? project.resolveRelease(rollbackTo) : project.stage(resolved),
    );
    staged.set(host, release);
    if (rollbackTo) rollbackTo = release.id;
    else
      resolved ??= {
        commit: release.commit,
        pins: Object.fromEntries(
          Object.entries(release.images).flatMap(([service, { digest }]) =>
            digest ? [[service, digest]] : [],
          ),
        ),
      };
  }
  return staged;
}

async function switchAll(
  run: Deploy,
  projects: ReadonlyMap<string, Project>,
  staged: ReadonlyMap<string, StagedRelease>,
): Promise<HostOutcome[]> {
  const outcomes: HostOutcome[] = [];
  // Going to a release by name runs no migration: hooks of a deploy are not its business.
  let preDeploy = run.settings.rollbackTo === undefined;
  for (const host of run.hosts) {
    run.signal?.throwIfAborted();
    const release = staged.get(host)!;
    const outcome = await run.log.group(`Deploy to ${host}`, () =>
      deployRelease(projects.get(host)!, release, {
        rollback: run.settings.rollback && run.onFailure !== 'stop',
        log: run.log,
        clock: run.clock,
        preDeploy,
        wayBack: () => roleOf(run, host, projects, firstStays(run, outcomes[0])),
      }),
    );
    outcomes.push(outcome);
    run.log.info(outcome.message);
    if (outcome.result !== 'unchanged') preDeploy = false;
    if (outcome.result !== 'deployed' && outcome.result !== 'unchanged') {
      if (run.onFailure === 'rollback-all' && run.settings.rollback)
        await bringBack(run, projects, outcomes, outcome);
      break;
    }
  }
  return outcomes;
}

/**
 * Whether the first host, which runs the singleton services from now on, stays as it is when another one
 * fails; `first` is how it ended. Pure.
 */
export function firstStays(
  { onFailure }: Pick<Deploy, 'onFailure'>,
  first: Pick<HostOutcome, 'result' | 'previous'> | undefined,
): boolean {
  if (first?.result === 'unchanged') return true;
  return first?.result === 'deployed' && (onFailure !== 'rollback-all' || !first.previous);
}

/** What a host does with the singleton services when it goes back. */
async function roleOf(
  { settings, hosts }: Deploy,
  host: string,
  projects: ReadonlyMap<string, Project>,
  stays: boolean,
): Promise<SingletonRole> {
  const { singletonServices } = settings;
  const [first = ''] = hosts;
  if (singletonServices.length === 0 || host === first) return 'as-recorded';
  const held = stays ? await projects.get(first)?.running(singletonServices) : undefined;
  return roleOnWayBack(false, held?.length === singletonServices.length);
}

/** The hosts that were finished go back with the one that failed, the last one first. */
async function bringBack(
  run: Deploy,
  projects: ReadonlyMap<string, Project>,
  outcomes: HostOutcome[],
  failed: HostOutcome,
): Promise<void> {
  for (const outcome of outcomes.toReversed()) {
    if (outcome.result !== 'deployed') continue;
    if (!outcome.previous) {
      outcome.message += ' Nothing ran there before, so it stays.';
      continue;
    }
    const back = await run.log.group(`Back on ${outcome.host}`, () =>
      projects
        .get(outcome.host)!
        .rollBack(`${failed.host} failed: ${failed.reason}`, { to: outcome.previous }),
    );
    outcome.result = back.verified ? 'rolled-back' : 'rollback-failed';
    outcome.serving = back.serving;
    outcome.reason = `${failed.host} failed`;
    outcome.message = `${outcome.host} goes back with ${failed.host}. ${back.message}`;
    run.log.info(outcome.message);
  }
}

/** Staging failed: no container was changed by us; what an earlier run left half-done goes back now. */
async function failedBeforeTheChange(
  run: Deploy,
  projects: ReadonlyMap<string, Project>,
  error: unknown,
): Promise<DeployReport> {
  // Our own bug is to be seen with its stack.
  if (!(error instanceof UserError)) throw error;
  const hosts: HostOutcome[] = [];
  let broken = false;
  const first = projects.get(run.hosts[0] ?? '');
  const stays = first !== undefined && !run.settings.dryRun && !(await first.needsRollBack());
  for (const host of run.hosts) {
    const project = projects.get(host);
    let message = '';
    if (project && !run.settings.dryRun && (await project.needsRollBack())) {
      const back = await project.rollBack(`an earlier deploy was interrupted; then: ${error.message}`, {
        singletons: await roleOf(run, host, projects, stays),
      });
      message = ` An earlier deploy had been interrupted on ${host}. ${back.message}`;
      broken ||= !back.verified;
    }
    hosts.push({
      host,
      result: error instanceof Locked ? 'locked' : 'failed',
      serving: project?.serving,
      previous: project?.serving,
      images: {},
      services: [],
      reason: error.message,
      message,
      details: '',
      next: error.next ?? '',
      downtime: 0,
      duration: 0,
    });
  }
  const extra = hosts.map(({ message }) => message).join('');
  return {
    result: broken ? 'rollback-failed' : error instanceof Locked ? 'locked' : 'failed',
    release: run.release,
    hosts,
    reason: error.message,
    message: `${sentence(error.message)} No container was changed.${extra}`,
    details: error.details ?? '',
    next: error.next ?? '',
  };
}

function planned(
  run: Deploy,
  projects: ReadonlyMap<string, Project>,
  staged: ReadonlyMap<string, StagedRelease>,
): DeployReport {
  const hosts = run.hosts.map((host): HostOutcome => {
    const plan = staged.get(host)?.plan ?? [];
    for (const { service, change, why } of plan) run.log.info(`${host}: ${service}: ${change} (${why})`);
    const serving = projects.get(host)?.serving;
    const changes = plan.filter(({ change }) => change !== 'unchanged' && change !== 'orphan').length;
    return {
      host,
      result: 'unchanged',
      serving,
      previous: serving,
      images: {},
      services: plan,
      reason: '',
      message: `${host}: ${changes} of ${plan.length} services would change.`,
      details: '',
      next: '',
      downtime: 0,
      duration: 0,
    };
  });
  return {
    result: 'unchanged',
    release: run.release,
    hosts,
    reason: '',
    message: `Dry run, nothing was changed. ${hosts.map(({ message }) => message).join(' ')}`,
    details: '',
    next: '',
  };
}

const worstFirst: Result[] = [
  'rollback-failed',
  'failed',
  'locked',
  'rolled-back',
  'ran',
  'deployed',
  'unchanged',
];

/** The result of many hosts is that of the worst. Pure. */
export function report(outcomes: HostOutcome[], release: string): DeployReport {
  const result = worstFirst.find((one) => outcomes.some((outcome) => outcome.result === one)) ?? 'failed';
  const failed =
    outcomes.find(({ details, reason, next }) => reason && (details || next)) ??
    outcomes.find(({ reason }) => reason);
  const told = failed
    ? [failed, ...outcomes.filter((outcome) => outcome !== failed && outcome.reason)]
    : outcomes;
  return {
    result,
    release,
    hosts: outcomes,
    reason: failed?.reason ?? '',
    message: told.map(({ message }) => message).join(' '),
    details: failed?.details ?? '',
    next: failed?.next ?? '',
  };
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

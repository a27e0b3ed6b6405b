import { Cancelled, type Log, messageOf, UserError } from '@lockkeeper/action';
import { type Clock, formatDuration } from '@lockkeeper/wait';
import type { Result, ServiceChange, StagedRelease } from './outcome.ts';
import type { Project } from './project.ts';
import type { SingletonRole } from './singletons.ts';

/** How a release ended on one host. */
export interface HostOutcome {
  host: string;
  result: Result;
  /** What serves now; undefined where nothing does or it is not known. */
  serving?: string;
  /** What served before. */
  previous?: string;
  images: Record<string, string>;
  services: ServiceChange[];
  /** One line: why it failed; '' otherwise. */
  reason: string;
  /** The whole story in a few sentences. */
  message: string;
  /** Health checks and log lines of what failed. */
  details: string;
  /** The next command to type. */
  next: string;
  /** Milliseconds in which replaced services were not proven yet. */
  downtime: number;
  duration: number;
}

/**
 * Switches a host to a staged release, proves it, or goes back. A failure is an outcome; only a cancel is
 * thrown, and leaves the undoing to the post step.
 */
export async function deployRelease(
  project: Project,
  staged: StagedRelease,
  {
    rollback,
    log,
    clock,
    preDeploy = true,
    wayBack = async () => 'as-recorded',
  }: {
    rollback: boolean;
    log: Log;
    clock: Clock;
    preDeploy?: boolean;
    /** What this host does with the singleton services when it goes back. */
    wayBack?: () => Promise<SingletonRole>;
  },
): Promise<HostOutcome> {
  const started = clock.now();
  const previous = project.serving;
  const outcome = (result: Result, rest: Partial<HostOutcome>): HostOutcome => ({
    host: project.host,
    result,
    previous,
    serving: project.serving,
    images: Object.fromEntries(
      Object.entries(staged.images).map(([service, image]) => [service, image.digest ?? image.id]),
    ),
    services: staged.plan,
    reason: '',
    message: '',
    details: '',
    next: '',
    downtime: project.downtime,
    duration: clock.now() - started,
    ...rest,
  });

  if (staged.unchanged && previous) {
    const verdict = await project.verify(previous);
    await project.discard(staged.id);
    if (verdict.good)
      return outcome('unchanged', { message: `${project.host} already serves this; it is healthy.` });
    return outcome('failed', {
      reason: verdict.reason,
      message: `${verdict.reason}. Nothing was changed: this release already served.`,
      details: verdict.details,
      next: verdict.next,
    });
  }

  let failure: { reason: string; details: string; next: string };
  try {
    if (preDeploy) await project.preDeploy(staged.id);
    await project.switchTo(staged.id);
    const verdict = await project.verify(staged.id);
    if (verdict.good) {
      await project.postDeploy(staged.id);
      await project.settle(staged.id);
      const gone =
        project.downtime > 0 ? ` Replaced services were away for ${formatDuration(project.downtime)}.` : '';
      return outcome('deployed', {
        message: `${project.host} serves ${staged.id}, verified.${gone}`,
      });
    }
    failure = verdict;
  } catch (error) {
    if (error instanceof Cancelled) throw error;
    failure = await explain(project, staged, error);
  }
  return undo(project, failure, { rollback, log, wayBack, outcome });
}

/** `docker compose up` says little of why: where a container tells more, that is the reason. */
async function explain(project: Project, staged: StagedRelease, error: unknown) {
  const own = {
    reason: messageOf(error),
    details:
      error instanceof UserError ? (error.details ?? '') : error instanceof Error ? (error.stack ?? '') : '',
    next: error instanceof UserError ? (error.next ?? '') : '',
  };
  if (!/^docker compose up on \S+ \(exit code/.test(own.reason)) return own;
  try {
    const verdict = await project.verify(staged.id, 1);
    if (verdict.services.some(({ state }) => state === 'failed')) return verdict;
  } catch (cause) {
    if (cause instanceof Cancelled) throw cause;
  }
  return own;
}

async function undo(
  project: Project,
  failure: { reason: string; details: string; next: string },
  {
    rollback,
    log,
    wayBack,
    outcome,
  }: {
    rollback: boolean;
    log: Log;
    wayBack: () => Promise<SingletonRole>;
    outcome: (result: Result, rest: Partial<HostOutcome>) => HostOutcome;
  },
): Promise<HostOutcome> {
  const { reason, details, next } = failure;
  if (!rollback) {
    await project.leaveAsItIs();
    return outcome('failed', {
      reason,
      details,
      next,
      serving: undefined,
      message: `${reason}. rollback is false, so it was left as it is.`,
    });
  }
  if (!(await project.needsRollBack()))
    return outcome('failed', { reason, details, next, message: `${reason}. No container was changed.` });
  log.info(`${project.host}: ${reason}; going back`);
  const back = await project.rollBack(reason, { singletons: await wayBack() });
  const away =
    project.downtime > 0 && back.verified
      ? ` Users were without service for ${formatDuration(project.downtime)}.`
      : '';
  return outcome(back.verified ? (back.serving ? 'rolled-back' : 'failed') : 'rollback-failed', {
    reason,
    details,
    next,
    serving: back.serving,
    downtime: project.downtime,
    message: `${reason}. ${back.message}${away}`,
  });
}

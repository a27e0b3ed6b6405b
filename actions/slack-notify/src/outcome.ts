export const statuses = ['success', 'failure', 'cancelled', 'skipped'] as const;
export type Status = (typeof statuses)[number];

/** `needs.<id>.result` as the workflow sees it. */
export type Needs = Record<string, Status>;

/** A job of this attempt, as the Actions API tells of it. */
export interface Job {
  /** The name as shown, such as `deploy (eu, 2)` or `caller / called`. */
  name: string;
  url: string;
  /** `queued`, `in_progress`, `completed` … */
  status: string;
  /** Null while it runs. `timed_out` and others exist besides the four. */
  conclusion: string | null;
  runnerName: string;
  /** Milliseconds since the epoch. */
  startedAt?: number;
  completedAt?: number;
  steps: Array<{ name: string; number: number; conclusion: string | null }>;
}

/** A job that failed or was cancelled. */
export interface EndedJob {
  name: string;
  /** The step that ended it. */
  step?: string;
  /** The page of the job, at that step where it is known. */
  url?: string;
  durationMs?: number;
}

/** What became of the run, as far as it can be known from within one of its jobs. */
export interface Outcome {
  status: Status;
  /** What failed, or what was cancelled; first what ended first. */
  ended: EndedJob[];
  /** Since this attempt began. */
  durationMs?: number;
}

/** The conclusions of jobs and steps that make a run end so. */
const endings: { failure: Set<string>; cancelled: Set<string>; success?: undefined; skipped?: undefined } = {
  failure: new Set(['failure', 'timed_out', 'startup_failure', 'action_required']),
  cancelled: new Set(['cancelled']),
};

/**
 * The status that the message tells: the worst of what was given, what `needs` say and what the API shows.
 * A failure anywhere wins, then a cancellation; where everything needed was skipped, nothing succeeded.
 */
export function judge({
  status,
  needs,
  jobs,
  startedAt,
  self,
  now,
}: {
  status: Status | undefined;
  needs: Needs;
  /** Undefined when the API could not be asked. */
  jobs?: Job[];
  startedAt?: number;
  /** How to find our own job among them: it still runs, so it has no conclusion. */
  self: { runnerName: string; jobId: string };
  now: number;
}): Outcome {
  const own = ownJob(jobs ?? [], self);
  const others = (jobs ?? [])
    .filter((job) => job !== own && !mayFail(job, needs))
    .sort((a, b) => (a.completedAt ?? now) - (b.completedAt ?? now));
  const verdict = worst(status, Object.values(needs), others);
  const took = startedAt === undefined ? {} : { durationMs: Math.max(0, now - startedAt) };
  const conclusions = endings[verdict];
  if (!conclusions) return { status: verdict, ended: [], ...took };

  const ended = others
    .filter(({ conclusion }) => conclusions.has(conclusion ?? ''))
    .map((job) => endedJob(job, conclusions, now))
    // A job that was cancelled before it began tells nothing; one that was cut off in a step does.
    .filter(({ step }) => verdict === 'failure' || step !== undefined);
  // A step that was allowed to fail may look failed, too: our own job counts only when it is said to have failed.
  if (own && status === verdict) {
    const mine = endedJob(own, conclusions, now);
    if (mine.step || (verdict === 'failure' && ended.length === 0)) ended.push(mine);
  }
  if (ended.length === 0)
    for (const [name, result] of Object.entries(needs)) if (result === verdict) ended.push({ name });
  return { status: verdict, ended, ...took };
}

function worst(status: Status | undefined, results: Status[], others: Job[]): Status {
  const any = (verdict: 'failure' | 'cancelled') =>
    status === verdict ||
    results.includes(verdict) ||
    others.some(({ conclusion }) => endings[verdict].has(conclusion ?? ''));
  if (any('failure')) return 'failure';
  if (any('cancelled')) return 'cancelled';
  if (status === 'skipped') return 'skipped';
  if (results.length > 0 && !results.includes('success')) return 'skipped';
  return status ?? 'success';
}

/**
 * The API shows a job with `continue-on-error` as failed, `needs` as a success (actions/runner#1161), and the run
 * is green: such a job, or leg, or called job, is no failure. It is known by its name, unless it was given another.
 */
function mayFail({ name }: Job, needs: Needs): boolean {
  return Object.entries(needs).some(
    ([id, result]) =>
      result === 'success' && (name === id || name.startsWith(`${id} (`) || name.startsWith(`${id} / `)),
  );
}

/** By its runner; where that is not told, by its id, if only one job that runs can be meant. */
function ownJob(jobs: Job[], { runnerName, jobId }: { runnerName: string; jobId: string }): Job | undefined {
  const running = jobs.filter(({ status }) => status !== 'completed');
  const byRunner = running.find((job) => runnerName !== '' && job.runnerName === runnerName);
  if (byRunner) return byRunner;
  const byName = running.filter((job) => {
    // `id`, `id (leg)`, `caller / id`, `caller / id (leg)`.
    const last = job.name.split(' / ').at(-1)!;
    return (runnerName === '' || job.runnerName === '') && (last === jobId || last.startsWith(`${jobId} (`));
  });
  return byName.length === 1 ? byName[0] : undefined;
}

function endedJob(job: Job, conclusions: Set<string>, now: number): EndedJob {
  const step = job.steps.find(({ conclusion }) => conclusions.has(conclusion ?? ''));
  return {
    name: job.name,
    ...(step ? { step: step.name } : {}),
    ...(job.url ? { url: step ? `${job.url}#step:${step.number}:1` : job.url } : {}),
    ...(job.startedAt === undefined
      ? {}
      : { durationMs: Math.max(0, (job.completedAt ?? now) - job.startedAt) }),
  };
}

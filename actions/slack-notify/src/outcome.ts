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

export interface FailedJob {
  name: string;
  step?: string;
  /** The page of the job, at the failed step where it is known. */
  url?: string;
  durationMs?: number;
}

/** What became of the run, as far as it can be known from within one of its jobs. */
export interface Outcome {
  status: Status;
  failed: FailedJob[];
  /** Since the first job of this attempt began. */
  durationMs?: number;
}

const failures = new Set(['failure', 'timed_out', 'startup_failure', 'action_required']);

/**
 * The status that the message tells: the worst of what was given, what `needs` say and what the API shows.
 * A failure anywhere wins, then a cancellation; where everything needed was skipped, nothing succeeded.
 */
export function judge({
  status,
  needs,
  jobs,
  self,
  now,
}: {
  status: Status | undefined;
  needs: Needs;
  /** Undefined when the API could not be asked. */
  jobs: Job[] | undefined;
  /** How to find our own job among them: it still runs, so it has no conclusion. */
  self: { runnerName: string; jobId: string };
  now: number;
}): Outcome {
  const results = Object.values(needs);
  const own = jobs?.find((job) => isSelf(job, self));
  const others = (jobs ?? []).filter((job) => job !== own);
  const failedOthers = others.filter(({ conclusion }) => failures.has(conclusion ?? ''));

  const worst = (): Status => {
    if (status === 'failure' || results.includes('failure') || failedOthers.length > 0) return 'failure';
    if (
      status === 'cancelled' ||
      results.includes('cancelled') ||
      others.some(({ conclusion }) => conclusion === 'cancelled')
    )
      return 'cancelled';
    if (status === 'skipped') return 'skipped';
    if (results.length > 0 && !results.includes('success')) return 'skipped';
    return status ?? 'success';
  };
  const verdict = worst();

  const failed: FailedJob[] = [];
  if (verdict === 'failure') {
    failed.push(...failedOthers.map((job) => failedJob(job, now)));
    // A step that was allowed to fail may look failed, too: our own job counts only when it is said to have failed.
    if (own && status === 'failure') {
      const mine = failedJob(own, now);
      if (mine.step || failed.length === 0) failed.push(mine);
    }
    if (failed.length === 0)
      failed.push(
        ...Object.entries(needs)
          .filter(([, result]) => result === 'failure')
          .map(([name]) => ({ name })),
      );
  }
  const starts = (jobs ?? []).flatMap(({ startedAt }) => (startedAt === undefined ? [] : [startedAt]));
  return {
    status: verdict,
    failed,
    ...(starts.length > 0 ? { durationMs: Math.max(0, now - Math.min(...starts)) } : {}),
  };
}

function isSelf(job: Job, { runnerName, jobId }: { runnerName: string; jobId: string }): boolean {
  if (job.status === 'completed') return false;
  if (runnerName && job.runnerName) return job.runnerName === runnerName;
  return job.name === jobId || job.name.startsWith(`${jobId} (`);
}

function failedJob(job: Job, now: number): FailedJob {
  const step = job.steps.find(({ conclusion }) => failures.has(conclusion ?? ''));
  return {
    name: job.name,
    ...(step ? { step: step.name } : {}),
    ...(job.url ? { url: step ? `${job.url}#step:${step.number}:1` : job.url } : {}),
    ...(job.startedAt === undefined
      ? {}
      : { durationMs: Math.max(0, (job.completedAt ?? now) - job.startedAt) }),
  };
}

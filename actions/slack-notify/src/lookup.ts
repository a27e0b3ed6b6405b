import { messageOf } from '@lockkeeper/action';
import { type Clock, formatDuration } from '@lockkeeper/wait';
import type { Job } from './outcome.ts';

/** The commit that the run is about, as the API tells of it. */
export interface HeadCommit {
  message: string;
  author: string;
}

/** What is asked of the Actions API; throws what it answers. */
export interface ActionsApi {
  attempt(signal: AbortSignal): Promise<{ startedAt?: number; commit?: HeadCommit }>;
  /** Pages of 100, from 1 on; `total` over all pages. */
  jobs(page: number, signal: AbortSignal): Promise<{ total: number; jobs: Job[] }>;
}

/** As much as could be learnt of this attempt of this run. */
export interface Lookup {
  /** Undefined when not one could be read. */
  jobs?: Job[];
  /** When this attempt began; jobs of a re-run that were not run again began long before. */
  startedAt?: number;
  commit?: HeadCommit;
  /** Why jobs are missing, with the mend. */
  problem?: string;
}

/**
 * Asks for the run and all its jobs, within `ms`. It never throws: whatever goes wrong here, the message is sent
 * with what is known.
 */
export async function lookUp(
  api: ActionsApi,
  { clock, signal, ms = 10_000 }: { clock: Clock; signal: AbortSignal; ms?: number },
): Promise<Lookup> {
  const limit = AbortSignal.timeout(ms);
  const stop = AbortSignal.any([signal, limit]);
  const [attempt, list] = await Promise.all([
    twice(() => api.attempt(stop), clock, stop).catch(() => undefined),
    allJobs(api, clock, stop),
  ]);
  const known = list.jobs.length > 0 || list.error === undefined;
  return {
    ...attempt,
    ...(known ? { jobs: list.jobs } : {}),
    ...(list.error === undefined
      ? {}
      : { problem: explain(list.error, limit.aborted ? ms : undefined, list.jobs.length) }),
  };
}

async function allJobs(
  api: ActionsApi,
  clock: Clock,
  stop: AbortSignal,
): Promise<{ jobs: Job[]; error?: unknown }> {
  const jobs: Job[] = [];
  try {
    for (let page = 1; ; page++) {
      const answer = await twice(() => api.jobs(page, stop), clock, stop);
      jobs.push(...answer.jobs);
      if (answer.jobs.length === 0 || jobs.length >= answer.total) return { jobs };
    }
  } catch (error) {
    return { jobs, error };
  }
}

/** Once more after a second where the API itself has a bad moment. */
async function twice<T>(ask: () => Promise<T>, clock: Clock, stop: AbortSignal): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    const status = statusOf(error);
    if (stop.aborted || (status !== undefined && status < 500)) throw error;
    await clock.sleep(1_000, stop);
    return ask();
  }
}

// Octokit gives a call that met no answer the status 500, too.
const statusOf = (error: unknown): number | undefined => {
  const { status } = error as { status?: unknown };
  return typeof status === 'number' ? status : undefined;
};

function explain(error: unknown, timedOutAfter: number | undefined, read: number): string {
  const status = statusOf(error);
  const text = messageOf(error);
  const reason =
    timedOutAfter !== undefined
      ? `the Actions API did not answer within ${formatDuration(timedOutAfter)}`
      : status === 401
        ? 'the Actions API does not know github-token (401); leave the input out'
        : /rate limit/i.test(text)
          ? `the Actions API's rate limit is used up (${status})`
          : status === 403 || status === 404
            ? `the Actions API refuses (${status}); add permissions: actions: read to the job`
            : `the Actions API failed: ${text}`;
  return read > 0
    ? `only the first ${read} jobs could be read, so a failed one may go unnamed: ${reason}`
    : `the failed job and step cannot be named: ${reason}`;
}

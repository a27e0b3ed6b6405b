import type { GitHubContext } from '@lockkeeper/action';
import { octokit } from '@lockkeeper/action/github';
import type { Job } from './outcome.ts';

/** Every job of this attempt of this run, all pages. Needs `actions: read`; throws what the API answers. */
export async function readJobs(
  token: string,
  { owner, repo, runId, runAttempt }: Pick<GitHubContext, 'owner' | 'repo' | 'runId' | 'runAttempt'>,
  signal: AbortSignal,
): Promise<Job[]> {
  const github = octokit(token);
  const jobs = await github.paginate(github.rest.actions.listJobsForWorkflowRunAttempt, {
    owner,
    repo,
    run_id: Number(runId),
    attempt_number: runAttempt,
    per_page: 100,
    request: { signal },
  });
  return jobs.map((job) => ({
    name: job.name,
    url: job.html_url ?? '',
    status: job.status,
    conclusion: job.conclusion,
    runnerName: job.runner_name ?? '',
    ...time('startedAt', job.started_at),
    ...time('completedAt', job.completed_at),
    steps: (job.steps ?? []).map(({ name, number, conclusion }) => ({ name, number, conclusion })),
  }));
}

function time<K extends string>(key: K, text: string | null | undefined): Partial<Record<K, number>> {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? {} : ({ [key]: ms } as Record<K, number>);
}

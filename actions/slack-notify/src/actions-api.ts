import type { GitHubContext } from '@lockkeeper/action';
import { octokit } from '@lockkeeper/action/github';
import type { ActionsApi } from './lookup.ts';

/** The Actions API of this run's server, for this attempt of this run. Needs `actions: read`. */
export function actionsApi(
  token: string,
  { owner, repo, runId, runAttempt }: Pick<GitHubContext, 'owner' | 'repo' | 'runId' | 'runAttempt'>,
): ActionsApi {
  const { actions } = octokit(token).rest;
  const attempt = { owner, repo, run_id: Number(runId), attempt_number: runAttempt };
  return {
    async attempt(signal) {
      const { data } = await actions.getWorkflowRunAttempt({ ...attempt, request: { signal } });
      const { message, author } = data.head_commit ?? {};
      return {
        ...time('startedAt', data.run_started_at),
        ...(message ? { commit: { message, author: author?.name ?? '' } } : {}),
      };
    },
    async jobs(page, signal) {
      const { data } = await actions.listJobsForWorkflowRunAttempt({
        ...attempt,
        per_page: 100,
        page,
        request: { signal },
      });
      const jobs = data.jobs.map((job) => ({
        name: job.name,
        url: job.html_url ?? '',
        status: job.status,
        conclusion: job.conclusion,
        runnerName: job.runner_name ?? '',
        ...time('startedAt', job.started_at),
        ...time('completedAt', job.completed_at),
        steps: (job.steps ?? []).map(({ name, number, conclusion }) => ({ name, number, conclusion })),
      }));
      return { total: data.total_count, jobs };
    },
  };
}

function time<K extends string>(key: K, text: string | null | undefined): Partial<Record<K, number>> {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? {} : ({ [key]: ms } as Record<K, number>);
}

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type GithubApi, type LiveRun, openGithubApi } from '../src/github-api.ts';
import type { JobReport } from '../src/report.ts';

const at = Date.UTC(2026, 10, 21, 3, 12, 0, 500);
const job = (number: number, over: Partial<JobReport> = {}): JobReport => ({
  key: `job${number}`,
  id: `job${number}`,
  name: `Job ${number}`,
  number,
  status: 'queued',
  createdAt: at,
  ms: 0,
  steps: [],
  plannedSteps: [],
  outputs: {},
  annotations: [],
  summary: '',
  log: [],
  survivors: [],
  lost: false,
  labels: ['ubuntu-latest'],
  ...over,
});
const step = { outputs: {}, annotations: [], summary: '', log: [], ms: 1000 };

describe('the API of the run', () => {
  let run: LiveRun;
  let api: GithubApi;
  beforeEach(async () => {
    run = {
      facts: {
        repository: 'o/r',
        sha: 'abc',
        ref: 'refs/heads/main',
        actor: 'keeper',
        runId: '77',
        runNumber: '3',
        runAttempt: '2',
        serverUrl: 'https://github.com',
      },
      name: 'Ship',
      event: 'push',
      path: '.github/workflows/ship.yml',
      status: 'in_progress',
      createdAt: at,
      updatedAt: at,
      jobs: [],
      runner: 'keeper',
    };
    api = await openGithubApi(run);
    api.admit('good', { scopes: { actions: 'read' } });
    api.admit('blind', { scopes: { contents: 'read' } });
  });
  afterEach(() => api.close());

  const get = (path: string, authorization: string | undefined = 'Bearer good') =>
    fetch(`${api.url}${path}`, { headers: authorization === '' ? {} : { authorization } });

  it('tells of the jobs and steps as they stand, also while they run', async () => {
    const failed = { ...step, id: 'a', name: 'Roll', phase: 'main', index: 0, status: 'completed' } as const;
    run.jobs.push(
      job(1, {
        status: 'in_progress',
        startedAt: at + 1000,
        steps: [
          {
            ...failed,
            conclusion: 'failure',
            outcome: 'failure',
            startedAt: at + 1000,
            completedAt: at + 2000,
          },
          {
            ...step,
            id: 'b',
            name: 'Say it',
            phase: 'main',
            index: 1,
            status: 'in_progress',
            startedAt: at + 2000,
          },
        ],
        plannedSteps: ['Roll', 'Say it', 'After'],
      }),
    );
    const response = await get('/repos/o/r/actions/runs/77/attempts/2/jobs');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      total_count: 1,
      jobs: [
        {
          id: 1,
          run_id: 77,
          name: 'Job 1',
          status: 'in_progress',
          conclusion: null,
          started_at: '2026-11-21T03:12:01Z',
          completed_at: null,
          runner_name: 'keeper 1',
          html_url: 'https://github.com/o/r/actions/runs/77/job/1',
          steps: [
            { number: 1, name: 'Roll', conclusion: 'failure', completed_at: '2026-11-21T03:12:02Z' },
            { number: 2, name: 'Say it', status: 'in_progress', conclusion: null },
            { number: 3, name: 'After', status: 'queued', started_at: null },
          ],
        },
      ],
    });
  });

  it('gives jobs in pages, with links to the others', async () => {
    for (let number = 1; number <= 5; number++) run.jobs.push(job(number));
    const path = '/repos/o/r/actions/runs/77/jobs?per_page=2&page=2';
    const response = await get(path, 'token good');
    const { total_count: total, jobs } = (await response.json()) as {
      total_count: number;
      jobs: { id: number }[];
    };
    expect([total, jobs.map(({ id }) => id)]).toEqual([5, [3, 4]]);
    const link = response.headers.get('link') ?? '';
    expect(link).toContain(`<${api.url}/repos/o/r/actions/runs/77/jobs?per_page=2&page=3>; rel="next"`);
    expect(link).toContain('page=3>; rel="last"');
    expect(link).toContain('page=1>; rel="prev"');
    expect((await get('/repos/o/r/actions/runs/77/jobs')).headers.get('link')).toBeNull();
  });

  it('tells of the run', async () => {
    const response = await get('/repos/o/r/actions/runs/77');
    expect(await response.json()).toMatchObject({
      id: 77,
      run_attempt: 2,
      status: 'in_progress',
      conclusion: null,
      html_url: 'https://github.com/o/r/actions/runs/77',
      head_commit: { id: 'abc', message: 'A change', author: { name: 'keeper' } },
      repository: { full_name: 'o/r' },
    });
  });

  it.each<[string, string, number, string]>([
    ['no token', '', 401, 'Requires authentication'],
    ['an unknown token', 'Bearer bad', 401, 'Bad credentials'],
    ['a token without actions: read', 'Bearer blind', 403, 'Resource not accessible by integration'],
  ])('refuses %s', async (_, authorization, status, message) => {
    const response = await get('/repos/o/r/actions/runs/77/jobs', authorization);
    expect([response.status, await response.json()]).toEqual([status, { message, status: String(status) }]);
  });

  it.each([
    '/repos/o/other/actions/runs/77',
    '/repos/o/r/actions/runs/78',
    '/repos/o/r/actions/runs/77/attempts/1/jobs',
    '/user',
  ])('knows nothing of %s', async (path) => {
    expect((await get(path)).status).toBe(404);
  });
});

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RunFacts } from './event.ts';
import type { JobReport, StepReport } from './report.ts';
import { type Permissions, permits } from './workflow.ts';

/** What the API tells of: the run as it stands at the moment of the question. */
export interface LiveRun {
  facts: RunFacts;
  name: string;
  event: string;
  /** Path of the workflow in its repository. */
  path: string;
  status: 'in_progress' | 'completed';
  conclusion?: string;
  createdAt: number;
  updatedAt: number;
  /** As the event has it; a made-up one where it has none, because the API always tells of one. */
  headCommit?: unknown;
  jobs: JobReport[];
  /** What the runners are called, of which each job has its own. */
  runner: string;
}

/** RUNNER_NAME of a job: a step finds its own job in the API by it. */
export function runnerName(runner: string, job: Pick<JobReport, 'number'>): string {
  return `${runner} ${job.number}`;
}

export interface GithubApi {
  url: string;
  /** Makes a token known, with what it may do. */
  admit(token: string, permissions: Permissions | undefined): void;
  close(): Promise<void>;
}

/**
 * A stand-in for the part of GitHub's REST API that tells of a run and its jobs, on a loopback port.
 * Shapes are those of "List jobs for a workflow run attempt" (REST API 2022-11-28).
 */
export async function openGithubApi(run: LiveRun): Promise<GithubApi> {
  const tokens = new Map<string, Permissions | undefined>();
  const server = createServer((request, response) => {
    request.resume();
    const { status, body, headers } = reply(run, tokens, request);
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  server.unref();
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    admit: (token, permissions) => tokens.set(token, permissions),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Reply {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

function reply(run: LiveRun, tokens: Map<string, Permissions | undefined>, request: IncomingMessage): Reply {
  const refused = (status: number, message: string, headers: Record<string, string> = {}): Reply => {
    return { status, body: { message, status: String(status) }, headers };
  };
  const url = new URL(request.url ?? '/', `http://${request.headers.host ?? '127.0.0.1'}`);
  const given = /^(?:bearer|token)\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (given === undefined) return refused(401, 'Requires authentication');
  if (!tokens.has(given)) return refused(401, 'Bad credentials');

  const { repository, runId, runAttempt } = run.facts;
  const base = `/repos/${repository}/actions/runs/${runId}`;
  const attempt = `${base}/attempts/${runAttempt}`;
  const known = [base, attempt, `${base}/jobs`, `${attempt}/jobs`];
  if (request.method !== 'GET' || !known.includes(url.pathname)) return refused(404, 'Not Found');
  if (!permits(tokens.get(given), 'actions', 'read')) {
    const headers = { 'x-accepted-github-permissions': 'actions=read' };
    return refused(403, 'Resource not accessible by integration', headers);
  }
  if (!url.pathname.endsWith('/jobs')) return { status: 200, body: runJson(run, url.origin) };

  const size = Math.min(Math.max(Number(url.searchParams.get('per_page') ?? 30) || 30, 1), 100);
  const page = Math.max(Number(url.searchParams.get('page') ?? 1) || 1, 1);
  const last = Math.max(Math.ceil(run.jobs.length / size), 1);
  const jobs = run.jobs.slice((page - 1) * size, page * size).map((job) => jobJson(run, job, url.origin));
  const headers = linkHeader(url, page, last);
  return { status: 200, body: { total_count: run.jobs.length, jobs }, headers };
}

function linkHeader(url: URL, page: number, last: number): Record<string, string> {
  const at = (number: number, rel: string) => {
    const link = new URL(url);
    link.searchParams.set('page', String(number));
    return `<${link.href}>; rel="${rel}"`;
  };
  const links: string[] = [];
  if (page > 1) links.push(at(page - 1, 'prev'));
  if (page < last) links.push(at(page + 1, 'next'), at(last, 'last'));
  if (page > 1) links.push(at(1, 'first'));
  return links.length > 0 ? { link: links.join(', ') } : {};
}

function runJson(run: LiveRun, api: string): Record<string, unknown> {
  const { repository, runId, runAttempt, runNumber, sha, serverUrl, actor } = run.facts;
  const html = `${serverUrl}/${repository}/actions/runs/${runId}`;
  const url = `${api}/repos/${repository}/actions/runs/${runId}`;
  const [owner = '', name = ''] = repository.split('/');
  return {
    id: Number(runId),
    name: run.name,
    head_branch: branch(run),
    head_sha: sha,
    head_commit: run.headCommit ?? { id: sha, message: 'A change', author: { name: actor } },
    path: run.path,
    display_title: run.name,
    run_number: Number(runNumber),
    run_attempt: Number(runAttempt),
    event: run.event,
    status: run.status,
    conclusion: run.conclusion ?? null,
    url,
    html_url: html,
    jobs_url: `${url}/jobs`,
    created_at: iso(run.createdAt),
    run_started_at: iso(run.createdAt),
    updated_at: iso(run.updatedAt),
    actor: { login: actor },
    triggering_actor: { login: actor },
    repository: { full_name: repository, name, owner: { login: owner } },
  };
}

function jobJson(run: LiveRun, job: JobReport, api: string): Record<string, unknown> {
  const { repository, runId, runAttempt, sha, serverUrl } = run.facts;
  const html = `${serverUrl}/${repository}/actions/runs/${runId}`;
  const url = `${api}/repos/${repository}/actions`;
  const begun = job.steps.map(stepJson);
  const waiting = job.plannedSteps
    .filter((_, index) => !job.steps.some((step) => step.index === index && step.phase === 'main'))
    .map((name) => ({ name, status: 'queued', conclusion: null, started_at: null, completed_at: null }));
  const steps = [...begun, ...(job.status === 'completed' ? [] : waiting)];
  return {
    id: job.number,
    run_id: Number(runId),
    run_url: `${url}/runs/${runId}`,
    run_attempt: Number(runAttempt),
    head_sha: sha,
    head_branch: branch(run),
    url: `${url}/jobs/${job.number}`,
    html_url: `${html}/job/${job.number}`,
    status: job.status,
    conclusion: job.conclusion ?? null,
    created_at: iso(job.createdAt),
    started_at: iso(job.startedAt ?? job.createdAt),
    completed_at: job.completedAt === undefined ? null : iso(job.completedAt),
    name: job.name,
    steps: steps.map((step, index) => ({ ...step, number: index + 1 })),
    labels: job.labels,
    runner_name: job.startedAt === undefined ? null : runnerName(run.runner, job),
    workflow_name: run.name,
  };
}

function stepJson(step: StepReport) {
  return {
    name: step.name,
    status: step.status,
    conclusion: step.conclusion ?? null,
    started_at: iso(step.startedAt),
    completed_at: step.completedAt === undefined ? null : iso(step.completedAt),
  };
}

function branch(run: LiveRun): string {
  return run.facts.ref.replace(/^refs\/(heads|tags)\//, '');
}

/** GitHub's times have whole seconds. */
function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

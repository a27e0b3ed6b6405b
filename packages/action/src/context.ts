import { readFileSync } from 'node:fs';

/** What the runner says of this run, in GITHUB_* variables. */
export interface GitHubContext {
  repository: string;
  owner: string;
  repo: string;
  sha: string;
  ref: string;
  refName: string;
  refType: string;
  actor: string;
  workflow: string;
  job: string;
  runId: string;
  runNumber: string;
  runAttempt: number;
  eventName: string;
  /** The webhook payload that started the run; {} where there is none. */
  event: Record<string, unknown>;
  serverUrl: string;
  apiUrl: string;
  /** The page of this attempt of this run. */
  runUrl: string;
  workspace: string;
  temp: string;
}

/** The context from the runner's variables; on GitHub Enterprise Server the URLs are its own. */
export function githubContext(env: Record<string, string | undefined>): GitHubContext {
  const get = (name: string) => env[name] ?? '';
  const repository = get('GITHUB_REPOSITORY');
  const [owner = '', repo = ''] = repository.split('/');
  const serverUrl = get('GITHUB_SERVER_URL') || 'https://github.com';
  const runAttempt = Number(get('GITHUB_RUN_ATTEMPT')) || 1;
  return {
    repository,
    owner,
    repo,
    sha: get('GITHUB_SHA'),
    ref: get('GITHUB_REF'),
    refName: get('GITHUB_REF_NAME'),
    refType: get('GITHUB_REF_TYPE'),
    actor: get('GITHUB_TRIGGERING_ACTOR') || get('GITHUB_ACTOR'),
    workflow: get('GITHUB_WORKFLOW'),
    job: get('GITHUB_JOB'),
    runId: get('GITHUB_RUN_ID'),
    runNumber: get('GITHUB_RUN_NUMBER'),
    runAttempt,
    eventName: get('GITHUB_EVENT_NAME'),
    event: readEvent(get('GITHUB_EVENT_PATH')),
    serverUrl,
    apiUrl: get('GITHUB_API_URL') || 'https://api.github.com',
    runUrl: `${serverUrl}/${repository}/actions/runs/${get('GITHUB_RUN_ID')}${runAttempt > 1 ? `/attempts/${runAttempt}` : ''}`,
    workspace: get('GITHUB_WORKSPACE'),
    temp: get('RUNNER_TEMP'),
  };
}

function readEvent(path: string): Record<string, unknown> {
  if (!path) return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch {
    // The event only adds to messages; a run without it goes on.
    return {};
  }
}

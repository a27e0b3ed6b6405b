import type { GitHubContext } from '@lockkeeper/action';
import { changeOf } from '../src/change.ts';
import { compose, type Payload, type Words } from '../src/message.ts';
import { type Job, judge, type Needs, type Status } from '../src/outcome.ts';

/** A run of the reference workflow and how it ended: what the README shows, and what the goldens hold. */
export interface Scene {
  status?: Status;
  needs?: Needs;
  /** Undefined where the API could not be asked. */
  jobs?: Job[];
  words?: Partial<Words>;
  context?: Partial<GitHubContext>;
}

export const start = Date.parse('2026-11-21T03:00:00Z');
export const now = start + 6 * 60_000 + 12_000;
export const self = { runnerName: 'runner of notify', jobId: 'notify' };

export const context: GitHubContext = {
  repository: 'octo/app',
  owner: 'octo',
  repo: 'app',
  sha: '8863086285d071d83efd72f2be8a0b21a5ac3d3e',
  ref: 'refs/heads/main',
  refName: 'main',
  refType: 'branch',
  actor: 'octo',
  workflow: 'Deploy behind the load balancer',
  job: 'notify',
  runId: '99',
  runNumber: '128',
  runAttempt: 1,
  eventName: 'push',
  event: {
    head_commit: {
      message: 'Ask for <b>both</b> addresses & keep the order (#812)\n\nAs the survey wants it.',
      author: { name: 'Mona Lisa' },
    },
  },
  serverUrl: 'https://github.com',
  apiUrl: 'https://api.github.com',
  runUrl: 'https://github.com/octo/app/actions/runs/99',
  workspace: '/w',
  temp: '/t',
};

export const words: Words = {
  title: 'Deploy',
  stage: 'production',
  version: context.sha,
  url: 'https://app.example.com',
  reason: '',
  fields: [],
  mentions: [{ special: 'here' }],
};

/** A job of the run; with `ending`, the step that did not end well. It took four minutes. */
export function job(name: string, conclusion: string | null, ending?: string, part: Partial<Job> = {}): Job {
  return {
    name,
    url: `https://github.com/octo/app/actions/runs/99/job/10${name.length}`,
    status: conclusion === null ? 'in_progress' : 'completed',
    conclusion,
    runnerName: `runner of ${name}`,
    startedAt: start,
    ...(conclusion === null ? {} : { completedAt: start + 4 * 60_000 }),
    steps: [
      { name: 'Set up job', number: 1, conclusion: 'success' },
      ...(ending ? [{ name: ending, number: 4, conclusion: conclusion ?? 'failure' }] : []),
    ],
    ...part,
  };
}

const before = [job('test', 'success'), job('build-and-push', 'success')];
const notify = job('notify', null);
const roll = 'Roll the release over the instances';

export const scenes = {
  success: {
    needs: { test: 'success', 'build-and-push': 'success', deploy: 'success' },
    jobs: [...before, job('deploy', 'success'), notify],
    words: {
      fields: [
        ['Result', 'deployed'],
        ['Serves', '20261121-030148-8863086-k3f9'],
      ],
    },
  },
  'failure in a matrix job': {
    needs: { test: 'failure', 'build-and-push': 'skipped', deploy: 'skipped' },
    jobs: [
      job('test (3.12, mysql)', 'success'),
      job('test (3.13, mysql)', 'failure', 'Test'),
      job('build-and-push', 'skipped', undefined, { startedAt: undefined }),
      job('deploy', 'skipped', undefined, { startedAt: undefined }),
      notify,
    ],
    // What the deploy job did not get to say.
    words: {
      fields: [
        ['Result', ''],
        ['Serves', ''],
      ],
    },
  },
  'rolled back': {
    needs: { test: 'success', 'build-and-push': 'success', deploy: 'failure' },
    jobs: [...before, job('deploy', 'failure', 'Is it the new version that users reach?'), notify],
    words: {
      reason: '0 of 58 probes were good, never 10 in a row; last: database is false, expected true',
      fields: [
        ['Result', 'rolled-back'],
        ['Serves', '20261120-174209-41d2c07-p0xv'],
      ],
    },
  },
  cancelled: {
    needs: { test: 'success', 'build-and-push': 'success', deploy: 'cancelled' },
    jobs: [...before, job('deploy', 'cancelled', roll), notify],
    words: {
      reason: 'cancelled (SIGINT) while i-0881cd424e42a8512 was draining; it is back in rotation',
      fields: [
        ['Result', 'failed'],
        ['Serves', '20261120-174209-41d2c07-p0xv'],
      ],
    },
  },
  skipped: {
    needs: { test: 'skipped', 'build-and-push': 'skipped', deploy: 'skipped' },
    words: { version: '' },
    context: { eventName: 'workflow_dispatch', event: {} },
  },
  're-run': {
    needs: { test: 'success', 'build-and-push': 'success', deploy: 'failure' },
    jobs: [
      // Not run again: as the first attempt left them, the day before.
      ...before.map((one) => ({ ...one, startedAt: start - 86_400_000, completedAt: start - 86_100_000 })),
      job('deploy', 'failure', roll),
      notify,
    ],
    words: { reason: 'port 22 of i-0881cd424e42a8512 (203.0.113.7) does not answer' },
    context: { runAttempt: 2, runUrl: `${context.runUrl}/attempts/2` },
  },
  'backup failed': {
    status: 'failure',
    words: {
      title: '',
      stage: '',
      version: '',
      url: '',
      reason:
        'pg_dump: error: connection to server at "db" (172.18.0.3), port 5432 failed: Connection refused',
      mentions: [],
    },
    context: { workflow: 'Backup', job: 'backup', eventName: 'schedule', event: { schedule: '0 18 * * *' } },
  },
} satisfies Record<string, Scene>;

export type SceneName = keyof typeof scenes;

/** The message of a scene, made as the action makes it. */
export function messageOf({
  status = 'success',
  needs = {},
  jobs,
  words: said,
  context: around,
}: Scene): Payload {
  const place = { ...context, ...around };
  const outcome = judge({ status, needs, jobs, startedAt: jobs && start, self, now });
  return compose(outcome, { ...words, ...said }, changeOf(place), place);
}

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ActionStandIn,
  type JobReport,
  leaksIn,
  loadStandIns,
  loadWorkflow,
  nodePath,
  runWorkflow,
  type StandIns,
  type Workflow,
  type WorkflowJob,
} from '@lockkeeper/runner';
import { actions, root } from '../tools/manifest.ts';

// The job of our own pipeline that uses the five actions as others do, run here from the committed bundles.

const names = actions().map(({ name }) => name);
const ownName = (uses: string) => /^\.\/actions\/([^@/]+)$/.exec(uses)?.[1];

/** Everything of this working copy, as a checkout has it; what a step writes beside it stays in the scratch. */
const checkout: ActionStandIn = {
  what: 'this working copy, linked',
  perform: async ({ workspace }) => {
    await mkdir(workspace, { recursive: true });
    for (const name of await readdir(root))
      if (name !== '.git') await symlink(join(root, name), join(workspace, name));
    return { conclusion: 'success' };
  },
};

/** Runs the one job of a workflow with the local actions as they are committed. */
async function runOwnJob(workflow: Workflow, standIns: StandIns | undefined): Promise<JobReport> {
  const scratch = mkdtempSync(join(tmpdir(), 'lockkeeper-ci-'));
  const { id } = workflow.jobs[0]!;
  try {
    const result = await runWorkflow(workflow, {
      secrets: {},
      vars: {},
      settings: {
        node: nodePath,
        env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: scratch, LANG: 'C.UTF-8' },
        workspace: join(scratch, 'work'),
        temp: join(scratch, 'temp'),
        toolCache: join(scratch, 'tools'),
        name: 'ci',
      },
      standIns,
      resolveAction: (uses) => {
        if (uses.startsWith('actions/checkout@')) return { standIn: checkout };
        const directory = join(root, uses);
        return uses.startsWith('./') && existsSync(directory) ? { directory } : undefined;
      },
    });
    return result.jobs[id]!;
  } finally {
    // A lab that a failed job left open.
    const env = { ...process.env, RUNNER_TEMP: join(scratch, 'temp', id) };
    await promisify(execFile)(nodePath, [join(root, 'tools/lab/main.ts'), 'close'], { env }).catch(() => {});
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

const lastPost = ({ steps }: JobReport) =>
  steps.filter(({ phase, name }) => phase === 'post' && name !== 'Complete job').at(-1)!;

describe('the job of ci.yml that uses the five actions', () => {
  let job: WorkflowJob;
  let report: JobReport;
  beforeAll(async () => {
    const workflow = await loadWorkflow(join(root, '.github/workflows/ci.yml'));
    const standIns = await loadStandIns(workflow, join(root, 'test/own-actions.stand-ins.yml'));
    job = workflow.jobs.find(({ id }) => id === 'actions')!;
    report = await runOwnJob({ ...workflow, jobs: [job] }, standIns);
  }, 120_000);

  it('is green, each of its steps too', () => {
    const notGreen = report.steps.filter(({ conclusion }) => conclusion !== 'success');
    expect(notGreen.map(({ name, phase, annotations }) => ({ name, phase, annotations }))).toEqual([]);
    expect(report.conclusion).toBe('success');
  });

  it('uses all five', () => {
    const used = job.steps.flatMap((step) => (step.kind === 'uses' ? (ownName(step.uses.text) ?? []) : []));
    expect([...new Set(used)].sort()).toEqual(names);
    expect(report.steps.filter(({ phase }) => phase === 'main')).toHaveLength(job.steps.length);
  });

  it('shows at its very end that nothing is left open', () => {
    expect(lastPost(report).name).toBe('Post Open a lab');
    expect(report.log.slice(-40)).toContain('Nothing is left open.');
    expect(report.survivors).toEqual([]);
  });

  it("shows no secret of the lab's in its log, its summary or an annotation", () => {
    const { outputs } = report.steps.find(({ name, phase }) => name === 'Open a lab' && phase === 'main')!;
    const secrets = [outputs['slack-webhook-url']!, ...outputs['ssh-private-key']!.split('\n').slice(1, -2)];
    const long = secrets.filter((secret) => secret.length > 20);
    expect(long.length).toBeGreaterThan(4);
    expect(leaksIn('the log', report.log.join('\n'), long)).toEqual([]);
    expect(leaksIn('the summary', report.summary, long)).toEqual([]);
    expect(leaksIn('the annotations', JSON.stringify(report.annotations), long)).toEqual([]);
  });
});

it('is red at the very end of a job that leaves a port open', async () => {
  const content = `
on: push
jobs:
  careless:
    runs-on: ubuntu-24.04
    steps:
      - id: lab
        name: Open a lab
        uses: ./.github/actions/lab
      - uses: ./actions/ephemeral-ssh-ingress
        with:
          security-group-id: \${{ steps.lab.outputs.security-group-id }}
          port: \${{ steps.lab.outputs.ssh-port }}
          ip-lookup-url: \${{ steps.lab.outputs.ip-lookup-url }}
      - run: echo AWS_SECRET_ACCESS_KEY=forgotten >> "$GITHUB_ENV"
`;
  const report = await runOwnJob(await loadWorkflow({ name: 'careless.yml', content }), undefined);
  expect(report.conclusion).toBe('failure');
  const { name, conclusion, annotations } = lastPost(report);
  expect({ name, conclusion }).toEqual({ name: 'Post Open a lab', conclusion: 'failure' });
  expect(annotations.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^the rule sgr-\w+ \([\d.]+\/32\) is still in the security group$/),
      expect.stringMatching(/^127\.77\.0\.\d+:\d+ \(SSH\) still answers$/),
    ]),
  );
  expect(report.survivors).toEqual([]);
}, 60_000);

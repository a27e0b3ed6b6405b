import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ActionStandIn,
  type JobReport,
  leaksIn,
  loadManifest,
  loadStandIns,
  loadWorkflow,
  nodePath,
  runWorkflow,
  type StandIns,
  type Workflow,
  type WorkflowJob,
  type WorkflowStep,
} from '@lockkeeper/runner';
import { parse } from 'yaml';
import { actions, root } from '../tools/manifest.ts';

// The workflows of this repository and those it shows to others: they parse, they are pinned, they ask for
// little, and the job that uses our own actions is run here from the committed bundles.

const workflowsIn = (folder: string) =>
  readdirSync(join(root, folder))
    .filter((name) => /\.ya?ml$/.test(name) && name !== 'stand-ins.yml')
    .map((name) => join(folder, name));
const pipelines = workflowsIn('.github/workflows');
const files = [...pipelines, ...workflowsIn('workflows-examples')];
const manifests = new Map(actions().map(({ name, manifest }) => [name, manifest]));

/** Our own action that a `uses:` names. */
const ownName = (uses: string) =>
  /^(?:\.\/|lockkeeper\/lockkeeper\/)actions\/([^@/]+)(?:@.+)?$/.exec(uses)?.[1];
const place = (file: string, { line }: { line: number }) => `${file}:${line}`;

it('finds the workflows that it judges', () => {
  expect(pipelines).toContain('.github/workflows/ci.yml');
  expect(files.length).toBeGreaterThan(pipelines.length);
});

describe.each(files)('%s', (file) => {
  let workflow: Workflow;
  let steps: WorkflowStep[];
  let uses: Array<Extract<WorkflowStep, { kind: 'uses' }>>;
  beforeAll(async () => {
    workflow = await loadWorkflow(join(root, file));
    steps = workflow.jobs.flatMap((job) => job.steps);
    uses = steps.filter((step) => step.kind === 'uses');
  });

  it('pins foreign actions by commit, and says which version that is', () => {
    const lines = readFileSync(join(root, file), 'utf8').split('\n');
    const loose = uses.filter(({ uses: { kind, text, line } }) => {
      if (kind === 'local') return !text.startsWith('./');
      if (ownName(text)) return !/@v\d+$/.test(text);
      return !(kind === 'repository' && /@[0-9a-f]{40}$/.test(text) && / # v\d\S*$/.test(lines[line - 1]!));
    });
    expect(loose.map((step) => `${place(file, step.uses)}: ${step.uses.text}`)).toEqual([]);
  });

  it('gives an action of ours only inputs that it has, and all that it requires', () => {
    const wrong = uses.flatMap((step) => {
      const name = ownName(step.uses.text);
      if (name === undefined) return [];
      const inputs = manifests.get(name)?.inputs;
      if (!inputs) return [`${place(file, step.uses)}: there is no action ${name}`];
      const missing = Object.keys(inputs).filter((input) => inputs[input]!.required && !step.with[input]);
      return [
        ...Object.entries(step.with)
          .filter(([input]) => !(input in inputs))
          .map(([input, at]) => `${place(file, at)}: ${name} has no input ${input}`),
        ...missing.map((input) => `${place(file, step.uses)}: ${name} requires ${input}`),
      ];
    });
    expect(wrong).toEqual([]);
  });

  it('reads only outputs that an action of ours has', () => {
    const text = readFileSync(join(root, file), 'utf8');
    const wrong = uses.flatMap(({ id, uses: { text: named } }) => {
      const name = ownName(named);
      const outputs = name
        ? Object.keys(manifests.get(name)?.outputs ?? {})
        : named.startsWith('./')
          ? loadManifest(join(root, named)).outputs
          : undefined;
      if (id === undefined || outputs === undefined) return [];
      return [...text.matchAll(new RegExp(`\\bsteps\\.${id}\\.outputs\\.([\\w-]+)`, 'g'))]
        .filter(([, output]) => !outputs.includes(output!))
        .map(([read]) => read);
    });
    expect(wrong).toEqual([]);
  });

  it('gives the token nothing by default, and each job what it names', () => {
    expect(workflow.permissions).toEqual({ scopes: {} });
    expect(workflow.jobs.filter(({ permissions }) => !permissions).map(({ id }) => id)).toEqual([]);
  });

  it('leaves no token behind in a checkout', () => {
    const kept = uses.filter(
      (step) =>
        step.uses.name === 'actions/checkout' && step.with['persist-credentials']?.text.trim() !== 'false',
    );
    expect(kept.map((step) => place(file, step.uses))).toEqual([]);
  });

  it('ends by itself, and one run at a time', () => {
    expect(workflow.concurrency?.group.text).toBeTruthy();
    expect(workflow.jobs.filter(({ timeoutMinutes }) => !timeoutMinutes).map(({ id }) => id)).toEqual([]);
  });

  it('puts no expression into a script', () => {
    const templated = steps.filter((step) => step.kind === 'run' && step.run.text.includes('${{'));
    expect(templated.map((step) => place(file, step))).toEqual([]);
  });
});

it('runs in CI what the README tells everybody to run', () => {
  const script = readFileSync(join(root, '.ci/run'), 'utf8');
  const [command] = /npx --yes pnpm@[\d.]+ test/.exec(script) ?? [];
  expect(command).toBeDefined();
  expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(command);
  const { jobs } = parse(readFileSync(join(root, '.github/workflows/ci.yml'), 'utf8'));
  expect(jobs.test.steps.map(({ run }: { run?: string }) => run)).toContain('.ci/run');
});

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
    const standIns = await loadStandIns(workflow, join(root, 'test/ci.stand-ins.yml'));
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
    expect([...new Set(used)].sort()).toEqual([...manifests.keys()].sort());
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

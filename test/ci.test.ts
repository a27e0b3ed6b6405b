import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { loadManifest, loadWorkflow, type Workflow, type WorkflowStep } from '@lockkeeper/runner';
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

it('rehearses each workflow that others copy', () => {
  const tests = readdirSync(join(root, 'test'))
    .filter((name) => /^(examples-.*\.slow|rehearsal)\.test\.ts$/.test(name))
    .map((name) => readFileSync(join(root, 'test', name), 'utf8'));
  // Without a name, `pnpm rehearse` runs the reference workflow.
  const rehearsed = (file: string) =>
    file.endsWith('/rolling-alb.yml') || tests.some((text) => text.includes(`'${basename(file)}'`));
  expect(workflowsIn('workflows-examples').filter((file) => !rehearsed(file))).toEqual([]);
});

describe.each(workflowsIn('workflows-examples'))('%s, which others copy,', (file) => {
  it('never cancels a run that is under way', async () => {
    const { concurrency } = await loadWorkflow(join(root, file));
    expect(concurrency?.cancelInProgress?.text).toBe('false');
  });

  it('says on top what it is for, what it needs and what it may do', () => {
    const [top = ''] = readFileSync(join(root, file), 'utf8').split('\nname: ');
    const needs = [...readFileSync(join(root, file), 'utf8').matchAll(/\bsecrets\.(\w+)/g)].map(
      ([, name]) => name!,
    );
    const untold = needs.filter((name) => !top.includes(name) && !/those of rolling-alb\.yml/.test(top));
    expect(untold).toEqual([]);
    expect(top).toMatch(/^# \S.*[^#]+\n#\n/);
    expect(top).toMatch(/iam-policy\.json|No AWS role/);
  });

  it('goes back when the gate behind a deploy is red', async () => {
    const { jobs } = await loadWorkflow(join(root, file));
    const deploys = jobs.flatMap(({ steps }) =>
      steps.flatMap((step, at) => {
        const name = step.kind === 'uses' ? ownName(step.uses.text) : undefined;
        const deploys =
          step.kind === 'uses' &&
          /^(compose|rolling-alb)-deploy$/.test(name ?? '') &&
          !step.with['rollback-to'] &&
          !step.with.run;
        const gated = steps
          .slice(at)
          .some((later) => later.kind === 'uses' && ownName(later.uses.text) === 'health-gate');
        return deploys && gated ? [{ id: step.id, rest: steps.slice(at + 1) }] : [];
      }),
    );
    const helpless = deploys.filter(
      ({ id, rest }) =>
        !rest.some(
          (step) =>
            step.kind === 'uses' &&
            step.with['rollback-to']?.text === 'previous' &&
            step.if?.text === `failure() && steps.${id}.outputs.result == 'deployed'`,
        ),
    );
    expect(helpless.map(({ id }) => id)).toEqual([]);
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

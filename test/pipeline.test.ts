import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { loadWorkflow } from '@lockkeeper/runner';
import { parse } from 'yaml';
import { actions, root } from '../tools/manifest.ts';

// The repository's own pipeline: what each job may do, what runs beside a token that may write, and what it names.

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const own = readdirSync(join(root, '.github/workflows')).map((name) => `.github/workflows/${name}`);
const jobsOf = async (files: readonly string[]) =>
  (await Promise.all(files.map((file) => loadWorkflow(join(root, file))))).flatMap(({ jobs }, at) =>
    jobs.map((job) => ({ file: files[at]!, ...job })),
  );

describe('a job of our own', () => {
  it('says of each thing that its token may do what for', () => {
    const bare = own.flatMap((file) =>
      read(file)
        .split('\n')
        .filter((line) => /^\s+[a-z-]+: (read|write)\b/.test(line) && !/ # to \w+/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(bare).toEqual([]);
  });

  it('may write to the repository in the release workflow alone', async () => {
    const writers = (await jobsOf(own)).filter(({ permissions }) => permissions?.scopes.contents === 'write');
    expect(writers.map(({ file, id }) => `${file} ${id}`)).toEqual([
      '.github/workflows/release.yml propose',
      '.github/workflows/release.yml publish',
    ]);
  });

  it('has no token in the environment of a step that runs packages of others', async () => {
    const steps = (await jobsOf(own)).flatMap((job) => job.steps.map((step) => ({ job, step })));
    const foreign = steps.filter(({ step }) => step.kind === 'run' && /\b(npx|go run)\b/.test(step.run.text));
    expect(foreign.length).toBeGreaterThan(5);
    const trusting = foreign.filter(({ job, step }) =>
      Object.keys({ ...job.env, ...step.env }).some((name) => /TOKEN|CREDENTIAL|GIT_CONFIG/.test(name)),
    );
    expect(trusting.map(({ job }) => job.id)).toEqual([]);
  });
});

describe('the release', () => {
  it('is published only from what was checked in the same run, and approved', async () => {
    const jobs = new Map((await jobsOf(['.github/workflows/release.yml'])).map((job) => [job.id, job]));
    expect(jobs.get('publish')?.environment?.name.text).toBe('release');
    expect(jobs.get('publish')?.needs.map(({ text }) => text)).toEqual(['check']);
    expect(jobs.get('check')?.steps.flatMap((step) => (step.kind === 'run' ? step.run.text : []))).toEqual([
      'npx --yes pnpm@10.34.9 test',
    ]);
  });

  it('moves the major tag after everything else', async () => {
    const [publish] = (await jobsOf(['.github/workflows/release.yml'])).filter(({ id }) => id === 'publish');
    const scripts = publish!.steps.flatMap((step) => (step.kind === 'run' ? step.run.text.trim() : []));
    expect(scripts.at(-1)).toBe('tools/release/move-major.sh "$VERSION"');
    expect(scripts.at(-2)).toMatch(/^tools\/release\/publish\.sh /);
  });

  it('keeps the version of the five actions in step', () => {
    const { fixed } = JSON.parse(read('.changeset/config.json')) as { fixed: string[][] };
    expect(fixed).toEqual([actions().map(({ name }) => `@lockkeeper/${name}`)]);
  });
});

it('runs in its workflows only scripts that are there and may be run', () => {
  const named = own.flatMap((file) => [...read(file).matchAll(/\b(tools\/[\w/.-]+\.(?:sh|ts))\b/g)]);
  expect(named.length).toBeGreaterThan(4);
  expect(named.map(([path]) => path!).filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

it('has zizmor look at each workflow that others copy', () => {
  const examples = globSync('workflows-examples/*.yml', { cwd: root, exclude: ['**/stand-ins.yml'] });
  const security = read('.github/workflows/security.yml');
  expect(examples.length).toBeGreaterThan(8);
  expect(examples.filter((file) => !security.includes(`            ${file}\n`))).toEqual([]);
});

it('names one commit for each version of a foreign action, wherever it is used', () => {
  const files = globSync(['.github/workflows/*.yml', 'workflows-examples/*.yml'], { cwd: root });
  const commits = new Map<string, Set<string>>();
  for (const [, name, commit, version] of files.flatMap((file) => [
    ...read(file).matchAll(/uses: ([\w.-]+\/[\w.-]+)\S*@([0-9a-f]{40}) # (v\S+)/g),
  ])) {
    const key = `${name}@${version}`;
    commits.set(key, (commits.get(key) ?? new Set()).add(commit!));
  }
  expect(commits.size).toBeGreaterThan(8);
  expect([...commits].filter(([, all]) => all.size > 1)).toEqual([]);
  const versions = [...commits.keys()].map((key) => key.split('@')[0]);
  expect(versions.filter((name, at) => versions.indexOf(name) !== at)).toEqual([]);
});

it('lets new versions of dependencies wait for at least a week, in groups', () => {
  const { updates } = parse(read('.github/dependabot.yml')) as {
    updates: Array<{ cooldown: Record<string, number>; groups: Record<string, unknown> }>;
  };
  expect(updates).toHaveLength(2);
  for (const { cooldown, groups } of updates) {
    expect(cooldown['default-days']).toBeGreaterThanOrEqual(7);
    expect(Object.keys(groups).length).toBeGreaterThan(0);
  }
});

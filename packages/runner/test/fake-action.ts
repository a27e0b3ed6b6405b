import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ActionStep, JobSpec, RunnerSettings, RunStep } from '../src/job-spec.ts';
import { nodePath } from '../src/node-path.ts';

const made: string[] = [];

/** A directory of the test's own; removeDirectories takes all of them away. */
export async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'runner-test-'));
  made.push(path);
  return path;
}

export async function removeDirectories(): Promise<void> {
  for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
}

export interface FakeAction {
  pre?: string;
  main?: string;
  post?: string;
  preIf?: string;
  postIf?: string;
  /** YAML of the inputs, indented by two. */
  inputs?: string;
}

const prelude = `import { appendFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
const env = process.env;
const print = (line) => process.stdout.write(line + '\\n');
const append = (name, text) => appendFileSync(env['GITHUB_' + name], text);
`;

/** Writes an action whose phases are the given ES module texts; see the prelude for what they may use. */
export async function fakeAction(action: FakeAction): Promise<string> {
  const path = await directory();
  const runs = [`using: node24`, `main: main.mjs`];
  for (const phase of ['pre', 'main', 'post'] as const) {
    const source = action[phase] ?? (phase === 'main' ? '' : undefined);
    if (source === undefined) continue;
    await writeFile(join(path, `${phase}.mjs`), prelude + source);
    if (phase !== 'main') runs.push(`${phase}: ${phase}.mjs`);
  }
  if (action.preIf) runs.push(`pre-if: ${action.preIf}`);
  if (action.postIf) runs.push(`post-if: ${action.postIf}`);
  await writeFile(
    join(path, 'action.yml'),
    `name: fake\n${action.inputs ? `inputs:\n${action.inputs}\n` : ''}runs:\n${runs.map((line) => `  ${line}\n`).join('')}`,
  );
  return path;
}

/** Settings with directories of the test's own. */
export async function settings(given: Partial<RunnerSettings> = {}): Promise<RunnerSettings> {
  const root = await directory();
  await mkdir(join(root, 'home'));
  return {
    node: nodePath,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: join(root, 'home') },
    workspace: join(root, 'work', 'boats', 'boats'),
    temp: join(root, 'work', '_temp'),
    toolCache: join(root, 'tools'),
    name: 'runner-1',
    ladder: { interruptMs: 400, terminateMs: 200 },
    pipeGraceMs: 300,
    ...given,
  };
}

export function actionStep(path: string, step: Partial<ActionStep> = {}): ActionStep {
  return {
    kind: 'action',
    name: 'fake',
    directory: path,
    ref: 'octo/fake@v1',
    env: () => ({}),
    with: () => ({}),
    ...step,
  };
}

export function runStep(script: string, step: Partial<RunStep> = {}): RunStep {
  return { kind: 'run', name: 'script', script: () => script, env: () => ({}), ...step };
}

export function jobSpec(steps: JobSpec['steps'], spec: Partial<JobSpec> = {}): JobSpec {
  return {
    id: 'deploy',
    name: 'deploy',
    env: () => ({}),
    steps,
    github: { repository: 'octo/boats', sha: 'abc', event_name: 'push' },
    secrets: {},
    vars: {},
    ...spec,
  };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    // A zombie has ended and only waits to be noticed.
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

/** Waits until a process that was sent SIGKILL has ended. */
export async function hasEnded(pid: number): Promise<boolean> {
  for (let count = 0; count < 100 && isAlive(pid); count++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return !isAlive(pid);
}

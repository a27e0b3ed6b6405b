import { existsSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { nodePath } from '../src/index.ts';
import type { JobControl } from '../src/job.ts';
import { runJob } from '../src/job.ts';
import type { JobEvent, JobResult } from '../src/job-result.ts';
import type { JobSpec, RunnerSettings } from '../src/job-spec.ts';
import {
  actionStep,
  fakeAction,
  hasEnded,
  isAlive,
  jobSpec,
  removeDirectories,
  runStep,
  settings,
} from './fake-action.ts';

afterAll(removeDirectories);

/** Runs steps as one job. */
async function run(
  steps: JobSpec['steps'],
  spec: Partial<JobSpec> = {},
  control: JobControl = {},
  given: Partial<RunnerSettings> = {},
): Promise<JobResult> {
  return runJob(jobSpec(steps, spec), await settings(given), control);
}

/** Runs one action's main. */
async function runMain(main: string, spec: Partial<JobSpec> = {}, given: Partial<RunnerSettings> = {}) {
  const job = await run([actionStep(await fakeAction({ main }), { id: 'a' })], spec, {}, given);
  return { job, step: job.steps[0]! };
}

/** Aborts when a line of a step's process holds the text. */
function when(text: string, perform: () => void): (event: JobEvent) => void {
  return (event) => {
    if (event.kind === 'line' && event.text === text) perform();
  };
}

const outcomes = (job: JobResult) => job.steps.map(({ name, outcome }) => `${name}: ${outcome}`);

describe('the environment of an action', () => {
  it('is made from nothing: the worker, GITHUB_, RUNNER_, inputs and state, and no more', async () => {
    const path = await fakeAction({
      main: `print(JSON.stringify(env)); append('STATE', 'Lease=x\\n');`,
      post: `print('post ' + JSON.stringify(env))`,
      inputs: '  "SSH Key-path.x": {default: a}\n  other: {}',
    });
    const mine = await settings();
    const job = await runJob(
      jobSpec([actionStep(path, { env: () => ({ STEP: 's' }) })], {
        env: () => ({ JOB: 'j' }),
        github: {
          repository: 'o/r',
          ref_protected: true,
          token: 'gh-token',
          event: { a: 1 },
          secret_thing: 'x',
        },
      }),
      mine,
    );
    const env = JSON.parse(job.steps[0]!.log.find((line) => line.startsWith('{'))!);
    const file = /_runner_file_commands\/[a-z_]+_[0-9a-f-]{36}$/;
    expect(env).toEqual({
      ...mine.env,
      RUNNER_TRACKING_ID: expect.stringMatching(/^github_/),
      JOB: 'j',
      STEP: 's',
      'INPUT_SSH_KEY-PATH.X': 'a',
      INPUT_OTHER: '',
      GITHUB_ACTION: '__octo_fake',
      GITHUB_ACTION_REF: 'v1',
      GITHUB_ACTION_REPOSITORY: 'octo/fake',
      GITHUB_ENV: expect.stringMatching(file),
      GITHUB_EVENT_PATH: join(mine.temp, '_github_workflow', 'event.json'),
      GITHUB_JOB: 'deploy',
      GITHUB_OUTPUT: expect.stringMatching(file),
      GITHUB_PATH: expect.stringMatching(file),
      GITHUB_REF_PROTECTED: 'true',
      GITHUB_REPOSITORY: 'o/r',
      GITHUB_STATE: expect.stringMatching(file),
      GITHUB_STEP_SUMMARY: expect.stringMatching(file),
      GITHUB_WORKSPACE: mine.workspace,
      RUNNER_OS: expect.any(String),
      RUNNER_ARCH: expect.any(String),
      RUNNER_NAME: 'runner-1',
      RUNNER_ENVIRONMENT: 'github-hosted',
      RUNNER_TOOL_CACHE: mine.toolCache,
      RUNNER_TEMP: mine.temp,
      RUNNER_WORKSPACE: join(mine.workspace, '..'),
      GITHUB_ACTIONS: 'true',
      CI: 'true',
    });
    const post = JSON.parse(job.steps[1]!.log.find((line) => line.startsWith('post '))!.slice(5));
    expect(post).toMatchObject({ STATE_Lease: 'x', 'INPUT_SSH_KEY-PATH.X': 'a' });
    expect(post.GITHUB_STATE).not.toBe(env.GITHUB_STATE);
  });

  it('is layered: a declared input beats INPUT_ of a workflow, STATE_ of a workflow reaches main', async () => {
    const path = await fakeAction({
      main: `print([env.INPUT_HOST, env.INPUT_OTHER, env.STATE_isPost, env.GITHUB_SHA, env.CI].join())`,
      inputs: '  host: {default: good}',
    });
    const job = await run([actionStep(path)], {
      env: () => ({
        INPUT_HOST: 'evil',
        INPUT_OTHER: 'reaches',
        STATE_isPost: 'true',
        GITHUB_SHA: 'forged',
        CI: '1',
      }),
    });
    expect(job.steps[0]!.log).toContain('good,reaches,true,abc,1');
  });

  it('drops NODE_ICU_DATA and hands out ID tokens only to a job that may have them', async () => {
    const main = `print([env.NODE_ICU_DATA, env.ACTIONS_ID_TOKEN_REQUEST_URL, env.ACTIONS_ID_TOKEN_REQUEST_TOKEN].join('|'))`;
    const without = await runMain(main, { env: () => ({ NODE_ICU_DATA: '/x' }) });
    expect(without.step.log).toContain('||');
    const given = await runMain(main, {
      idToken: { requestUrl: 'http://127.0.0.1:1/t', requestToken: 'bearer-1' },
    });
    expect(given.step.log).toContain('|http://127.0.0.1:1/t|***');
  });

  it('has no variable too long for an exec: the step fails and its post still starts', async () => {
    const path = await fakeAction({ main: '', post: `print('tidied')`, inputs: '  big: {}' });
    const job = await run([
      actionStep(path, { with: ({ job }) => ({ big: job.status === 'success' ? 'x'.repeat(140_000) : '' }) }),
    ]);
    expect(job.steps[0]).toMatchObject({ outcome: 'failure' });
    expect(job.steps[0]!.annotations[0]?.message).toContain('Argument list too long');
    expect(job.steps[1]!.log).toContain('tidied');
  });

  it('runs Node 24 in the workspace, which exists, with the event on file', async () => {
    const { step } = await runMain(
      `import { readFileSync } from 'node:fs';
       print([process.version.split('.')[0], process.execPath, process.cwd() === env.GITHUB_WORKSPACE, readFileSync(env.GITHUB_EVENT_PATH, 'utf8')].join(' '))`,
      { github: { event: { n: 1 } } },
    );
    expect(step.log.at(-1)).toMatch(/^v24 \S+ true \{"n":1\}$/);
    expect(existsSync(nodePath)).toBe(true);
  });
});

describe('masking', () => {
  it('hides secrets, the token and what an action registers, in every encoding', async () => {
    const { step, job } = await runMain(
      `print(env.S); print(Buffer.from('x-access-token:gh-token-1').toString('base64')); print('gh-token-1');
       print('::add-mask::derived'); print('derived ' + encodeURIComponent('p@ss word'));
       append('STEP_SUMMARY', 'sum derived\\n'); print('::error title=derived::derived happened');`,
      { secrets: { S: ' p@ss word\n' }, github: { token: 'gh-token-1' }, env: () => ({ S: 'p@ss word' }) },
    );
    expect(step.log.slice(-5)).toEqual(['***', '***', '***', '*** ***', '##[error]*** happened']);
    expect(step.annotations).toEqual([{ level: 'error', title: '***', message: '*** happened' }]);
    expect(step.summary).toBe('sum ***\n');
    expect(job.log.join('\n')).not.toContain('derived');
  });

  it('is not reached by a command behind an unterminated line', async () => {
    const { step } = await runMain(
      `process.stdout.write('Deploying…'); print('::add-mask::s3cret'); print('s3cret')`,
    );
    expect(step.log.slice(-2)).toEqual(['Deploying…::add-mask::s3cret', 's3cret']);
  });

  it('registers from the middle of a line in the old form', async () => {
    const { step } = await runMain(`print('x ##[add-mask]s3cret'); print('s3cret')`);
    expect(step.log.at(-1)).toBe('***');
  });
});

describe('what a step prints and writes', () => {
  it('leaves a step that printed an error and exits 0 green', async () => {
    const { job, step } = await runMain(`print('::error::x')`);
    expect(step).toMatchObject({
      outcome: 'success',
      exitCode: 0,
      annotations: [{ level: 'error', message: 'x' }],
    });
    expect(job.conclusion).toBe('success');
  });

  it('keeps ten annotations of a kind and shows all of them', async () => {
    const { step } = await runMain(`for (let i = 0; i < 11; i++) print('::error::e'); print('::warning::w')`);
    expect(step.annotations.map(({ message }) => message)).toEqual([...Array(10).fill('e'), 'w']);
    expect(step.log.filter((line) => line === '##[error]e')).toHaveLength(11);
  });

  it('cuts an annotation to 4096 characters', async () => {
    const { step } = await runMain(`print('::error::' + 'e'.repeat(5000))`);
    expect(step.annotations[0]!.message).toBe('e'.repeat(4096));
  });

  it('reads the file commands though the exit code is not 0, and though node was killed', async () => {
    for (const end of [
      'process.exitCode = 1',
      `process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000)`,
    ]) {
      const { step } = await runMain(`append('OUTPUT', 'a=1\\n'); append('STATE', 'b=2\\n'); ${end}`);
      expect(step).toMatchObject({ outcome: 'failure', outputs: { a: '1' }, state: { b: '2' } });
    }
  });

  it('fails at a bad line; what came before it holds', async () => {
    const { step } = await runMain(`append('OUTPUT', 'A=1\\nbroken\\nB=2')`);
    expect(step).toMatchObject({ outcome: 'failure', exitCode: 0, outputs: { A: '1' } });
    expect(step.annotations.map(({ message }) => message)).toEqual([
      "Unable to process file command 'output' successfully.",
      "Invalid format 'broken'",
    ]);
  });

  it.each([
    ['A<<E\nx\nE ', 'EOF marker missing new line'],
    ['A<<E\nx\n', 'Matching delimiter not found'],
    ['=v', 'Name must not be empty'],
  ])('fails at the output file %j', async (text, message) => {
    const { step } = await runMain(`append('OUTPUT', ${JSON.stringify(text)})`);
    expect(step).toMatchObject({ outcome: 'failure', outputs: {} });
    expect(step.annotations[1]!.message).toContain(message);
  });

  it('keeps the \\r of a file with CRLF', async () => {
    const { step } = await runMain(`append('OUTPUT', 'A<<E\\r\\nx\\r\\nE\\r\\n')`);
    expect(step.outputs).toEqual({ A: 'x\r' });
  });

  it('may not set NODE_OPTIONS; that is an error and the step stays green', async () => {
    const path = await fakeAction({ main: `append('ENV', 'NODE_OPTIONS=--require /x\\nB=2\\n')` });
    const job = await run([actionStep(path), runStep('echo "[$NODE_OPTIONS] $B"')]);
    expect(job.steps[0]).toMatchObject({ outcome: 'success', annotations: [{ level: 'error' }] });
    expect(job.steps[1]!.log.at(-1)).toBe('[] 2');
  });

  it('may not set variables over stdout: error, failed, no variable', async () => {
    const path = await fakeAction({ main: `print('::set-env name=A::1')` });
    const job = await run([actionStep(path), runStep('echo "[$A]"', { if: () => true })]);
    expect(job.steps[0]).toMatchObject({ outcome: 'failure', exitCode: 0 });
    expect(job.steps[1]!.log.at(-1)).toBe('[]');
  });

  it('stops commands in one process only', async () => {
    const path = await fakeAction({
      main: `print('::stop-commands::t1'); print('::add-mask::s3cret'); print('s3cret')`,
      post: `print('::add-mask::s3cret'); print('s3cret')`,
    });
    const job = await run([actionStep(path)]);
    expect(job.steps[0]!.log.slice(-2)).toEqual(['::add-mask::s3cret', 's3cret']);
    expect(job.steps[1]!.log.at(-1)).toBe('***');
  });

  it('has a summary of at most 1 MiB', async () => {
    const fits = await runMain(`append('STEP_SUMMARY', 'x'.repeat(1048576))`);
    expect(fits.step.summary).toHaveLength(1_048_576);
    const large = await runMain(`append('STEP_SUMMARY', 'x'.repeat(1048577))`);
    expect(large.step).toMatchObject({ outcome: 'success', summary: '', annotations: [{ level: 'error' }] });
  });

  it('keeps the first spelling of a state and the last value', async () => {
    const path = await fakeAction({
      main: `append('STATE', 'Lease=1\\nlease=2\\n')`,
      post: `print([env.STATE_Lease, env.STATE_lease].join())`,
    });
    const job = await run([actionStep(path)]);
    expect(job.steps[1]!.log).toContain('2,');
  });

  it('changes variables and paths for later steps and all posts', async () => {
    const first = await fakeAction({ main: '', post: `print([env.A, env.PATH.split(':')[0]].join())` });
    const second = await fakeAction({
      main: `append('ENV', 'A<<E\\n1\\n2\\nE\\n'); append('PATH', '/p1\\n/p2\\n/p1\\n')`,
    });
    const job = await run([actionStep(first), actionStep(second), runStep('echo "$A ${PATH%%:/usr*}"')]);
    expect(job.steps[2]!.log.slice(-2)).toEqual(['1', expect.stringMatching(/^2 \/p1:\/p2/)]);
    expect(job.steps[3]!.log.slice(-1)).toEqual(['2,/p1']);
  });

  it('leaves RUNNER_TEMP empty before and after the job', async () => {
    const mine = await settings();
    await mkdir(mine.temp, { recursive: true });
    await writeFile(join(mine.temp, 'left-over'), 'x');
    const path = await fakeAction({
      main: `import { readdirSync } from 'node:fs'; writeFileSync(env.RUNNER_TEMP + '/key', 'k'); print(readdirSync(env.RUNNER_TEMP).sort().join())`,
    });
    const job = await runJob(jobSpec([actionStep(path)]), mine);
    expect(job.steps[0]!.log.at(-1)).toBe('_github_workflow,_runner_file_commands,key');
    expect(readdirSync(mine.temp)).toEqual([]);
  });
});

describe('a step that takes away what the runner needs', () => {
  it('fails the next action when the workspace is gone, and its post', async () => {
    const path = await fakeAction({ main: '', post: '' });
    const job = await run([runStep('rm -r "$GITHUB_WORKSPACE"'), actionStep(path)]);
    expect(outcomes(job)).toEqual(['script: success', 'fake: failure', 'Post fake: failure']);
    expect(job.steps[1]!.annotations[0]!.message).toContain('No such file or directory');
  });

  it('fails the next step when RUNNER_TEMP has become a file, and the job still ends', async () => {
    const job = await run([
      runStep('rm -r "$RUNNER_TEMP"; : > "$RUNNER_TEMP"'),
      runStep('true', { name: 'next', if: () => true, timeoutMs: () => 50 }),
    ]);
    expect(outcomes(job)).toEqual(['script: success', 'next: failure', 'Complete job: success']);
    expect(job.annotations.at(-1)!.message).toContain('RUNNER_TEMP could not be emptied');
  });
});

describe('exit codes', () => {
  it('are green at 0 and red above, also for an exception nobody caught', async () => {
    expect((await runMain('process.exitCode = 7')).step).toMatchObject({ outcome: 'failure', exitCode: 7 });
    expect((await runMain('throw new Error("x")')).step).toMatchObject({ outcome: 'failure', exitCode: 1 });
    expect((await runMain('Promise.reject(new Error("x"))')).step).toMatchObject({
      outcome: 'failure',
      exitCode: 1,
    });
  });

  it('make a script missing from the action a failure before any launch', async () => {
    const path = await fakeAction({ main: '' });
    await writeFile(join(path, 'action.yml'), 'runs: {using: node24, main: dist/main.js}');
    const job = await run([actionStep(path)]);
    expect(job.steps[0]).toMatchObject({ outcome: 'failure' });
    expect(job.steps[0]!.annotations[0]!.message).toContain(
      `File not found: '${join(path, 'dist/main.js')}'`,
    );
  });

  it('do not turn a job red where the step may fail; its outcome says so', async () => {
    const failing = await fakeAction({ main: 'process.exitCode = 1' });
    const job = await run([
      actionStep(failing, { id: 'a', continueOnError: () => true }),
      runStep('true', {
        if: ({ steps }) => steps.a!.outcome === 'failure' && steps.a!.conclusion === 'success',
      }),
    ]);
    expect(outcomes(job)).toEqual(['fake: failure', 'script: success']);
    expect(job.steps[0]!.conclusion).toBe('success');
    expect(job.conclusion).toBe('success');
  });
});

describe('the order of a job', () => {
  it('is every pre, every main, and every post backwards', async () => {
    const one = await fakeAction({ pre: '', main: '', post: '' });
    const two = await fakeAction({ pre: '', main: '', post: '' });
    const job = await run([
      actionStep(one, { name: 'one' }),
      runStep('true'),
      actionStep(two, { name: 'two' }),
    ]);
    expect(job.steps.map(({ name }) => name)).toEqual([
      'Pre one',
      'Pre two',
      'one',
      'script',
      'two',
      'Post two',
      'Post one',
    ]);
  });

  it('shares state between the phases of one step and no other', async () => {
    const path = await fakeAction({
      pre: `append('STATE', 'a=pre\\n')`,
      main: `append('STATE', 'b=' + env.STATE_a + '\\n')`,
      post: `print([env.STATE_a, env.STATE_b, env.STATE_c].join())`,
    });
    const other = await fakeAction({
      main: `append('STATE', 'c=other\\n')`,
      post: `print(env.STATE_a ?? 'none')`,
    });
    const job = await run([actionStep(path), actionStep(other)]);
    expect(job.steps.at(-1)!.log).toContain('pre,pre,');
    expect(job.steps.at(-2)!.log).toContain('none');
  });

  it('runs a post whose main failed, timed out or could not start, and none of a skipped step', async () => {
    const failing = await fakeAction({ main: 'process.exitCode = 1', post: '' });
    const skipped = await fakeAction({ main: '', post: '' });
    const slow = await fakeAction({ main: `process.on('SIGINT', () => {}); await sleep(60000)`, post: '' });
    const missing = await fakeAction({ post: '' });
    await writeFile(join(missing, 'action.yml'), 'runs: {using: node24, main: gone.mjs, post: post.mjs}');
    const job = await run([
      actionStep(failing, { name: 'failing' }),
      actionStep(skipped, { name: 'skipped' }),
      actionStep(slow, {
        name: 'slow',
        if: () => true,
        timeoutMs: ({ github }) => (github.sha ? 800 : undefined),
      }),
      actionStep(missing, { name: 'missing', if: () => true }),
    ]);
    expect(outcomes(job)).toEqual([
      'failing: failure',
      'skipped: skipped',
      'slow: failure',
      'missing: failure',
      'Post missing: success',
      'Post slow: success',
      'Post failing: success',
    ]);
    expect(job.steps[2]).toMatchObject({ signal: 'SIGTERM' });
    expect(job.steps[2]!.annotations.at(-1)!.message).toMatch(/^The action 'slow' has timed out after/);
  });

  it('gives post the final status of the job, inputs and env as they are then', async () => {
    const path = await fakeAction({
      main: `print('main ' + [env.INPUT_STATUS, env.INPUT_GIVEN, env.E].join())`,
      post: `print('post ' + [env.INPUT_STATUS, env.INPUT_GIVEN, env.E].join())`,
      inputs: '  status: {default: "${{ job.status }}"}\n  given: {}',
    });
    const job = await run([
      actionStep(path, {
        with: ({ env }) => ({ given: env.A ?? 'unset' }),
        env: ({ steps }) => ({ E: steps.b?.outputs.x ?? 'none' }),
      }),
      runStep('echo A=set >> $GITHUB_ENV; echo x=done >> $GITHUB_OUTPUT; exit 1', { id: 'b' }),
    ]);
    expect(job.steps[0]!.log).toContain('main success,unset,none');
    expect(job.steps[2]!.log).toContain('post failure,set,done');
  });

  it('drops outputs of a post and of a step without id, not annotations and summary', async () => {
    const path = await fakeAction({
      main: `append('OUTPUT', 'x=main\\n')`,
      post: `append('OUTPUT', 'x=post\\n'); append('STEP_SUMMARY', 'done'); print('::notice::n')`,
    });
    const job = await run([actionStep(path, { id: 'a' }), actionStep(path)], {
      outputs: ({ steps }) => ({ x: steps.a!.outputs.x!, ids: Object.keys(steps).join() }),
    });
    expect(job.outputs).toEqual({ x: 'main', ids: 'a' });
    expect(job.steps.at(-1)).toMatchObject({
      phase: 'post',
      summary: 'done',
      annotations: [{ message: 'n' }],
    });
  });

  it.each([
    ['failure()', 'exit 1', 'success'],
    ['failure()', 'true', 'skipped'],
    ['success()', 'exit 1', 'skipped'],
    ["github.event_name == 'push'", 'exit 1', 'success'],
  ])('takes post-if: %s raw, after a step %j', async (postIf, script, outcome) => {
    const path = await fakeAction({ main: '', post: '', postIf });
    const job = await run([actionStep(path), runStep(script)]);
    expect(job.steps[2]).toMatchObject({ phase: 'post', outcome });
  });

  it('fails the job when a post fails', async () => {
    const path = await fakeAction({ main: '', post: 'process.exitCode = 1' });
    const job = await run([actionStep(path)]);
    expect(job.conclusion).toBe('failure');
  });

  it('skips a pre of a local action with a warning', async () => {
    const path = await fakeAction({ pre: '', main: '' });
    const job = await run([actionStep(path, { ref: './actions/fake' })]);
    expect(outcomes(job)).toEqual(['fake: success']);
    expect(job.steps[0]!.annotations[0]!.message).toContain(
      '`pre` execution is not supported for local action',
    );
  });

  it('fails the post of a local action whose folder is gone by then', async () => {
    const path = await fakeAction({ main: '', post: '' });
    const job = await run([actionStep(path, { ref: './actions/fake' }), runStep(`rm -r '${path}'`)]);
    expect(outcomes(job)).toEqual(['fake: success', 'script: success', 'Post fake: failure']);
    expect(job.conclusion).toBe('failure');
  });

  it('runs nothing when an action cannot be loaded, and says which', async () => {
    const good = await fakeAction({ main: '' });
    const bad = await fakeAction({ main: '' });
    await writeFile(join(bad, 'action.yml'), 'runs: {using: node24, main: main.mjs, env: {A: b}}');
    const job = await run([actionStep(good), actionStep(bad)]);
    expect(job.conclusion).toBe('failure');
    expect(outcomes(job)).toEqual(['Set up job: failure']);
    expect(job.annotations[0]!.message).toContain(join(bad, 'action.yml'));
  });

  it('warns of inputs that are not declared, and hands them over', async () => {
    const path = await fakeAction({
      main: `print(env.INPUT_TYPO + env.INPUT_HOST)`,
      inputs:
        '  host: {default: h, deprecationMessage: use target}\n  port: {default: "22", deprecationMessage: no}',
    });
    const job = await run([actionStep(path, { with: () => ({ typo: 't', HOST: 'x' }) })]);
    expect(job.steps[0]!.log).toContain('tx');
    expect(job.steps[0]!.annotations.map(({ message }) => message)).toEqual([
      "Input 'HOST' has been deprecated with message: use target",
      "Unexpected input(s) 'typo', valid inputs are ['host', 'port']",
    ]);
  });

  it('fails a step whose condition cannot be evaluated', async () => {
    const job = await run([
      runStep('true', {
        if: () => {
          throw new Error('no such context');
        },
      }),
    ]);
    expect(job.steps[0]).toMatchObject({ outcome: 'failure', annotations: [{ message: 'no such context' }] });
  });
});

describe('job outputs', () => {
  it('are skipped with a warning when they hold a masked value, and silently when empty', async () => {
    const path = await fakeAction({
      main: `print('::add-mask::s3cret'); append('OUTPUT', 'a=has s3cret\\nb=ok\\nc=\\n')`,
    });
    const job = await run([actionStep(path, { id: 's' })], {
      outputs: ({ steps }) => ({ ...steps.s!.outputs }),
    });
    expect(job.outputs).toEqual({ b: 'ok' });
    expect(job.annotations).toEqual([
      { level: 'warning', message: "Skip output 'a' since it may contain secret." },
    ]);
  });
});

describe('a run step', () => {
  it('has the environment, the file commands and an exit code of its own', async () => {
    const job = await run([
      runStep('echo "a=$GITHUB_SHA" >> "$GITHUB_OUTPUT"; echo "::warning::w"; echo "$X $CI"; exit 3', {
        id: 'r',
        env: () => ({ X: 'y' }),
      }),
    ]);
    expect(job.steps[0]).toMatchObject({
      outcome: 'failure',
      exitCode: 3,
      outputs: { a: 'abc' },
      annotations: [
        { level: 'warning', message: 'w' },
        { level: 'error', message: 'Process completed with exit code 3.' },
      ],
    });
    expect(job.steps[0]!.log).toContain('y true');
  });

  it.each([
    ['bash', undefined, 'false | true; echo reached', 'success'],
    ['bash strict', 'bash', 'false | true; echo reached', 'failure'],
    ['sh', 'sh', 'false; echo reached', 'failure'],
    ['a command line', 'bash -u {0}', 'false; echo reached', 'success'],
    ['a command line that minds', 'bash -u {0}', 'echo $NOT_SET', 'failure'],
    ['an unknown one', 'fish-of-no-sea', 'true', 'failure'],
    ['one without a place for the script', 'cat -n', 'true', 'failure'],
  ])('is run by %s', async (_name, shell, script, outcome) => {
    const job = await run([runStep(script, shell === undefined ? {} : { shell })]);
    expect(job.steps[0]).toMatchObject({ outcome });
  });

  it('starts in its working directory below the workspace', async () => {
    const mine = await settings();
    await mkdir(join(mine.workspace, 'sub'), { recursive: true });
    const job = await runJob(jobSpec([runStep('pwd', { workingDirectory: () => 'sub' })]), mine);
    expect(job.steps[0]!.log.at(-1)).toBe(join(mine.workspace, 'sub'));
  });
});

describe('a stand-in', () => {
  it('is named, obeys commands, sets outputs and variables, and can fail', async () => {
    const job = await run([
      {
        kind: 'stand-in',
        id: 's',
        name: 'Build',
        what: 'docker/build-push-action: pushes version 2 to the lab registry',
        env: () => ({}),
        with: () => ({ tags: 'app:2' }),
        perform: async ({ inputs, log, env }) => {
          log(`::notice::${inputs.tags} for ${env.GITHUB_SHA}`);
          return {
            outputs: { digest: 'sha256:1' },
            env: { V: '2' },
            summary: 'built',
            conclusion: 'failure',
          };
        },
      },
      runStep('echo $V', { if: ({ steps }) => steps.s!.outputs.digest === 'sha256:1' }),
    ]);
    expect(job.steps[0]).toMatchObject({
      standIn: 'docker/build-push-action: pushes version 2 to the lab registry',
      outcome: 'failure',
      summary: 'built',
      annotations: [{ level: 'notice', message: 'app:2 for abc' }],
    });
    expect(job.steps[1]!.log.at(-1)).toBe('2');
  });

  it('ends when the job is cancelled', async () => {
    const cancel = new AbortController();
    const job = await run(
      [
        {
          kind: 'stand-in',
          name: 'Wait',
          what: 'waits for ever',
          env: () => ({}),
          with: () => ({}),
          perform: () => {
            cancel.abort();
            return new Promise(() => {});
          },
        },
      ],
      {},
      { cancel: cancel.signal },
    );
    expect(outcomes(job)).toEqual(['Wait: cancelled']);
  });
});

describe('cancelling a job', () => {
  const waiting = `process.on('SIGINT', () => { print('got SIGINT'); process.exit(0); }); print('ready'); setInterval(() => {}, 1000);`;

  async function cancelled(step: Parameters<typeof actionStep>[1], main: string) {
    const cancel = new AbortController();
    const path = await fakeAction({ main, post: '' });
    return run(
      [actionStep(path, step), runStep('true'), runStep('true', { name: 'always', if: () => true })],
      {},
      {
        cancel: cancel.signal,
        onEvent: when('ready', () => cancel.abort()),
      },
    );
  }

  it('interrupts the running step; later steps need a condition that allows them', async () => {
    const job = await cancelled({}, waiting);
    expect(outcomes(job)).toEqual([
      'fake: cancelled',
      'script: skipped',
      'always: success',
      'Post fake: success',
    ]);
    expect(job.conclusion).toBe('cancelled');
    expect(job.steps[0]).toMatchObject({
      exitCode: 0,
      annotations: [{ message: 'The operation was canceled.' }],
    });
  });

  it('leaves a step alone whose condition still holds', async () => {
    const job = await cancelled({ if: () => true }, `print('ready'); await sleep(300); print('finished')`);
    expect(job.steps[0]).toMatchObject({ outcome: 'success' });
    expect(job.steps[0]!.log).toContain('finished');
    expect(job.conclusion).toBe('cancelled');
  });

  it('is not undone by continue-on-error', async () => {
    const job = await cancelled({ continueOnError: () => true }, waiting);
    expect(job.steps[0]!.conclusion).toBe('cancelled');
  });

  it('does not disturb a post', async () => {
    const cancel = new AbortController();
    const path = await fakeAction({ main: '', post: `print('ready'); await sleep(300); print('finished')` });
    const job = await run(
      [actionStep(path)],
      {},
      {
        cancel: cancel.signal,
        onEvent: when('ready', () => cancel.abort()),
      },
    );
    expect(job.steps[1]!.log).toContain('finished');
  });

  it('arrives when the time of the job is over', async () => {
    const path = await fakeAction({ main: `setInterval(() => {}, 1000)` });
    const job = await run([actionStep(path)], { timeoutMs: 600 });
    expect(job).toMatchObject({ conclusion: 'cancelled' });
    expect(outcomes(job)).toEqual(['fake: cancelled']);
  });

  it('ends in the death of the worker when the posts take too long: a hosted machine takes everything along', async () => {
    const cancel = new AbortController();
    let pid = 0;
    const path = await fakeAction({
      main: waiting,
      post: `append('STATE', 'a=1\\n'); append('ENV', 'A=1\\n'); setInterval(() => {}, 1000)`,
    });
    const mine = await settings({ cancelWindowMs: 800 });
    const job = await runJob(jobSpec([actionStep(path)]), mine, {
      cancel: cancel.signal,
      onEvent: (event) => {
        when('ready', () => cancel.abort())(event);
        if (event.kind === 'process-started') pid = event.pid;
      },
    });
    expect(job).toMatchObject({ conclusion: 'cancelled', lost: true });
    expect(job.steps[1]).toMatchObject({ phase: 'post', outcome: 'cancelled', state: {} });
    expect(await hasEnded(pid)).toBe(true);
    expect(readdirSync(mine.temp)).not.toEqual([]);
  });

  it('leaves a post running on a self-hosted runner when the worker is killed', async () => {
    const cancel = new AbortController();
    const path = await fakeAction({ main: waiting, post: `setInterval(() => {}, 1000)` });
    const job = await run(
      [actionStep(path)],
      {},
      { cancel: cancel.signal, onEvent: when('ready', () => cancel.abort()) },
      { cancelWindowMs: 800, environment: 'self-hosted' },
    );
    expect(job.survivors).toEqual([expect.objectContaining({ found: 'lost' })]);
    const { pid } = job.survivors[0]!;
    try {
      expect(isAlive(pid)).toBe(true);
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  });
});

describe('losing the runner', () => {
  const ready = `print('ready'); setInterval(() => {}, 1000);`;

  it('in a shutdown sends the ladder and starts nothing more, not even a post', async () => {
    const shutdown = new AbortController();
    const path = await fakeAction({
      main: `process.on('SIGINT', () => { print('got SIGINT'); append('OUTPUT', 'a=1\\n'); process.exit(0) }); ${ready}`,
      post: '',
    });
    const job = await run(
      [actionStep(path), runStep('true', { if: () => true })],
      {},
      {
        shutdown: shutdown.signal,
        onEvent: when('ready', () => shutdown.abort()),
      },
    );
    expect(outcomes(job)).toEqual(['fake: cancelled', 'script: skipped', 'Post fake: skipped']);
    expect(job.steps[0]!.log).toContain('got SIGINT');
    expect(job.steps[0]!.outputs).toEqual({ a: '1' });
    expect(job.conclusion).toBe('failure');
  });

  it('with its machine kills all at once and processes nothing', async () => {
    const lost = new AbortController();
    const path = await fakeAction({ main: `append('OUTPUT', 'a=1\\n'); ${ready}`, post: '' });
    let pid = 0;
    const job = await run(
      [actionStep(path)],
      {},
      {
        lost: lost.signal,
        onEvent: (event) => {
          if (event.kind === 'process-started') pid = event.pid;
          when('ready', () => lost.abort())(event);
        },
      },
    );
    expect(job).toMatchObject({ lost: true, conclusion: 'failure' });
    expect(outcomes(job)).toEqual(['fake: cancelled']);
    expect(job.steps[0]!.outputs).toEqual({});
    expect(await hasEnded(pid)).toBe(true);
  });
});

describe('processes left behind', () => {
  it('are found by their tracking id, killed at the end of the job and reported with their step', async () => {
    const path = await fakeAction({
      main: `spawn(process.execPath, ['-e', 'setTimeout(() => {}, 41000)'], { stdio: 'ignore', detached: true }).unref()`,
    });
    const job = await run([runStep('true'), actionStep(path, { name: 'leaky' })]);
    expect(job.survivors).toEqual([
      { pid: expect.any(Number), command: expect.stringContaining('41000'), step: 'leaky', found: 'job-end' },
    ]);
    expect(job.log.at(-1)).toMatch(/^Terminate orphan process: pid \(\d+\)/);
    const { pid } = job.survivors[0]!;
    expect(await hasEnded(pid)).toBe(true);
  });
});

describe('debug mode', () => {
  it('shows debug lines, state and outputs, and says so to the action', async () => {
    const { step } = await runMain(
      `print('::debug::d'); print(env.RUNNER_DEBUG); append('OUTPUT', 'a=1\\n')`,
      {},
      { debug: true },
    );
    expect(step.log).toEqual(expect.arrayContaining(['##[debug]d', '1', "##[debug]steps.a.outputs.a='1'"]));
    const quiet = await runMain(`print('::debug::d'); print(env.RUNNER_DEBUG ?? 'off')`);
    expect(quiet.step.log.at(-1)).toBe('off');
  });
});

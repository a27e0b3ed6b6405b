import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { WorkflowError } from '../src/source.ts';
import { loadWorkflow, parseUses, permits } from '../src/workflow.ts';

const everything = `name: Ship
run-name: Ship \${{ inputs.tag }}
on:
  push: {branches: [main], paths-ignore: ['**.md']}
  schedule: [{cron: '0 3 * * *'}]
  workflow_dispatch:
    inputs:
      tag: {description: which, type: choice, options: [a, b], default: b, required: true}
permissions: {contents: read}
concurrency: {group: 'ship-\${{ github.ref }}', cancel-in-progress: false}
defaults: {run: {shell: bash, working-directory: app}}
env: {LEVEL: 1.10, TOKEN: '\${{ secrets.TOKEN }}'}
jobs:
  test:
    runs-on: [self-hosted, linux]
    timeout-minutes: 10
    continue-on-error: true
    strategy:
      fail-fast: false
      max-parallel: 2
      matrix:
        node: [22, 24]
        include: [{node: 24, extra: true}]
        exclude: [{node: 22}]
    container: {image: 'node:24', options: --init}
    services:
      redis: redis:7
      mysql: {image: 'mysql:8', ports: ['3306:3306'], env: {A: b}}
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0, empty: }
  deploy:
    name: Deploy
    needs: test
    if: github.ref == 'refs/heads/main'
    runs-on: ubuntu-latest
    permissions: {id-token: write}
    environment: {name: production, url: https://example.com}
    concurrency: deploy
    outputs: {result: '\${{ steps.roll.outputs.result }}'}
    env: {ZONE: a}
    defaults: {run: {working-directory: other}}
    steps:
      - id: roll
        name: Roll it
        if: always()
        uses: ./actions/rolling-alb-deploy
        timeout-minutes: 5
        continue-on-error: \${{ inputs.tag == 'a' }}
        env: {STEP: x}
      - shell: sh
        working-directory: here
        run: |
          echo one
            echo \${{ github.sha }}
      - run: >
          folded
          \${{ secrets.OTHER }}
`;

const load = (content: string) => loadWorkflow({ name: 'w.yml', content });
const withJob = (job: string) => `on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n${job}`;
const withStep = (step: string) => withJob(`    steps:\n      - ${step}\n`);

describe('a workflow file', () => {
  it('becomes values, each with its place', async () => {
    const workflow = await load(everything);
    expect(workflow).toMatchObject({
      file: 'w.yml',
      name: 'Ship',
      runName: { text: 'Ship ${{ inputs.tag }}', line: 2 },
      triggers: [
        { event: 'push', line: 4, column: 3, filters: { branches: ['main'], 'paths-ignore': ['**.md'] } },
        { event: 'schedule', filters: { schedules: [{ cron: '0 3 * * *' }] } },
        { event: 'workflow_dispatch' },
      ],
      inputs: [{ name: 'tag', type: 'choice', options: ['a', 'b'], default: 'b', required: true, line: 8 }],
      permissions: { scopes: { contents: 'read' } },
      concurrency: { group: { text: 'ship-${{ github.ref }}' }, cancelInProgress: { text: 'false' } },
      defaults: { shell: { text: 'bash' }, workingDirectory: { text: 'app' } },
      env: { LEVEL: { text: '1.1', line: 12, column: 14 }, TOKEN: { text: '${{ secrets.TOKEN }}' } },
    });
    const [test, deploy] = workflow.jobs;
    expect(test).toMatchObject({
      id: 'test',
      runsOn: [{ text: 'self-hosted' }, { text: 'linux' }],
      timeoutMinutes: { text: '10' },
      continueOnError: { text: 'true' },
      strategy: {
        failFast: { text: 'false' },
        maxParallel: { text: '2' },
        matrix: { node: [22, 24], include: [{ node: 24, extra: true }], exclude: [{ node: 22 }] },
      },
      container: { image: 'node:24' },
      services: [
        { id: 'redis', image: 'redis:7', ports: [] },
        { id: 'mysql', image: 'mysql:8', ports: ['3306:3306'] },
      ],
      steps: [
        {
          kind: 'uses',
          uses: { kind: 'repository', name: 'actions/checkout', version: 'v4', line: 30, column: 15 },
          with: { 'fetch-depth': { text: '0' }, empty: { text: '' } },
        },
      ],
    });
    expect(deploy).toMatchObject({
      name: { text: 'Deploy' },
      needs: [{ text: 'test' }],
      if: { text: "github.ref == 'refs/heads/main'" },
      permissions: { scopes: { 'id-token': 'write' } },
      environment: { name: { text: 'production' }, url: { text: 'https://example.com' } },
      concurrency: { group: { text: 'deploy' } },
      outputs: { result: { text: '${{ steps.roll.outputs.result }}' } },
      env: { ZONE: { text: 'a' } },
      defaults: { workingDirectory: { text: 'other' } },
    });
    expect(deploy?.steps).toMatchObject([
      {
        id: 'roll',
        name: { text: 'Roll it' },
        if: { text: 'always()' },
        uses: { kind: 'local', name: './actions/rolling-alb-deploy' },
        timeoutMinutes: { text: '5' },
        continueOnError: { text: "${{ inputs.tag == 'a' }}" },
        env: { STEP: { text: 'x' } },
      },
      { kind: 'run', shell: { text: 'sh' }, workingDirectory: { text: 'here' } },
      { kind: 'run' },
    ]);
  });

  it('keeps block scalars as YAML means them, with expressions in them', async () => {
    const steps = (await load(everything)).jobs[1]?.steps;
    expect(steps?.[1]).toMatchObject({ run: { text: 'echo one\n  echo ${{ github.sha }}\n' } });
    expect(steps?.[2]).toMatchObject({ run: { text: 'folded ${{ secrets.OTHER }}\n' } });
  });

  it('tells which secrets it uses, and where', async () => {
    expect((await load(everything)).secretsUsed).toEqual([
      { name: 'TOKEN', job: undefined, line: 12, column: 32 },
      { name: 'OTHER', job: 'deploy', line: 58, column: 15 },
    ]);
  });

  it('tells which variables it uses, each once, and none that only a comment names', async () => {
    const { variablesUsed } = await load(
      withStep(
        "if: vars.zone != '' # not vars.OTHER\n        run: echo ${{ vars['HOST'] }} ${{ vars.ZONE }}",
      ),
    );
    expect(variablesUsed).toEqual(['ZONE', 'HOST']);
  });

  it('may share steps by anchors', async () => {
    const workflow = await load(
      'on: push\njobs:\n  a:\n    runs-on: x\n    steps: &s [{run: one}]\n  b:\n    runs-on: x\n    steps: *s\n',
    );
    expect(workflow.jobs[1]?.steps).toMatchObject([{ run: { text: 'one', line: 5 } }]);
  });

  it('remembers where it lies', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'lk-workflow-'));
    try {
      const path = join(directory, 'w.yml');
      writeFileSync(path, withStep('run: one'));
      expect(await loadWorkflow(path)).toMatchObject({ file: path, path, name: 'w.yml' });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it.each<[string, string, RegExp]>([
    ['nothing', '', /^w\.yml:1:1: .*; write a workflow into the file/],
    ['broken YAML', 'on: [push', /^w\.yml:1:\d+: not YAML: /],
    ['a key twice', 'on: push\non: push\n', /^w\.yml:2:1: not YAML: Map keys must be unique/],
    ['no jobs', 'on: push\n', /^w\.yml:1:1: Required property is missing: jobs; add it/],
    [
      'no on',
      'jobs:\n  a:\n    runs-on: x\n    steps: [{run: x}]\n',
      /^w\.yml:1:1: Required property is missing: on; add it/,
    ],
    ['an unknown key', `${withStep('run: x')}what: 1\n`, /^w\.yml:7:1: Unexpected value 'what'; take it out/],
    ['an unknown event', withStep('run: x').replace('push', 'psuh'), /^w\.yml:1:5: Unexpected value 'psuh'/],
    [
      'workflow_call',
      withStep('run: x').replace('push', 'workflow_call'),
      /^w\.yml:1:5: .*"workflow_call" is not supported/,
    ],
    [
      'a called workflow',
      'on: push\njobs:\n  a:\n    uses: ./.github/workflows/b.yml\n',
      /^w\.yml:4:5: .*calls a workflow/,
    ],
    [
      'env as an expression',
      withJob("    env: ${{ fromJSON('{}') }}\n    steps: [{run: x}]\n"),
      /^w\.yml:5:10: /,
    ],
    ['an unknown step key', withStep('run: x\n        foo: 1'), /^w\.yml:7:9: Unexpected value 'foo'/],
    [
      'a background step',
      withStep('run: x\n        background: true'),
      /^w\.yml:7:9: Unexpected value 'background'/,
    ],
    [
      'a parallel block',
      withStep('parallel: [{run: x}]'),
      /^w\.yml:6:9: "parallel" in a step is not supported/,
    ],
    ['neither uses nor run', withStep('name: x'), /^w\.yml:6:9: .*give the step a "uses" or a "run"/],
    [
      'an unknown uses form',
      withStep('uses: foo'),
      /^w\.yml:6:15: uses "foo" has no form that GitHub knows; write owner/,
    ],
    [
      'a version left out',
      withStep('uses: actions/checkout'),
      /^w\.yml:6:15: uses "actions\/checkout" has no form/,
    ],
    [
      'an unknown context',
      withStep('run: echo ${{ foo.bar }}'),
      /^w\.yml:6:\d+: Unrecognized named-value: 'foo'/,
    ],
    [
      'secrets in if',
      withStep("if: secrets.A != ''\n        run: x"),
      /^w\.yml:6:\d+: Unrecognized named-value: 'secrets'/,
    ],
    [
      'an open expression',
      withStep('run: echo ${{ env.A'),
      /^w\.yml:6:14: The expression is not closed.*; close/,
    ],
    [
      'an id twice',
      withStep('{id: a, run: x}\n      - {id: a, run: x}'),
      /^w\.yml:7:\d+: .*give each one a name/,
    ],
    [
      'an unknown need',
      withJob('    needs: b\n    steps: [{run: x}]\n'),
      /^w\.yml:5:12: job "a" needs "b", which does not exist; name one of: a/,
    ],
    [
      'a circle',
      'on: push\njobs:\n  a:\n    needs: b\n    runs-on: x\n    steps: [{run: x}]\n  b:\n    needs: a\n    runs-on: x\n    steps: [{run: x}]\n',
      /^w\.yml:4:12: these jobs wait for each other: a → b → a/,
    ],
    [
      'an unknown permission',
      withStep('run: x').replace('jobs', 'permissions: {id-token: maybe}\njobs'),
      /^w\.yml:2:\d+: Unexpected value 'maybe'/,
    ],
    ['a snapshot', withJob('    snapshot: a\n    steps: [{run: x}]\n'), /^w\.yml:5:5: .*snapshot/],
    [
      'a default that is no option',
      withStep('run: x').replace(
        'push',
        '{workflow_dispatch: {inputs: {a: {type: choice, options: [b], default: c}}}}',
      ),
      /^w\.yml:1:\d+: the default "c" of the input a is not one of its options; choose one of: b/,
    ],
  ])('with %s is refused in one line, by name and place', async (_, content, refusal) => {
    const error = await load(content).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(WorkflowError);
    expect((error as WorkflowError).message).toMatch(refusal);
    expect((error as WorkflowError).message.split('\n')).toHaveLength(1);
  });

  it('that is not there, or is a directory, is refused the same way', async () => {
    await expect(loadWorkflow('/nowhere/w.yml')).rejects.toThrow(
      '/nowhere/w.yml:1:1: there is no such file; name a',
    );
    await expect(loadWorkflow(tmpdir())).rejects.toThrow(/:1:1: this is a directory/);
  });
});

describe('uses', () => {
  it.each<[string, ReturnType<typeof parseUses>]>([
    ['actions/checkout@v4', { kind: 'repository', name: 'actions/checkout', version: 'v4' }],
    ['o/r/actions/x@0123abc', { kind: 'repository', name: 'o/r/actions/x', version: '0123abc' }],
    ['o/r@releases/v1', { kind: 'repository', name: 'o/r', version: 'releases/v1' }],
    ['./actions/x', { kind: 'local', name: './actions/x' }],
    ['$/actions/x', { kind: 'local', name: '$/actions/x' }],
    ['docker://alpine:3.20', { kind: 'docker', name: 'docker://alpine', version: '3.20' }],
    ['docker://r:5000/a', { kind: 'docker', name: 'docker://r:5000/a', version: undefined }],
    ['foo', undefined],
    ['foo@v1', undefined],
    ['o/r', undefined],
    ['o/r@', undefined],
    ['../x', undefined],
    ['/abs', undefined],
  ])('%s', (text, parsed) => {
    expect(parseUses(text)).toEqual(parsed);
  });
});

describe('permissions', () => {
  it.each<[Parameters<typeof permits>[0], string, 'read' | 'write', boolean]>([
    [undefined, 'actions', 'read', true],
    [undefined, 'id-token', 'write', false],
    [{ scopes: {} }, 'actions', 'read', false],
    [{ scopes: { 'id-token': 'write' } }, 'id-token', 'write', true],
    [{ scopes: { actions: 'write' } }, 'actions', 'read', true],
    [{ scopes: { actions: 'read' } }, 'actions', 'write', false],
    [{ all: 'read', scopes: {} }, 'actions', 'read', true],
    [{ all: 'write', scopes: {} }, 'id-token', 'write', true],
  ])('%j: %s %s is %s', (permissions, scope, access, allowed) => {
    expect(permits(permissions, scope, access)).toBe(allowed);
  });
});

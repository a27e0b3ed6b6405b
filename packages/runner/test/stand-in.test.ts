import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Contexts } from '../src/job-spec.ts';
import { declaredFor, loadStandIns, parseStandIns, performDeclared } from '../src/stand-in.ts';
import { loadWorkflow } from '../src/workflow.ts';

const workflow = await loadWorkflow({
  name: 'ship.yml',
  content: `on: push
jobs:
  test:
    runs-on: ubuntu-latest
    container: node:24
    services: {mysql: 'mysql:8'}
    steps:
      - uses: actions/checkout@v4
      - id: unit
        name: Unit tests
        run: pytest
      - run: |
          first line
          second line
  build:
    runs-on: ubuntu-latest
    steps: [{uses: docker/build-push-action@v6}]
`,
});

const parse = (content: string) =>
  parseStandIns({ name: 'stand-ins.yml', content }, workflow, async (file) => file === 'other.yml');
const declare = (job: string) => parse(`ship.yml:\n  test:\n${job}`);

describe('a stand-ins file', () => {
  it('declares what takes the place of services, containers and steps', async () => {
    const standIns = await declare(`    container: plain shell will do
    services: {mysql: the tests are stood in for}
    steps:
      unit:
        because: no python here
        log: |
          221 passed
          in 3 s
        outputs: {passed: 221}
`);
    expect(standIns.jobs.test).toMatchObject({
      container: { because: 'plain shell will do', line: 3 },
      services: { mysql: { because: 'the tests are stood in for', line: 4 } },
      steps: [
        {
          key: 'unit',
          line: 6,
          because: 'no python here',
          outcome: 'success',
          outputs: { passed: { text: '221' } },
          log: [{ text: '221 passed' }, { text: 'in 3 s' }],
        },
      ],
    });
  });

  it.each<[string, string, number]>([
    ['its id', 'unit', 1],
    ['its name', 'Unit tests', 1],
    ['its uses', 'actions/checkout@v4', 0],
    ['its uses without the version', 'actions/checkout', 0],
    ['the name it is shown by', 'Run first line', 2],
  ])('names a step by %s', async (_, key, index) => {
    const standIns = await declare(`    steps:\n      ${key}: {outcome: failure}\n`);
    const step = workflow.jobs[0]!.steps[index]!;
    expect(declaredFor(standIns, 'test', step)).toMatchObject({ key, outcome: 'failure' });
    expect(declaredFor(standIns, 'build', step)).toBeUndefined();
  });

  it('may hold other workflows of the same directory, and be empty', async () => {
    expect(await parse('other.yml: {anything: goes}\n')).toEqual({ file: 'stand-ins.yml', jobs: {} });
    expect(await parse('')).toEqual({ file: 'stand-ins.yml', jobs: {} });
  });

  it.each<[string, string, RegExp]>([
    [
      'an unknown workflow',
      'gone.yml: {}',
      /^stand-ins\.yml:1:1: there is no workflow file "gone\.yml" here/,
    ],
    [
      'an unknown job',
      'ship.yml: {deploy: {}}',
      /^stand-ins\.yml:1:12: ship\.yml has no job "deploy"; name one of: test, build/,
    ],
    ['an unknown key', 'ship.yml: {test: {step: {}}}', /^stand-ins\.yml:1:19: "step" is not known here/],
    [
      'an unknown service',
      'ship.yml: {test: {services: {redis: x}}}',
      /:1:30: the job "test" has no service "redis"; name one of: mysql/,
    ],
    [
      'a service in a job without',
      'ship.yml: {build: {services: {redis: x}}}',
      /no service "redis"; take the stand-in out/,
    ],
    [
      'a container in a job without',
      'ship.yml: {build: {container: x}}',
      /:1:20: the job "build" has no container/,
    ],
    [
      'a service without a reason',
      'ship.yml: {test: {services: {mysql: }}}',
      /:1:30: the stand-in for "mysql" says nothing/,
    ],
    [
      'an unknown step',
      'ship.yml: {test: {steps: {lint: {}}}}',
      /:1:27: the job "test" has no step "lint"; name one of: "Run actions\/checkout@v4", "unit"/,
    ],
    [
      'a step twice',
      'ship.yml: {test: {steps: {unit: {}, Unit tests: {}}}}',
      /:1:37: "Unit tests" names the step that "unit" names already/,
    ],
    [
      'an unknown step key',
      'ship.yml: {test: {steps: {unit: {output: {}}}}}',
      /:1:34: "output" is not known here/,
    ],
    [
      'an unknown outcome',
      'ship.yml: {test: {steps: {unit: {outcome: maybe}}}}',
      /:1:43: the outcome "maybe" is not known/,
    ],
    [
      'a file outside',
      'ship.yml: {test: {steps: {unit: {files: {../a: x}}}}}',
      /:1:42: the file "\.\.\/a" is not in the workspace/,
    ],
    [
      'a bad expression',
      "ship.yml: {test: {steps: {unit: {log: '${{ foo.x }}'}}}}",
      /:1:39: .*Unrecognized named-value/,
    ],
    ['a list for a map', 'ship.yml: [test]', /:1:11: the workflow must be a map/],
    ['broken YAML', 'ship.yml: {', /^stand-ins\.yml:\d+:\d+: not YAML/],
  ])('with %s is refused by place', async (_, content, refusal) => {
    await expect(parse(content)).rejects.toThrow(refusal);
  });
});

describe('on disk', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lk-stand-ins-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('stand-ins.yml is found next to the workflow, and none there declares nothing', async () => {
    const path = join(directory, 'w.yml');
    writeFileSync(path, 'on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{id: b, run: x}]\n');
    const here = await loadWorkflow(path);
    expect((await loadStandIns(here)).jobs).toEqual({});
    writeFileSync(join(directory, 'stand-ins.yml'), 'w.yml: {a: {steps: {b: {}}}}\n');
    expect((await loadStandIns(here)).jobs.a?.steps).toHaveLength(1);
    await expect(loadStandIns(here, join(directory, 'none.yml'))).rejects.toThrow(
      /none\.yml:1:1: there is no such file/,
    );
  });

  it('a stand-in writes its files, prints its lines and answers its outputs, with expressions evaluated', async () => {
    const standIns = await declare(`    steps:
      unit:
        outcome: failure
        outputs: {tag: 'v-\${{ github.sha }}'}
        log: ['built \${{ github.sha }}']
        files: {reports/unit.xml: '<sha>\${{ github.sha }}</sha>'}
        summary: done
`);
    const lines: string[] = [];
    const result = await performDeclared(
      standIns.jobs.test!.steps[0]!,
      'stand-ins.yml',
    )({
      contexts: { github: { sha: 'abc' } } as unknown as Contexts,
      workspace: directory,
      log: (line) => lines.push(line),
    });
    expect(result).toEqual({ conclusion: 'failure', outputs: { tag: 'v-abc' }, env: {}, summary: 'done' });
    expect(lines).toEqual(['built abc']);
    expect(readFileSync(join(directory, 'reports/unit.xml'), 'utf8')).toBe('<sha>abc</sha>');
  });
});

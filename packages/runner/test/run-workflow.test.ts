import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { renderReport } from '../src/report.ts';
import { type RunOptions, runWorkflow, type WorkflowEvent } from '../src/run-workflow.ts';
import { WorkflowError } from '../src/source.ts';
import { parseStandIns } from '../src/stand-in.ts';
import { loadWorkflow } from '../src/workflow.ts';

let directory: string;
let events: WorkflowEvent[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lk-run-'));
  events = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Given extends Partial<RunOptions> {
  declare?: string;
}

async function run(content: string, { declare, ...options }: Given = {}) {
  const workflow = await loadWorkflow({
    name: 'w.yml',
    content: `on: [push, workflow_dispatch]\n${content}`,
  });
  const standIns = await parseStandIns(
    { name: 'stand-ins.yml', content: declare ?? '' },
    workflow,
    async () => false,
  );
  return runWorkflow(workflow, {
    secrets: {},
    vars: {},
    settings: {
      node: process.execPath,
      env: { PATH: process.env.PATH ?? '' },
      workspace: join(directory, 'work'),
      temp: join(directory, 'temp'),
      toolCache: join(directory, 'tools'),
      name: 'runner',
    },
    resolveAction: () => undefined,
    standIns,
    onEvent: (event) => events.push(event),
    ...options,
  });
}

/** Jobs on one line each: `id: <what follows>`. */
const jobs = (...lines: string[]) =>
  `jobs:\n${lines.map((line) => `  ${line.replace(': {', ': {runs-on: ubuntu-latest, ')}`).join('\n')}\n`;
const conclusions = (result: Awaited<ReturnType<typeof run>>) =>
  Object.fromEntries(Object.values(result.jobs).map((job) => [job.key, job.conclusion]));
const printed = (result: Awaited<ReturnType<typeof run>>, job: string) =>
  result.jobs[job]!.steps.flatMap((step) => step.log).filter(
    (line) => !/^(##\[|\u001b|shell:|env:| {2}\w+:)/.test(line),
  );

describe('jobs', () => {
  it('run after what they need, and carry outputs from one to the next', async () => {
    const result = await run(
      jobs(
        'last: {needs: [first, middle], steps: [{run: \'echo "got ${{ needs.first.outputs.tag }} ${{ needs.middle.result }}"\'}]}',
        'middle: {needs: first, steps: [{run: "true"}]}',
        'first: {outputs: {tag: "${{ steps.make.outputs.tag }}"}, steps: [{id: make, run: \'echo "tag=v7" >> "$GITHUB_OUTPUT"\'}]}',
      ),
    );
    expect(result.conclusion).toBe('success');
    expect(result.jobs.first?.outputs).toEqual({ tag: 'v7' });
    expect(printed(result, 'last')).toEqual(['got v7 success']);
    const started = events.flatMap((event) => (event.kind === 'job-started' ? [event.job] : []));
    expect(started).toEqual(['first', 'middle', 'last']);
  });

  it('that need a red job are skipped, and so is what needs those; if: decides otherwise', async () => {
    const result = await run(
      jobs(
        'red: {steps: [{run: exit 3}]}',
        'next: {needs: red, steps: [{run: "true"}]}',
        'after: {needs: next, steps: [{run: "true"}]}',
        'clean: {needs: [red, next], if: always(), steps: [{run: "echo ${{ needs.red.result }} ${{ needs.next.result }}"}]}',
        'mourn: {needs: next, if: failure(), steps: [{run: "true"}]}',
        'behind: {needs: clean, steps: [{run: "true"}]}',
        'apart: {steps: [{run: "true"}]}',
        'never: {if: "false", steps: [{run: "true"}]}',
        'by: {needs: never, steps: [{run: "true"}]}',
      ),
    );
    expect(result.conclusion).toBe('failure');
    expect(conclusions(result)).toEqual({
      red: 'failure',
      next: 'skipped',
      after: 'skipped',
      clean: 'success',
      mourn: 'success',
      // A failure anywhere before a job counts for success(), also behind a job that ran in spite of it.
      behind: 'skipped',
      apart: 'success',
      never: 'skipped',
      by: 'skipped',
    });
    expect(printed(result, 'clean')).toEqual(['failure skipped']);
    expect(result.jobs.next?.because).toBe('"red" is red');
    expect(result.jobs.never?.because).toBe('its "if" is false');
  });

  it('run two at once by default, each in directories of its own', async () => {
    const meet =
      'touch ../$GITHUB_JOB; for i in $(seq 100); do test -e ../a && test -e ../b && exit 0; sleep 0.05; done; exit 1';
    const result = await run(jobs(`a: {steps: [{run: "${meet}"}]}`, `b: {steps: [{run: "${meet}"}]}`));
    expect(conclusions(result)).toEqual({ a: 'success', b: 'success' });
  });

  it('one at a time when told so', async () => {
    const alone = 'mkdir ../lock && sleep 0.1 && rmdir ../lock';
    const result = await run(
      jobs(
        `a: {steps: [{run: "${alone}"}]}`,
        `b: {steps: [{run: "${alone}"}]}`,
        `c: {steps: [{run: "${alone}"}]}`,
      ),
      { parallel: 1 },
    );
    expect(result.conclusion).toBe('success');
  });

  it('of one concurrency group never run together', async () => {
    const alone = 'mkdir ../lock && sleep 0.1 && rmdir ../lock';
    const result = await run(
      jobs(
        `a: {concurrency: one, steps: [{run: "${alone}"}]}`,
        `b: {concurrency: ONE, steps: [{run: "${alone}"}]}`,
      ),
    );
    expect(result.conclusion).toBe('success');
    expect(result.notes).toContain('the job "a" is in the concurrency group "one": a newer run would wait');
  });

  it('that may fail turn nothing red', async () => {
    const result = await run(
      jobs('a: {continue-on-error: true, steps: [{run: exit 1}]}', 'b: {needs: a, steps: [{run: "true"}]}'),
    );
    expect(conclusions(result)).toEqual({ a: 'failure', b: 'success' });
    expect(result.conclusion).toBe('success');
  });

  it('whose own settings fail to evaluate are red, with the place', async () => {
    const result = await run(
      jobs(
        'a: {if: "fromJSON(\'{\')", steps: [{run: "true"}]}',
        'b: {needs: a, if: always(), steps: [{run: "true"}]}',
      ),
    );
    expect(conclusions(result)).toEqual({ a: 'failure', b: 'success' });
    expect(result.jobs.a?.because).toMatch(
      /^w\.yml:3:\d+: expression .* fails at its position 1: Error parsing JSON/,
    );
  });

  it('note their environment and answer its address', async () => {
    const result = await run(
      jobs(
        'a: {environment: {name: production, url: "https://${{ github.ref_name }}.example"}, steps: [{run: "true"}]}',
      ),
    );
    expect(result.jobs.a?.environment).toEqual({ name: 'production', url: 'https://main.example' });
    expect(result.notes.join()).toContain('environment "production"');
  });
});

describe('steps', () => {
  it('after a red one run only when their if says so', async () => {
    const result = await run(
      jobs(
        'a: {steps: [{id: bad, run: exit 1}, {run: "true"}, {if: failure(), run: "true"}, {if: always(), run: "true"}, {if: "steps.bad.outcome == \'failure\'", run: "true"}]}',
      ),
    );
    expect(result.jobs.a?.steps.map((step) => step.conclusion)).toEqual([
      'failure',
      'skipped',
      'success',
      'success',
      'skipped',
    ]);
  });

  it('get env of workflow, job and step, defaults, vars, inputs and the github context', async () => {
    const content = `env: {A: workflow, B: workflow, C: workflow}
defaults: {run: {working-directory: deep}}
jobs:
  a:
    runs-on: ubuntu-latest
    env: {B: job, C: job, D: '\${{ vars.COLOR }}-\${{ inputs.tag }}'}
    steps:
      - {run: mkdir deep, working-directory: .}
      - env: {C: step}
        run: |
          echo "$A $B $C $D"
          echo "$GITHUB_REPOSITORY $GITHUB_REF_NAME $GITHUB_EVENT_NAME \${{ github.event.inputs.tag }} \${PWD##*/}"
`.replace('on: [push, workflow_dispatch]', '');
    const workflow = `${content}`;
    const loaded = await loadWorkflow({
      name: 'w.yml',
      content: `on: {workflow_dispatch: {inputs: {tag: {required: true}}}}\n${workflow}`,
    });
    const result = await runWorkflow(loaded, {
      inputs: { tag: 'v7' },
      secrets: {},
      vars: { COLOR: 'blue' },
      github: { repository: 'o/r', ref: 'refs/heads/dev' },
      settings: {
        node: process.execPath,
        env: { PATH: process.env.PATH ?? '' },
        workspace: join(directory, 'work'),
        temp: join(directory, 'temp'),
        toolCache: join(directory, 'tools'),
        name: 'runner',
      },
      resolveAction: () => undefined,
    });
    expect(printed(result, 'a')).toEqual(['workflow job step blue-v7', 'o/r dev workflow_dispatch v7 deep']);
  });

  it('whose expressions fail while the job runs are red, with the place', async () => {
    const result = await run(
      jobs(
        'a: {steps: [{id: s, run: \'echo "x={" >> "$GITHUB_OUTPUT"\'}, {run: "echo ${{ fromJSON(steps.s.outputs.x) }}"}]}',
      ),
    );
    expect(result.conclusion).toBe('failure');
    expect(result.jobs.a?.annotations).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/^w\.yml:3:\d+: expression "fromJSON/) }),
    ]);
  });

  it('never show a secret: not in the log, not in a name, not in an event', async () => {
    const result = await run(
      jobs(
        'a: {name: "Job", steps: [{run: "echo ${{ secrets.TOKEN }}"}, {name: "n ${{ secrets.TOKEN }}", run: "true"}]}',
      ),
      { secrets: { TOKEN: 'hush-hush' } },
    );
    expect(printed(result, 'a')).toEqual(['***']);
    expect(JSON.stringify([result, events])).not.toContain('hush-hush');
  });

  it('that lack a command tell how to go on', async () => {
    const result = await run(jobs('a: {steps: [{name: Lint, run: surely-no-such-command}]}'));
    expect(result.notes).toContainEqual(
      'a › Lint: a command was not found on this computer (exit 127); install the command, or declare a stand-in for the step in stand-ins.yml',
    );
  });
});

describe('an action', () => {
  it('runs from its directory, with inputs evaluated and outputs for later steps', async () => {
    mkdirSync(join(directory, 'action'));
    writeFileSync(
      join(directory, 'action', 'action.yml'),
      'name: x\ninputs: {who: {default: nobody}}\nruns: {using: node24, main: main.cjs}\n',
    );
    writeFileSync(
      join(directory, 'action', 'main.cjs'),
      "require('fs').appendFileSync(process.env.GITHUB_OUTPUT, 'hello=hi ' + process.env.INPUT_WHO + '\\n')",
    );
    const result = await run(
      jobs(
        'a: {steps: [{id: x, uses: o/r/x@v1, with: {who: "${{ github.actor }}"}}, {run: "echo ${{ steps.x.outputs.hello }}"}]}',
      ),
      {
        resolveAction: (uses) => (uses === 'o/r/x@v1' ? { directory: join(directory, 'action') } : undefined),
      },
    );
    expect(printed(result, 'a')).toContain('hi keeper');
  });
});

describe('a matrix', () => {
  it('runs a job for each leg, and hands on the outputs', async () => {
    const result = await run(
      jobs(
        'list: {outputs: {nodes: "${{ steps.s.outputs.n }}"}, steps: [{id: s, run: \'echo "n=[22, 24]" >> "$GITHUB_OUTPUT"\'}]}',
        'a: {needs: list, strategy: {matrix: {node: "${{ fromJSON(needs.list.outputs.nodes) }}", include: [{node: 24, new: true}]}}, outputs: {last: "${{ matrix.new }}"}, steps: [{run: "echo ${{ matrix.node }} ${{ strategy.job-total }}"}]}',
        'b: {needs: a, steps: [{run: "echo ${{ needs.a.outputs.last }}"}]}',
      ),
    );
    expect(conclusions(result)).toEqual({
      list: 'success',
      'a (22)': 'success',
      'a (24, true)': 'success',
      b: 'success',
    });
    expect(printed(result, 'a (24, true)')).toEqual(['24 2']);
    expect(printed(result, 'b')).toEqual(['true']);
  });

  it('stops its other legs when one fails, unless told not to', async () => {
    const job = (failFast: boolean) =>
      jobs(
        `a: {strategy: {fail-fast: ${failFast}, max-parallel: 1, matrix: {n: [1, 2]}}, steps: [{run: "exit 1"}]}`,
      );
    expect(conclusions(await run(job(true)))).toEqual({ 'a (1)': 'failure', 'a (2)': 'cancelled' });
    expect(conclusions(await run(job(false)))).toEqual({ 'a (1)': 'failure', 'a (2)': 'failure' });
  });

  it('without values is a red job', async () => {
    const result = await run(jobs('a: {strategy: {matrix: {n: []}}, steps: [{run: "true"}]}'));
    expect(result.jobs.a).toMatchObject({
      conclusion: 'failure',
      because: expect.stringContaining('has no values'),
    });
  });
});

describe('stand-ins', () => {
  const content = jobs(
    'a: {services: {db: mysql}, steps: [{uses: actions/checkout@v4}, {id: tool, run: missing-tool}, {run: "cat made.txt; echo ${{ steps.tool.outputs.v }}"}]}',
  );
  const declare = `w.yml:
  a:
    services: {db: no test needs it}
    steps:
      tool: {because: not installed, outputs: {v: 'made by \${{ github.actor }}'}, files: {made.txt: "here\\n"}, log: [did it]}
`;
  const copy = { what: 'this working copy', perform: async () => ({}) };

  it('take the place of what cannot run here, and the report names them', async () => {
    const resolveAction = (uses: string) => (uses === 'actions/checkout@v4' ? { standIn: copy } : undefined);
    const result = await run(content, { declare, resolveAction });
    expect(result.conclusion).toBe('success');
    expect(printed(result, 'a')).toEqual(['did it', 'here', 'made by keeper']);
    expect(result.standIns).toEqual([
      { job: 'a', of: 'service db', by: 'nothing (stand-ins.yml:3: no test needs it)' },
      { job: 'a', of: 'Run actions/checkout@v4', by: 'this working copy' },
      { job: 'a', of: 'Run missing-tool', by: 'declared in stand-ins.yml:5: not installed' },
    ]);
    expect(renderReport(result).join('\n')).toContain('a › Run actions/checkout@v4: this working copy');
  });

  it('that fail fail the step', async () => {
    const result = await run(jobs('a: {steps: [{id: t, run: x}]}'), {
      declare: 'w.yml: {a: {steps: {t: {outcome: failure}}}}',
    });
    expect(result.conclusion).toBe('failure');
  });

  it.each<[string, string, RegExp]>([
    [
      'a foreign action',
      'a: {steps: [{uses: foo/bar@v1}]}',
      /^w\.yml:3:\d+: "foo\/bar@v1" cannot run on this computer and nothing stands in for it; declare a stand-in in stand-ins\.yml under w\.yml: a: steps: "foo\/bar": \{outcome: success\}$/,
    ],
    ['an image', 'a: {steps: [{uses: "docker://alpine"}]}', /"docker:\/\/alpine" cannot run/],
    [
      'an action that is not there',
      'a: {steps: [{uses: ./actions/none}]}',
      /^w\.yml:3:\d+: there is no action in "\.\/actions\/none"; name a directory/,
    ],
    [
      'a service',
      'a: {services: {db: mysql}, steps: [{run: "true"}]}',
      /^w\.yml:3:\d+: the service "db" \(mysql\) is a container.*under w\.yml: a: services: db: <why>/,
    ],
    [
      'a container',
      'a: {container: node, steps: [{run: "true"}]}',
      /^w\.yml:3:\d+: the job "a" runs in a container \(node\).*container: <why>/,
    ],
    [
      'a shell that is not here',
      'a: {steps: [{shell: pwsh, run: "true"}]}',
      /^w\.yml:3:\d+: the shell "pwsh" is not supported/,
    ],
    [
      'a missing secret',
      'a: {steps: [{run: "echo ${{ secrets.KEY }}"}]}',
      /^w\.yml:3:\d+: the secret "KEY" is missing; give the run a value for KEY/,
    ],
  ])('undeclared: %s is refused before anything starts', async (_, job, refusal) => {
    const refused = run(jobs(job, 'other: {steps: [{run: touch ../../started}]}'));
    await expect(refused).rejects.toBeInstanceOf(WorkflowError);
    await expect(refused).rejects.toThrow(refusal);
    expect(events).toEqual([]);
    expect(existsSync(join(directory, 'started'))).toBe(false);
  });

  it('are no way around an action that cannot be loaded', async () => {
    const workflow = jobs('a: {steps: [{uses: ./actions/x}]}');
    const resolveAction = () => ({ directory });
    await expect(run(workflow, { resolveAction })).rejects.toThrow(
      /^w\.yml:3:\d+: the action ".*" cannot be loaded/,
    );
    writeFileSync(join(directory, 'action.yml'), 'name: x\nruns: {using: node24, main: dist/main.js}\n');
    await expect(run(workflow, { resolveAction })).rejects.toThrow(
      /lacks its script dist\/main\.js; build it/,
    );
  });

  it('are not there for another operating system', async () => {
    await expect(run('jobs: {a: {runs-on: windows-latest, steps: [{run: x}]}}\n')).rejects.toThrow(
      /^w\.yml:2:\d+: "runs-on: windows-latest" is not supported/,
    );
  });
});

describe('tokens', () => {
  const ask = `"${process.execPath}" -e "fetch(process.argv[1], {headers: {authorization: process.argv[2]}}).then(({status}) => console.log(status))" "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID/jobs" "Bearer \${{ github.token }}"`;

  it('of a job may do what its permissions say, while the run lasts', async () => {
    const content = `jobs:
  may:
    runs-on: ubuntu-latest
    permissions: {actions: read}
    steps:
      - run: |
          ${ask}
  not:
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - run: |
          ${ask}
`;
    const result = await run(content);
    expect([printed(result, 'may'), printed(result, 'not')]).toEqual([['200'], ['403']]);
    const url = events.flatMap((event) => (event.kind === 'run-started' ? [event.apiUrl] : []))[0] as string;
    await expect(fetch(url)).rejects.toThrow();
  });

  it('of identity are there only with id-token: write, made out to the environment or the branch', async () => {
    const subjects: string[] = [];
    const show = 'echo "[${ACTIONS_ID_TOKEN_REQUEST_URL-none}]"';
    // A run: step sees the variables as an action does.
    const result = await run(
      jobs(
        `a: {permissions: {id-token: write}, steps: [{run: '${show}'}]}`,
        `b: {permissions: {id-token: write}, environment: 'a:b', steps: [{run: '${show}'}]}`,
        `c: {steps: [{run: '${show}'}]}`,
      ),
      {
        idToken: async ({ subject, claims }) => {
          subjects.push(`${subject} ${claims.event_name}`);
          return { requestUrl: 'http://127.0.0.1:9/token?x=1', requestToken: 'request-token' };
        },
      },
    );
    expect(subjects.sort()).toEqual([
      'repo:lockkeeper/rehearsal:environment:a%3Ab push',
      'repo:lockkeeper/rehearsal:ref:refs/heads/main push',
    ]);
    expect(printed(result, 'a')).toEqual(['[http://127.0.0.1:9/token?x=1]']);
    expect(printed(result, 'c')).toEqual(['[none]']);
  });
});

describe('a cancel', () => {
  it('ends what runs, passes over what waits, and still runs what always() wants', async () => {
    const cancel = new AbortController();
    const result = await run(
      jobs(
        'long: {steps: [{run: "echo begun; exec sleep 30"}, {if: cancelled(), run: echo undone}]}',
        'next: {needs: long, steps: [{run: "true"}]}',
        'clean: {needs: [long, next], if: always(), steps: [{run: echo cleaned}]}',
      ),
      {
        cancel: cancel.signal,
        onEvent: (event) => {
          if (event.kind === 'line' && event.text === 'begun') cancel.abort();
        },
      },
    );
    expect(result.conclusion).toBe('cancelled');
    expect(conclusions(result)).toEqual({ long: 'cancelled', next: 'cancelled', clean: 'success' });
    expect(printed(result, 'long')).toContain('undone');
    expect(printed(result, 'clean')).toEqual(['cleaned']);
  });
});

describe('a machine', () => {
  it('that is lost takes its job with it; what always() wants runs on another', async () => {
    const lost = new AbortController();
    const result = await run(
      jobs(
        'gone: {steps: [{run: "echo begun; exec sleep 30"}, {if: always(), run: echo never}]}',
        'tell: {needs: gone, if: always(), steps: [{run: "echo ${{ needs.gone.result }}"}]}',
      ),
      {
        lost: lost.signal,
        onEvent: (event) => {
          if (event.kind === 'line' && event.text === 'begun') lost.abort();
        },
      },
    );
    expect(conclusions(result)).toEqual({ gone: 'failure', tell: 'success' });
    expect(result.jobs.gone?.lost).toBe(true);
    expect(printed(result, 'tell')).toEqual(['failure']);
    expect(renderReport(result).join('\n')).toContain('! the machine was lost before the job had ended');
  });
});

describe('a report', () => {
  it('shows jobs and steps with marks, errors and reasons', async () => {
    const result = await run(
      jobs(
        'a: {steps: [{name: Good, run: "true"}, {name: Bad, run: exit 3}, {name: Left, run: "true"}]}',
        'b: {needs: a, steps: [{run: "true"}]}',
      ),
    );
    const text = renderReport(result).map((line) => line.replace(/ [\d.]+ m?s$/, ''));
    expect(text).toEqual([
      '✗ w.yml (w.yml, push)',
      '  ✗ a',
      '    ✓ Good',
      '    ✗ Bad',
      '        error: Process completed with exit code 3.',
      '    – Left',
      '  – b ("a" is red)',
    ]);
  });
});

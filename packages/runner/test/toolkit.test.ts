import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { runAction } from '../src/run-action.ts';
import { fakeAction, removeDirectories } from './fake-action.ts';

afterAll(removeDirectories);

const core = fileURLToPath(new URL('../node_modules/@actions/core/lib/core.js', import.meta.url));
const withCore = (source: string) => `import * as core from ${JSON.stringify(`file://${core}`)};\n${source}`;

describe("an action written with GitHub's toolkit", () => {
  it('reads inputs, and its outputs, state, variables, masks and annotations arrive', async () => {
    const directory = await fakeAction({
      inputs: '  "Multi Line-Input": {}\n  flag: {default: true}\n  text: {}',
      main: withCore(`
        print(JSON.stringify([core.getMultilineInput('Multi Line-Input'), core.getBooleanInput('flag'), core.getInput('text')]));
        core.setOutput('multi', 'a\\nb=c\\nEOF\\n');
        core.setOutput('object', { a: 1 });
        core.saveState('lease', { id: 'x' });
        core.exportVariable('LATER', 'one\\ntwo');
        core.addPath('/opt/tools');
        core.setSecret('s3cret%');
        core.info('the s3cret% is');
        core.notice('50% of a,b:c\\ndone', { title: 'T: 1,2', file: 'a.js', startLine: 2, endLine: 2, startColumn: 3, endColumn: 4 });
        core.startGroup('g'); core.endGroup();
        core.debug('not shown');
        await core.summary.addHeading('Done').write();
        core.warning('w');
      `),
      post: withCore(
        `core.info(core.getState('lease') + env.LATER.split('\\n').length + env.PATH.split(':')[0])`,
      ),
    });
    const { main, post, conclusion } = await runAction({
      directory,
      inputs: { 'multi line-input': ' a \n\n b\n', text: '  trimmed\n' },
    });
    expect(JSON.parse(main!.log.find((line) => line.startsWith('[['))!)).toEqual([
      ['a', 'b'],
      true,
      'trimmed',
    ]);
    expect(main).toMatchObject({
      code: 0,
      conclusion: 'success',
      outputs: { multi: 'a\nb=c\nEOF\n', object: '{"a":1}' },
      state: { lease: '{"id":"x"}' },
      summary: '<h1>Done</h1>\n',
      annotations: [
        {
          level: 'notice',
          message: '50% of a,b:c\ndone',
          title: 'T: 1,2',
          file: 'a.js',
          line: 2,
          endLine: 2,
          column: 3,
          endColumn: 4,
        },
        { level: 'warning', message: 'w' },
      ],
    });
    expect(main!.log).toEqual(expect.arrayContaining(['the *** is', '##[group]g', '##[endgroup]']));
    expect(post!.log).toContain('{"id":"x"}2/opt/tools');
    expect(conclusion).toBe('success');
  });

  it('is red after setFailed, and wrongly green when process.exit(0) follows', async () => {
    const failed = await runAction({
      directory: await fakeAction({ main: withCore(`core.setFailed('no')`) }),
    });
    expect(failed.main).toMatchObject({ code: 1, conclusion: 'failure', annotations: [{ message: 'no' }] });
    const undone = await runAction({
      directory: await fakeAction({ main: withCore(`core.setFailed('no'); process.exit(0)`) }),
    });
    expect(undone.main).toMatchObject({ code: 0, conclusion: 'success', annotations: [{ message: 'no' }] });
    expect(undone.main!.doubts).toEqual(['shows the error "no" and exits 0']);
  });
});

describe('running one action', () => {
  it('kills main at a line of its log; its post still has the state', async () => {
    const directory = await fakeAction({
      main: `append('STATE', 'lease=x\\n'); print('half way 1'); setInterval(() => {}, 1000);`,
      post: `print('found ' + env.STATE_lease)`,
    });
    const { main, post, conclusion } = await runAction({
      directory,
      signalAt: { line: /half way \d/, signal: 'SIGKILL' },
    });
    expect(main).toMatchObject({
      code: undefined,
      signal: 'SIGKILL',
      conclusion: 'failure',
      state: { lease: 'x' },
    });
    expect(post!.log).toContain('found x');
    expect(conclusion).toBe('failure');
  });

  it('cancels at a line of its log, shuts the runner down, or loses it', async () => {
    const directory = await fakeAction({
      main: `print('ready'); setInterval(() => {}, 1000);`,
      post: `print('tidied')`,
    });
    const cancelled = await runAction({ directory, cancelAt: { line: 'ready' } });
    expect([cancelled.main!.conclusion, cancelled.post?.conclusion]).toEqual(['cancelled', 'success']);
    const shutDown = await runAction({ directory, shutdownAt: { line: 'ready' } });
    expect([shutDown.main!.conclusion, shutDown.post]).toEqual(['cancelled', undefined]);
    const lost = await runAction({ directory, loseAt: { line: 'ready' } });
    expect([lost.job.lost, lost.post]).toEqual([true, undefined]);
  });

  it('runs one phase alone with the state given', async () => {
    const directory = await fakeAction({ main: `print('main')`, post: `print('post ' + env.STATE_a)` });
    const alone = await runAction({ directory, phases: ['post'], state: { a: 'forged' } });
    expect(alone.main).toBeUndefined();
    expect(alone.post!.log).toContain('post forged');
    const main = await runAction({ directory, phases: ['main'] });
    expect([main.main!.code, main.post]).toEqual([0, undefined]);
  });

  it('shows post the final status when a later step failed', async () => {
    const directory = await fakeAction({
      main: '',
      post: `print('job ' + env.INPUT_STATUS)`,
      inputs: '  status: {default: "${{ job.status }}"}',
    });
    const { post } = await runAction({ directory, failJobAfterMain: true });
    expect(post!.log).toContain('job failure');
  });

  it('refuses an action that the runner would not load', async () => {
    await expect(runAction({ directory: '/nonexistent' })).rejects.toThrow("Can't find 'action.yml'");
  });

  it('finds a canary in files, state, arguments and environment of children, and in the log', async () => {
    const secret = 'canary-8f3a1c';
    const directory = await fakeAction({
      inputs: '  key: {}',
      main: `
        const key = env.INPUT_KEY;
        writeFileSync(env.RUNNER_TEMP + '/key', key);
        append('STATE', 'key=' + Buffer.from(key).toString('hex') + '\\n');
        print(key.toUpperCase().toLowerCase().split('').reverse().join(''));
        print(Buffer.from('x' + key + 'yz').toString('base64'));
        const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 300)', key]);
        await new Promise((resolve) => child.on('exit', resolve));`,
    });
    const { leaks } = await runAction({
      directory,
      inputs: { key: secret },
      secrets: { KEY: secret },
      canaries: [secret],
    });
    expect(new Set(leaks.map(({ form, place }) => `${form}: ${place.replace(/.*[/]/, '')}`))).toEqual(
      new Set([
        'plain: key',
        expect.stringMatching(/^hex: save_state_/),
        'hex: state of action',
        'base64: log of action',
        'plain: arguments of a process',
        'plain: node',
      ]),
    );
    const clean = await runAction({
      directory: await fakeAction({
        main: `spawn('sleep', ['0.2'], { env: { PATH: env.PATH } }); print(env.INPUT_KEY)`,
        inputs: '  key: {}',
      }),
      inputs: { key: secret },
      secrets: { KEY: secret },
      canaries: [secret],
    });
    expect(clean.leaks).toEqual([]);
  });
});

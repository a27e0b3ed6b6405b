import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { loadManifest, nodePath } from '@lockkeeper/runner';
import {
  githubFiles,
  type LabState,
  leftOpen,
  outputName,
  renderState,
  shellExports,
} from '../tools/lab/facts.ts';
import { root } from '../tools/manifest.ts';

const asBefore: LabState = {
  rules: [],
  openPorts: [],
  expectedTargets: ['i-1', 'i-2'],
  targets: [
    { id: 'i-1', state: 'healthy', version: 'v2' },
    { id: 'i-2', state: 'healthy', version: 'v2' },
  ],
  slack: [],
};
const target = (id: string, state = 'healthy', version = 'v2') => ({ id, state, version });

describe('what is left open', () => {
  it.each<[string, Partial<LabState>, string[]]>([
    ['nothing, when all is as before', {}, []],
    [
      'a rule',
      { rules: ['sgr-1 (192.0.2.1/32)'] },
      ['the rule sgr-1 (192.0.2.1/32) is still in the security group'],
    ],
    ['a port', { openPorts: ['127.77.0.254:2222'] }, ['127.77.0.254:2222 (SSH) still answers']],
    ['a target that is out', { targets: [target('i-1')] }, ['i-2 is out of the target group']],
    [
      'a target too many',
      { targets: [...asBefore.targets, target('i-3')] },
      ['i-3 is in the target group and was not'],
    ],
    [
      'a target that drains',
      { targets: [target('i-1', 'draining'), target('i-2')] },
      ['i-1 is draining, not healthy'],
    ],
    [
      'two versions',
      { targets: [target('i-1'), target('i-2', 'healthy', 'v1')] },
      ['the targets serve different versions: v2, v1'],
    ],
  ])('is %s', (_, change, left) => expect(leftOpen({ ...asBefore, ...change })).toEqual(left));

  it('is told without a line that a runner would take for a command', () => {
    const shown = renderState({ ...asBefore, slack: ['::error::gotcha\n##[error]gotcha'] });
    expect(shown).toContain('gotcha');
    expect(shown.split('\n').filter((line) => line.trimStart().startsWith('::'))).toEqual([]);
    expect(shown).not.toContain('##[');
  });
});

describe('what a step hands to later steps', () => {
  const facts = {
    vars: { SSH_PORT: '2222', HOSTS: 'a\nb' },
    secrets: { SSH_PRIVATE_KEY: '-----BEGIN-----\nabcd%efgh\nxyz=\n' },
    env: { AWS_ENDPOINT_URL: 'http://127.0.0.1:1', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI' },
  };

  it('is set off by delimiters that nobody can know beforehand', () => {
    const { output, env } = githubFiles(facts);
    const delimiters = [...`${output}${env}`.matchAll(/^[\w-]+<<(\S+)$/gm)].map(([, end]) => end);
    expect(new Set(delimiters).size).toBe(5);
    expect(delimiters[0]).toMatch(/^lab_[0-9a-f-]{36}$/);
  });

  it('keeps values of several lines whole', () => {
    let n = 0;
    const { output, env } = githubFiles(facts, () => `end${++n}`);
    expect(output).toBe(
      'ssh-port<<end1\n2222\nend1\nhosts<<end2\na\nb\nend2\n' +
        'ssh-private-key<<end3\n-----BEGIN-----\nabcd%efgh\nxyz=\n\nend3\n',
    );
    expect(env).toBe(
      'AWS_ENDPOINT_URL<<end4\nhttp://127.0.0.1:1\nend4\nAWS_SECRET_ACCESS_KEY<<end5\nwJalrXUtnFEMI\nend5\n',
    );
  });

  it('masks secrets and keys whole and by line, and no line so short that it would mask the log', () =>
    expect(githubFiles(facts).commands).toBe(
      '::add-mask::-----BEGIN-----%0Aabcd%25efgh%0Axyz=\n::add-mask::-----BEGIN-----\n' +
        '::add-mask::abcd%25efgh\n::add-mask::wJalrXUtnFEMI\n',
    ));

  it('refuses a value that ends its own entry', () =>
    expect(() => githubFiles(facts, () => 'b')).toThrow('HOSTS holds its own delimiter b'));
});

it('gives a shell the values as they are', async () => {
  const value = `it's $HOME "x" \`id\`\n\\`;
  const script = `${shellExports({ vars: { VALUE: value }, secrets: {}, env: {} })}printf %s "$VALUE"`;
  expect(await runFile('/bin/sh', ['-c', script], {})).toMatchObject({ code: 0, stdout: value });
});

describe('pnpm lab', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'lockkeeper-pnpm-lab-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));
  const place = () => mkdtempSync(join(scratch, 'temp-'));
  const argv = (...args: string[]) => [
    '--disable-warning=ExperimentalWarning',
    join(root, 'tools/lab/main.ts'),
    ...args,
  ];
  const lab = (temp: string, ...args: string[]) => runFile(nodePath, argv(...args), { RUNNER_TEMP: temp });

  it.each<[string[], string]>([
    [['shwo'], '"shwo" is not one of push, show, check, close; see pnpm lab --help'],
    [['push'], 'pnpm lab push takes one version; see --help'],
    [['show', 'x'], 'pnpm lab show takes nothing more; see --help'],
    [['--hosts', '0'], '--hosts: "0" is not a whole number from 1 to 20'],
    [['--scale', 'fast'], '--scale: "fast" is not a whole number from 1 to 1000'],
    [['show'], 'no lab is open. Next: pnpm lab'],
    [['close'], 'no lab is open. Next: pnpm lab'],
    [['--github'], '--github needs GITHUB_OUTPUT and GITHUB_ENV: it is for a step of a workflow'],
  ])('answers %j in one line, with exit status 2', async (args, message) =>
    expect(await lab(place(), ...args)).toEqual({ code: 2, stdout: '', stderr: `${message}\n` }),
  );

  it('keeps no socket where others can read', async () => {
    const temp = place();
    const directory = join(temp, `lockkeeper-lab-${process.getuid!()}`);
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    expect(await lab(temp, 'show')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('can be read by others'),
    });
  });

  it('stays open until it is told to end, and then nothing of it is left', async () => {
    const temp = place();
    const child = spawn(nodePath, argv('--hosts', '1'), { env: { ...closedEnvironment, RUNNER_TEMP: temp } });
    try {
      const opened = await said(child, 'It stays open until Ctrl+C');
      const port = Number(/APP_URL=http:\/\/127\.0\.0\.1:(\d+)/.exec(opened)![1]);
      const file = /shell: {2}\. (\S+)/.exec(opened)![1]!;
      expect(readFileSync(file, 'utf8')).toContain('export SSH_PRIVATE_KEY=');
      expect(opened).not.toContain('PRIVATE KEY');

      expect((await lab(temp)).stderr).toBe('a lab is open already. Next: pnpm lab close\n');
      expect((await lab(temp, 'push', 'v2')).stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
      expect(await lab(temp, 'check')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('serves v1'),
      });

      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number];
      expect(code).toBe(0);
      expect(await answers(port)).toBe(false);
      expect(existsSync(file)).toBe(false);
      expect((await lab(temp, 'show')).stderr).toBe('no lab is open. Next: pnpm lab\n');
    } finally {
      child.kill('SIGKILL');
    }
  }, 60_000);

  it('hands a workflow all that the action in .github/actions/lab declares, and outlives the step', async () => {
    const temp = place();
    const [output, environment] = [join(temp, 'output'), join(temp, 'env')];
    const step = { RUNNER_TEMP: temp, GITHUB_OUTPUT: output, GITHUB_ENV: environment };
    let closed = '';
    try {
      const { code, stderr, stdout } = await runFile(nodePath, argv('--hosts', '1', '--github'), step);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('::add-mask::');
      const names = (path: string) =>
        [...readFileSync(path, 'utf8').matchAll(/^([\w-]+)<<lab_\S+$/gm)].map(([, name]) => name).sort();
      expect(names(output)).toEqual(loadManifest(join(root, '.github/actions/lab')).outputs.sort());
      expect(names(environment)).toEqual([
        'AWS_ACCESS_KEY_ID',
        'AWS_ENDPOINT_URL',
        'AWS_REGION',
        'AWS_SECRET_ACCESS_KEY',
      ]);
      expect(outputName('SSH_PRIVATE_KEY')).toBe('ssh-private-key');
      expect((await lab(temp, 'check')).code).toBe(0);
    } finally {
      closed = (await lab(temp, 'close')).stdout;
    }
    const pid = Number(/process (\d+)/.exec(closed)![1]);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  }, 60_000);
});

/** Nothing of this test's own environment, which may itself be a step of a workflow. */
const closedEnvironment = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/' };

function runFile(
  program: string,
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { env: { ...closedEnvironment, ...env } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

function said(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding('utf8').on('data', (data: string) => {
        all += data;
        if (all.includes(text)) resolve(all);
      });
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it said "${text}": ${all}`)));
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

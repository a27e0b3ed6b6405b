import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type InputError, inputsOf } from '@lockkeeper/action';
import { generateKeyPair } from '@lockkeeper/lab';
import { parse } from 'yaml';
import { report } from '../src/deploy.ts';
import { parseInputs } from '../src/inputs.ts';
import { formatSize } from '../src/run.ts';
import { summarise } from '../src/summary.ts';

const manifest = parse(readFileSync(new URL('../action.yml', import.meta.url), 'utf8')) as {
  inputs: Record<string, { default?: string }>;
};
const defaults = Object.fromEntries(
  Object.entries(manifest.inputs).map(([name, { default: value = '' }]) => [name, value]),
);
const good = {
  host: '10.0.0.5',
  username: 'deploy',
  'private-key': generateKeyPair().private,
  'host-fingerprint': 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'project-directory': '/srv/shop',
};

function problems(values: Record<string, string>): string[] {
  try {
    parseInputs(inputsOf({ ...good, ...values }, defaults));
    return [];
  } catch (error) {
    return (error as InputError).problems;
  }
}

describe('inputs', () => {
  it('are all declared in action.yml, and all that are declared are read', () => {
    const inputs = inputsOf(good, defaults);
    parseInputs(inputs);
    expect([...inputs.names].sort()).toEqual(Object.keys(manifest.inputs).sort());
  });

  it.each([
    ['host', '-oProxyCommand=id'],
    ['host', 'user@10.0.0.5'],
    ['host', '10.0.0.5\n`id`.example'],
    ['host', ''],
    ['username', 'a$(id)'],
    ['port', '22-80'],
    ['private-key', 'hunter2'],
    ['host-fingerprint', 'MD5:00'],
    ['known-hosts', '@cert-authority * ssh-ed25519 AAAA'],
    ['jump-host', 'a b'],
    ['connect-timeout', '30'],
    ['on-failure', 'retry'],
  ])('%s: %j is refused', (name, value) => {
    expect(problems({ [name]: value }).map((problem) => problem.split(':')[0])).toContain(name);
  });

  it('refuse to trust a host unseen, and tell how to get its key', () => {
    expect(problems({ 'host-fingerprint': '' })).toEqual([
      expect.stringContaining('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub'),
    ]);
  });
});

describe('run', () => {
  const places = { workspace: '/home/runner/work/shop/shop', temp: '/home/runner/work/_temp' };
  const read = (values: Record<string, string>) =>
    parseInputs(
      inputsOf({ ...good, run: 'docker compose exec -T db pg_dump shop', ...values }, defaults),
      places,
    ).run;

  it.each([
    ['', undefined],
    ['backup.sql', '/home/runner/work/shop/shop/backup.sql'],
    ['./out/backup.sql', '/home/runner/work/shop/shop/out/backup.sql'],
    ['/home/runner/work/_temp/backup.sql', '/home/runner/work/_temp/backup.sql'],
  ])('with run-output %j writes %s', (given, output) =>
    expect(read({ 'run-output': given })).toEqual({
      lines: 'docker compose exec -T db pg_dump shop',
      output,
    }),
  );

  it.each([
    '/etc/passwd',
    '../backup.sql',
    'a/../../b',
    'out/',
    '.',
    '/home/runner/work/shop/shop',
    '/home/runner/work/shop/shop2/x',
    'a\nb',
  ])('refuses the run-output %j', (output) =>
    expect(() => read({ 'run-output': output })).toThrow(/^run-output: .*expected a file in the workspace/s),
  );

  it.each([
    ['rollback-to', 'previous', 'contradict'],
    ['dry-run', 'true', 'contradict'],
    ['pre-deploy', 'true', 'deploys nothing'],
    ['env-file', 'A=b', 'deploys nothing'],
    ['registry-username', 'bot', 'deploys nothing'],
    ['image', `web=a/web@sha256:${'0'.repeat(64)}`, 'deploys nothing'],
  ])('is refused together with %s, by its name', (name, value, why) =>
    expect(() => read({ [name]: value })).toThrow(new RegExp(`(^|\n)${name}: .*${why}`)),
  );

  it('gives the output of one host only, and run-output nothing without run', () => {
    expect(() => read({ host: 'a.example\nb.example', 'run-output': 'x' })).toThrow(
      'run-output: takes the output of one host; host names 2',
    );
    expect(() => read({ run: '', 'run-output': 'x' })).toThrow('run-output: is of use only with run');
  });

  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [1_073_741_824, '1.1 GB'],
    [104_857_600, '105 MB'],
  ])('tells %d bytes as %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));
});

describe('the report of several hosts', () => {
  const outcome = (host: string, result: 'deployed' | 'rolled-back' | 'rollback-failed', reason = '') => ({
    host,
    result,
    images: {},
    services: [],
    reason,
    message: `${host} ${result}.`,
    details: reason && 'log | lines',
    next: reason && 'docker compose logs web',
    downtime: 0,
    duration: 1000,
  });

  it('is as good as the worst host, and its reason is the first cause', () => {
    expect(report([outcome('a', 'deployed'), outcome('b', 'deployed')], 'r')).toMatchObject({
      result: 'deployed',
      reason: '',
    });
    expect(
      report([outcome('a', 'rolled-back'), outcome('b', 'rollback-failed', 'web has exited')], 'r'),
    ).toMatchObject({ result: 'rollback-failed', reason: 'web has exited' });
  });

  it('becomes a summary whose table no text of a host can break', () => {
    const bad = { ...outcome('a', 'rolled-back', 'x'), message: 'a | <img src=x> @channel' };
    const text = summarise(report([bad], 'r'), 'r');
    expect(text).toContain('compose-deploy: rolled-back');
    expect(text).not.toContain('<img');
    expect(text).not.toContain('@channel');
    expect(text).toContain('docker compose logs web');
  });
});

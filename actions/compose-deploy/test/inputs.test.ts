import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type InputError, inputsOf } from '@lockkeeper/action';
import { generateKeyPair } from '@lockkeeper/lab';
import { parse } from 'yaml';
import { report } from '../src/deploy.ts';
import { parseInputs } from '../src/inputs.ts';
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

  it('are refused, not ignored, where they are not acted on yet', () => {
    const refused = problems({
      images: 'transfer',
      run: 'true',
      'singleton-services': 'beat',
      'blue-green-services': 'web',
    });
    expect(refused).toHaveLength(4);
    for (const problem of refused) expect(problem).toContain('not supported by this version yet');
  });
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

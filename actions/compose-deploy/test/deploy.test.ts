import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openStack, type Stack } from './stack.ts';

let stack: Stack;
beforeEach(async () => {
  stack = await openStack('127.77.0.71');
});
afterEach(async () => {
  await stack.close();
});

const release = /^\d{8}-\d{6}-a1b2c3d-[a-z0-9]{4}$/;

describe('a deploy on a host where nothing ran', () => {
  it('serves the release, then the next one, and leaves the database alone', async () => {
    const first = await stack.deploy();
    expect(first).toMatchObject({ result: 'deployed', reason: '' });
    expect(first.release).toMatch(release);
    expect(await stack.version()).toBe('v1');
    const before = await stack.containers();

    await stack.push('v2');
    const second = await stack.deploy({ environment: 'TAG=v2' });
    expect(second).toMatchObject({ result: 'deployed', hosts: [{ previous: first.release }] });
    expect(await stack.version()).toBe('v2');
    const after = await stack.containers();
    expect(after.db).toBe(before.db);
    expect(after.web).not.toBe(before.web);

    const again = await stack.deploy({ environment: 'TAG=v2' });
    expect(again.result).toBe('unchanged');
    expect(again.hosts[0]?.serving).toBe(second.release);

    const back = await stack.deploy({ 'rollback-to': 'previous' });
    expect(back).toMatchObject({ result: 'deployed', release: first.release });
    expect(await stack.version()).toBe('v1');
    expect((await stack.containers()).db).toBe(before.db);
  }, 60_000);

  it('stops what a failed first release started', async () => {
    await stack.push('v1', '503');
    const report = await stack.deploy();
    expect(report.result).toBe('failed');
    expect(report.message).toContain('Nothing ran here before');
    expect(await stack.version()).toContain('fetch failed');
  }, 30_000);
});

describe('a sick release', () => {
  it.each([
    ['crash', 'web has exited'],
    ['503', '503'],
    ['late', 'stability window'],
    ['database', 'database=false'],
  ])(
    'that is ill by %s goes back to the release before, verified',
    async (sick, reason) => {
      const first = await stack.deploy();
      const before = await stack.containers();
      await stack.push('v2', sick);
      const report = await stack.deploy({
        environment: 'TAG=v2',
        'health-json': 'database=true',
        'stability-window': '3s',
      });
      expect(report.reason).toMatch(sick === 'late' ? /stability window|exited/ : reason);
      expect(report).toMatchObject({ result: 'rolled-back', hosts: [{ serving: first.release }] });
      expect(report.message).toContain(`Rolled back to ${first.release}, verified.`);
      expect(await stack.version()).toBe('v1');
      expect((await stack.containers()).db).toBe(before.db);
    },
    60_000,
  );

  it('goes back to what ran before the first deploy of ours', async () => {
    await stack.docker('compose', 'up', '-d');
    const before = await stack.containers();
    await stack.push('v2', '503');
    const report = await stack.deploy({ environment: 'TAG=v2\nGREETING=new' });
    expect(report.result).toBe('rolled-back');
    expect(report.hosts[0]?.serving).toMatch(/-initial-/);
    expect(await stack.version()).toBe('v1');
    expect((await stack.containers()).db).toBe(before.db);
    const audit = await readFile(join(stack.directory, '.lockkeeper/audit.log'), 'utf8');
    expect(audit).toContain('rolled back to');
  }, 60_000);

  it('shows the last log lines of what failed', async () => {
    await stack.push('v1', 'crash');
    const report = await stack.deploy();
    expect(report.details).toContain('cannot import settings');
    expect(report.next).toContain('logs web');
  }, 30_000);
});

describe('before anything changes', () => {
  it.each([
    ['a tag that the registry does not have', { environment: 'TAG=v9' }, /cannot pull/],
    ['a service that the file does not have', { services: 'wob' }, /no service wob; it has db, web/],
    ['a directory that is not there', { 'project-directory': '~/nowhere' }, /no directory/],
    ['a variable that is not set', { 'required-env': 'SECRET_KEY' }, /SECRET_KEY is required/],
    [
      'a failing migration',
      { environment: 'GREETING=a', 'pre-deploy': 'echo migrating\nfalse' },
      /pre-deploy failed/,
    ],
  ])(
    '%s fails and the old release goes on',
    async (_what, values, reason) => {
      await stack.deploy();
      const before = await stack.containers();
      const report = await stack.deploy(values);
      expect(report.reason).toMatch(reason);
      expect(['failed', 'rolled-back']).toContain(report.result);
      expect(await stack.containers()).toEqual(before);
      expect(await stack.version()).toBe('v1');
    },
    40_000,
  );

  it('refuses a host that shows another key than the pinned one, and says which it showed', async () => {
    const other = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    const report = await stack.deploy({ 'known-hosts': '', 'host-fingerprint': other });
    expect(report.result).toBe('failed');
    expect(report.reason).toContain(other);
    expect(report.reason).toContain(stack.host.hostKey.fingerprint);
    expect(stack.host.sessions).toBe(0);
  });

  it('says that the key is the wrong one, without trying again', async () => {
    const { default: ssh2 } = await import('ssh2');
    const stranger = ssh2.utils.generateKeyPairSync('ed25519').private;
    const report = await stack.deploy({ 'private-key': stranger });
    expect(report.reason).toContain('refused the key for user "deploy"');
    expect(report.log.join('\n')).not.toContain('trying again');
  });

  it('plans and changes nothing on a dry run', async () => {
    await stack.docker('compose', 'up', '-d');
    const before = await stack.containers();
    const report = await stack.deploy({ 'dry-run': 'true', environment: 'GREETING=new' });
    expect(report.result).toBe('unchanged');
    expect(report.hosts[0]?.services).toContainEqual({
      service: 'web',
      change: 'recreate',
      why: 'configuration changed',
    });
    expect(await stack.containers()).toEqual(before);
    await expect(readFile(join(stack.directory, '.lockkeeper/audit.log'))).rejects.toThrow('ENOENT');
  });
});

describe('hooks and secrets', () => {
  it('runs pre-deploy with the new release and post-deploy after it is proven; its failure goes back', async () => {
    await stack.deploy();
    await stack.push('v2');
    const report = await stack.deploy({
      environment: 'TAG=v2',
      'pre-deploy': 'docker compose config --images | sort\necho "tag is $TAG"',
      'post-deploy': 'echo proven\nexit 7',
    });
    const log = report.log.join('\n');
    expect(log).toContain('web:v2');
    expect(log).toContain('tag is v2');
    expect(report.reason).toContain('post-deploy failed');
    expect(report.result).toBe('rolled-back');
    expect(await stack.version()).toBe('v1');
  }, 40_000);

  it('writes the env file literally and 0600, and gives the old one back when the release fails', async () => {
    await stack.deploy({ 'env-file': "GREETING='old $HOME'\n" });
    const path = join(stack.directory, '.env');
    expect(await readFile(path, 'utf8')).toBe("GREETING='old $HOME'\n");
    await stack.push('v2', '503');
    const report = await stack.deploy({ environment: 'TAG=v2', 'env-file': "GREETING='new'\n" });
    expect(report.result).toBe('rolled-back');
    expect(await readFile(path, 'utf8')).toBe("GREETING='old $HOME'\n");
    const { mode } = await import('node:fs').then(({ statSync }) => statSync(path));
    expect(mode & 0o777).toBe(0o600);
  }, 40_000);

  it('deploys exactly the digest that image names, whatever the tag of the file says', async () => {
    await stack.deploy();
    const digest = await stack.push('v3');
    const report = await stack.deploy({ image: `web=${stack.registry.url}/web@${digest}` });
    expect(report.result).toBe('deployed');
    expect(report.hosts[0]?.images.web).toContain(digest);
    expect(await stack.version()).toBe('v3');
  }, 40_000);
});

describe('two deploys at once', () => {
  it('one waits for the lock of the other, then deploys', async () => {
    await stack.deploy();
    await stack.push('v2');
    await stack.push('v3');
    const both = await Promise.all([
      stack.deploy({ environment: 'TAG=v2' }),
      stack.deploy({ environment: 'TAG=v3' }),
    ]);
    expect(both.map(({ result }) => result)).toEqual(['deployed', 'deployed']);
    expect(both.flatMap(({ log }) => log).join('\n')).toContain('waiting for octo/shop');
  }, 60_000);

  it('says who holds the lock when it cannot wait', async () => {
    await stack.push('v1', 'late');
    const slow = stack.deploy({ 'stability-window': '5s' });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const report = await stack.deploy({ 'lock-timeout': '0s' });
    expect(report).toMatchObject({ result: 'locked' });
    expect(report.reason).toContain('https://github.com/octo/shop/actions/runs/1');
    await slow;
  }, 40_000);
});

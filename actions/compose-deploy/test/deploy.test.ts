import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cancelled } from '@lockkeeper/action';
import { generateKeyPair } from '@lockkeeper/lab';
import { openStack, type Stack } from './stack.ts';

describe('on a host of its own', () => {
  /** These wait most of their time, so they run side by side, each on its own host. */
  const promise = (name: string, keep: (stack: Stack) => Promise<void>) =>
    it.concurrent(name, async () => {
      const stack = await openStack();
      try {
        await keep(stack);
      } finally {
        await stack.close();
      }
    }, 120_000);

  promise(
    'serves a release, then the next, then an exact digest, goes back twice, and never touches the database',
    async (stack) => {
      const first = await stack.deploy();
      expect(first).toMatchObject({ result: 'deployed', reason: '' });
      expect(first.release).toMatch(/^\d{8}-\d{6}-a1b2c3d-[a-z0-9]{4}$/);
      expect(await stack.version()).toBe('v1');
      const before = await stack.containers();

      await stack.push('v2');
      const second = await stack.deploy({ environment: 'TAG=v2', strategy: 'stop-first' });
      expect(second).toMatchObject({ result: 'deployed', hosts: [{ previous: first.release }] });
      expect(second.log.join('\n')).toContain('stopping web first');
      expect(await stack.version()).toBe('v2');

      const again = await stack.deploy({ environment: 'TAG=v2' });
      expect(again).toMatchObject({ result: 'unchanged', hosts: [{ serving: second.release }] });

      const digest = await stack.push('v3');
      const third = await stack.deploy({ image: `web=${stack.registry.url}/web@${digest}` });
      expect(third.hosts[0]?.images.web).toContain(digest);
      expect(await stack.version()).toBe('v3');

      const back = await stack.deploy({
        'rollback-to': 'previous',
        'pre-deploy': 'echo migrating',
        'pre-rollback': 'echo "filled by $TAG"',
      });
      expect(back.log.join('\n')).toContain('filled by v2');
      expect(back.log.join('\n')).not.toContain('migrating');
      expect(back).toMatchObject({ result: 'deployed', release: second.release });
      expect(await stack.version()).toBe('v2');
      const further = await stack.deploy({ 'rollback-to': 'previous' });
      expect(further).toMatchObject({ result: 'deployed', release: first.release });
      expect(await stack.version()).toBe('v1');

      const last = await stack.deploy({ environment: 'TAG=v2\nGREETING=bye', 'keep-releases': '1' });
      expect((await stack.containers()).db).toBe(before.db);
      expect(readdirSync(join(stack.directory, '.lockkeeper/releases')).sort()).toEqual([
        first.release,
        last.release,
      ]);
    },
  );

  promise(
    'keeps the images of the releases that it keeps, and what somebody else brought, and no other',
    async (stack) => {
      const images = async () =>
        (await stack.docker('images', '-q', '--no-trunc')).split('\n').filter(Boolean).sort();
      const web = `${stack.registry.url}/web`;
      const push = async (tag: string, sick?: string) => ({
        image: `web=${web}@${await stack.push(tag, sick)}`,
        'keep-releases': '1',
      });
      const idOf = (tag: string) => stack.registry.imageId('web', tag)!;
      await push('theirs');
      await stack.docker('pull', `${web}:theirs`);
      await stack.deploy({ 'keep-releases': '1' });
      const before = await images();
      expect(before).toContain(idOf('v1'));

      const cut = await push('v2');
      await writeFile(join(stack.directory, 'compose.yaml'), stack.composeFile.replace('/db:15', '/db:none'));
      expect((await stack.deploy(cut)).reason).toContain('cannot pull');
      await writeFile(join(stack.directory, 'compose.yaml'), stack.composeFile);
      expect(await images()).toEqual([...before, idOf('v2')].sort());

      const good = ['v3', 'v4', 'v5'];
      for (const tag of good) expect((await stack.deploy(await push(tag))).result).toBe('deployed');
      const kept = [...before.filter((id) => id !== idOf('v1')), idOf('v4'), idOf('v5')].sort();
      expect(await images()).toEqual(kept);

      for (const tag of ['v6', 'v7']) {
        const failed = await stack.deploy(await push(tag, '503'));
        expect(failed).toMatchObject({ result: 'rolled-back', reason: expect.stringContaining('503') });
      }
      // The failed one is the newest; it, what serves and what served before it are kept.
      expect(await images()).toEqual([...kept, idOf('v7')].sort());
      expect(existsSync(join(stack.directory, '.lockkeeper/staging'))).toBe(false);
    },
  );

  promise(
    'stops what a failed first release started, and shows the last log lines of what failed',
    async (stack) => {
      await stack.push('v1', 'crash');
      const report = await stack.deploy();
      expect(report.result).toBe('failed');
      expect(report.message).toContain('Nothing ran here before');
      expect(report.details).toContain('cannot import settings');
      expect(report.next).toBe(
        `ssh -p ${stack.host.sshPort} deploy@${stack.address} 'cd ${stack.directory} && docker compose -p shop logs --tail 50 web'`,
      );
      expect(await stack.version()).toContain('fetch failed');
    },
  );

  promise(
    'goes back to what ran before its first deploy ever, variables of the old container included',
    async (stack) => {
      await stack.docker('compose', 'up', '-d');
      const before = await stack.containers();
      await stack.push('v2', '503');
      const report = await stack.deploy({ environment: 'TAG=v2\nGREETING=new' });
      expect(report.result).toBe('rolled-back');
      expect(report.hosts[0]?.serving).toMatch(/-initial-/);
      expect(await stack.version()).toBe('v1');
      const after = await stack.containers();
      expect(after.db).toBe(before.db);
      const [web] = JSON.parse(await stack.docker('inspect', after.web!));
      expect(web.Config.Env).toContain('GREETING=hello');
      expect(await readFile(join(stack.directory, '.lockkeeper/audit.log'), 'utf8')).toContain(
        'rolled back to',
      );
    },
  );

  promise('has nothing to do again where a service takes its variables from an env_file', async (stack) => {
    await writeFile(join(stack.directory, 'web.env'), 'NOTE=one\n');
    await writeFile(
      join(stack.directory, 'compose.yaml'),
      stack.composeFile.replace('    ports:', '    env_file: web.env\n    ports:'),
    );
    const first = await stack.deploy();
    expect(first.result).toBe('deployed');
    expect((await stack.deploy()).result).toBe('unchanged');
    await writeFile(join(stack.directory, 'web.env'), 'NOTE=two\n');
    expect((await stack.deploy()).hosts[0]?.services).toContainEqual({
      service: 'web',
      change: 'recreate',
      why: 'configuration changed',
    });
  });

  promise('changes nothing where nobody can tell what an earlier run had begun', async (stack) => {
    await stack.docker('compose', 'up', '-d');
    await stack.push('v2');
    await stack.deploy();
    const record = join(stack.directory, '.lockkeeper/pending.json');
    await writeFile(record, '{"version":1,');
    const refused = await stack.deploy({ environment: 'TAG=v2' });
    expect(refused.result).toBe('failed');
    expect(refused.reason).toContain('pending.json cannot be read; nothing was changed');
    expect(refused.next).toContain('rm .lockkeeper/pending.json');
    expect(await stack.version()).toBe('v1');
    await rm(record);
    expect((await stack.deploy({ environment: 'TAG=v2' })).result).toBe('deployed');
  });

  promise(
    'lets a second deploy wait for the first, and one that may not wait say who holds the lock',
    async (stack) => {
      await stack.push('v2');
      const first = stack.deploy({ 'pre-deploy': 'sleep 3' });
      while (!existsSync(join(stack.directory, '.lockkeeper/lock')))
        await new Promise((resolve) => setTimeout(resolve, 50));
      const impatient = stack.deploy({ 'lock-timeout': '0s' });
      const second = await stack.deploy({ environment: 'TAG=v2' });
      expect(await impatient).toMatchObject({ result: 'locked' });
      expect((await impatient).reason).toContain('https://github.com/octo/shop/actions/runs/1');
      expect((await first).result).toBe('deployed');
      expect(second.log.join('\n')).toContain('waiting for octo/shop');
      expect(second).toMatchObject({ result: 'deployed', hosts: [{ previous: (await first).release }] });
      expect(existsSync(join(stack.directory, '.lockkeeper/lock'))).toBe(false);
    },
  );

  for (const [sickness, values, reason] of [
    ['crash', {}, /web has exited|crash-looping/],
    ['503', {}, /web is unhealthy on .*: GET \/health\/ answered 503 \(3 of 3\)/],
    ['late', { 'stability-window': '3s' }, /restarted|exited|fell ill/],
    [
      'database',
      { 'health-json': 'database=true', 'health-timeout': '2s' },
      /answered 200, but database is false, expected true/,
    ],
  ] as Array<[string, Record<string, string>, RegExp]>)
    promise(`goes back to v1, verified, from a release that is ill by ${sickness}`, async (stack) => {
      const serving = (await stack.deploy()).release;
      const { db } = await stack.containers();
      await stack.push('v2', sickness);
      const report = await stack.deploy({ environment: 'TAG=v2', ...values });
      expect(report.reason).toMatch(reason);
      expect(report).toMatchObject({ result: 'rolled-back', hosts: [{ serving }] });
      expect(report.message).toContain(`Rolled back to ${serving}, verified.`);
      expect(await stack.version()).toBe('v1');
      expect((await stack.containers()).db).toBe(db);
    });
});

/** One host that serves v1; each of these ends with it serving v1 from the same containers or the same release. */
describe('where v1 serves', () => {
  let stack: Stack;
  let serving: string;
  beforeAll(async () => {
    stack = await openStack();
    serving = (await stack.deploy({ 'env-file': "NOTE='old $HOME'\n" })).release;
    await stack.push('v2-503', '503');
    await stack.push('v2');
  }, 60_000);
  afterAll(() => stack.close());

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
    '%s is told, and no container changes',
    async (_what, values, reason) => {
      const before = await stack.containers();
      const report = await stack.deploy(values);
      expect(report.reason).toMatch(reason);
      expect(['failed', 'rolled-back']).toContain(report.result);
      expect(await stack.containers()).toEqual(before);
      expect(await stack.version()).toBe('v1');
    },
    40_000,
  );

  it('a registry login leaves nothing on the host, and its password is in no argument', async () => {
    const report = await stack.deploy({
      environment: 'TAG=v9',
      registry: stack.registry.url,
      'registry-username': 'bot',
      'registry-password': 'correct horse',
    });
    expect(report.reason).toContain('cannot pull');
    expect(report.log.join('\n')).not.toContain('correct horse');
    expect(
      readdirSync(join(stack.directory, '.lockkeeper')).filter((name) => name.includes('config')),
    ).toEqual([]);
    expect(existsSync(join(stack.host.home, '.docker/config.json'))).toBe(false);
  });

  it('refuses a host that shows another key than the pinned one, and says which it showed', async () => {
    const other = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    const report = await stack.deploy({ 'known-hosts': '', 'host-fingerprint': other });
    expect(report.result).toBe('failed');
    expect(report.reason).toContain(other);
    expect(report.reason).toContain(stack.host.hostKey.fingerprint);
    expect(stack.host.sessions).toBe(0);
  });

  it('says that the key is the wrong one, without trying again', async () => {
    const report = await stack.deploy({
      'private-key': generateKeyPair().private,
    });
    expect(report.reason).toContain('refused the key for user "deploy"');
    expect(report.log.join('\n')).not.toContain('trying again');
  });

  it('plans and changes nothing on a dry run', async () => {
    const before = await stack.containers();
    const audit = await readFile(join(stack.directory, '.lockkeeper/audit.log'), 'utf8');
    const report = await stack.deploy({ 'dry-run': 'true', environment: 'GREETING=new' });
    expect(report.result).toBe('unchanged');
    expect(report.hosts[0]?.services).toContainEqual({
      service: 'web',
      change: 'recreate',
      why: 'configuration changed',
    });
    expect(await stack.containers()).toEqual(before);
    expect(await readFile(join(stack.directory, '.lockkeeper/audit.log'), 'utf8')).toBe(audit);
  });

  it('a cancel after the switch leaves the undoing to post, which is harmless when run again', async () => {
    const cancel = new AbortController();
    const deploying = stack.deploy({ environment: 'TAG=v2-503', 'health-timeout': '60s' }, cancel.signal);
    while ((await stack.version()) !== 'v2-503') await new Promise((resolve) => setTimeout(resolve, 50));
    cancel.abort(new Cancelled('SIGINT'));
    await expect(deploying).rejects.toThrow('cancelled (SIGINT)');
    expect(existsSync(join(stack.directory, '.lockkeeper/lock'))).toBe(true);

    const recovered = await stack.recover();
    expect(recovered).toMatchObject({ good: true });
    expect(recovered.message).toContain(`Rolled back to ${serving}, verified.`);
    expect(await stack.version()).toBe('v1');
    expect(existsSync(join(stack.directory, '.lockkeeper/lock'))).toBe(false);
    expect((await stack.recover()).message).toContain('nothing was under way');
  }, 60_000);

  it('a run that vanished after the switch is made good by the next one, even when that fails early', async () => {
    const cancel = new AbortController();
    const vanished = stack.deploy({ environment: 'TAG=v2-503', 'health-timeout': '60s' }, cancel.signal);
    while ((await stack.version()) !== 'v2-503') await new Promise((resolve) => setTimeout(resolve, 50));
    cancel.abort(new Cancelled('the machine is gone'));
    await expect(vanished).rejects.toThrow();
    // As if 90 s had passed on the host.
    const state = join(stack.directory, '.lockkeeper');
    for (const name of readdirSync(state))
      if (name.startsWith('beat.')) await writeFile(join(state, name), '1000000000');

    const report = await stack.deploy({ environment: 'TAG=v9' });
    expect(report.log.join('\n')).toContain('took over the lock');
    expect(report.reason).toContain('cannot pull');
    expect(report.message).toContain(`Rolled back to ${serving}, verified.`);
    expect(await stack.version()).toBe('v1');
  }, 60_000);

  it('goes back although pre-rollback fails, and says that it did', async () => {
    const report = await stack.deploy({
      environment: 'TAG=v2',
      'post-deploy': 'exit 7',
      'pre-rollback': 'docker compose config --images\nexit 9',
    });
    const log = report.log.join('\n');
    expect(log).toMatch(/^\[\S+\] \S+\/web:v1$/m);
    expect(log).toMatch(/pre-rollback failed on \S+ \(exit code 9\).*; going back all the same/);
    expect(report).toMatchObject({ result: 'rolled-back', hosts: [{ serving }] });
    expect(await stack.version()).toBe('v1');
  }, 60_000);

  it('runs pre-deploy with the new release; a failing post-deploy goes back, env file included', async () => {
    const path = join(stack.directory, '.env');
    const report = await stack.deploy({
      environment: 'TAG=v2',
      'env-file': "NOTE='new'\n",
      'pre-deploy': 'docker compose config --images | sort\necho "tag is $TAG"\ncat .env',
      'post-deploy': 'echo proven\nexit 7',
    });
    const log = report.log.join('\n');
    expect(log).toContain('web:v2');
    expect(log).toContain('tag is v2');
    expect(log).toContain("NOTE='new'");
    expect(report.reason).toContain('post-deploy failed');
    expect(report).toMatchObject({ result: 'rolled-back', hosts: [{ serving }] });
    expect(await stack.version()).toBe('v1');
    expect(await readFile(path, 'utf8')).toBe("NOTE='old $HOME'\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
  }, 60_000);
});

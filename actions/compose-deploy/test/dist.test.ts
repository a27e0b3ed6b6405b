import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPair } from '@lockkeeper/lab';
import { type ActionRun, runAction } from '@lockkeeper/runner';
import { parse } from 'yaml';
import { openStack, type Stack } from './stack.ts';

const directory = fileURLToPath(new URL('..', import.meta.url));
const { outputs } = parse(readFileSync(join(directory, 'action.yml'), 'utf8'));
const secretEnv = 'correct-horse-battery-staple';
const envFile = `SECRET_KEY=${secretEnv}\n`;

/** The committed bundle, as the runner starts it, against a host of the lab. */
describe('the bundle', () => {
  let stack: Stack;
  let serving: string;
  /** Lines of the key that no log may hold. */
  let canaries: string[];
  const run = (values: Record<string, string> = {}, changes: Partial<ActionRun> = {}) =>
    runAction({
      directory,
      inputs: stack.inputs({ 'env-file': envFile, ...values }),
      // As the workflow has them: the runner shows inputs in the log, and masks what comes from secrets.
      secrets: { SSH_PRIVATE_KEY: stack.keys.private, ENV_FILE: envFile },
      canaries,
      ...changes,
    });
  const lock = () => join(stack.directory, '.lockkeeper/lock');

  beforeAll(async () => {
    stack = await openStack();
    canaries = [...stack.keys.private.split('\n').filter((line) => line.length > 60), secretEnv];
    await Promise.all([stack.push('v2'), stack.push('v2-503', '503'), stack.push('v2-crash', 'crash')]);
    const { main, leaks, conclusion, survivors } = await run();
    serving = main?.outputs.release ?? '';
    if (conclusion !== 'success') throw new Error(main?.log.join('\n'));
    expect({ leaks, survivors }).toEqual({ leaks: [], survivors: [] });
  }, 60_000);
  afterAll(() => stack.close());

  it('deploys, sets every output that action.yml declares, and tells it in one line', async () => {
    const { main, post, leaks } = await run({ environment: 'TAG=v2' });
    expect(main).toMatchObject({ code: 0, conclusion: 'success', doubts: [] });
    expect(Object.keys(main!.outputs).sort()).toEqual(Object.keys(outputs).sort());
    expect(main!.outputs).toMatchObject({ result: 'deployed', reason: '', 'previous-release': serving });
    expect(JSON.parse(main!.outputs.hosts!)).toMatchObject([{ host: stack.address, result: 'deployed' }]);
    expect(main!.annotations.filter(({ level }) => level !== 'warning')).toEqual([
      {
        level: 'notice',
        message: expect.stringContaining(`${stack.address} serves ${main!.outputs.release}, verified.`),
      },
    ]);
    expect(main!.summary).toContain('### ✅ compose-deploy: deployed');
    expect(post).toMatchObject({ code: 0, log: ['Post job cleanup.'], annotations: [] });
    expect(leaks).toEqual([]);
    expect(await stack.version()).toBe('v2');
    expect((await run()).main?.outputs.result).toBe('deployed');
    expect(await stack.version()).toBe('v1');
  }, 60_000);

  it('keeps the env file on the host to its user', () => {
    const state = join(stack.directory, '.lockkeeper');
    const holders = (readdirSync(stack.host.home, { recursive: true, encoding: 'utf8' }) as string[])
      .map((name) => join(stack.host.home, name))
      .filter((path) => statSync(path).isFile() && readFileSync(path, 'latin1').includes(secretEnv));
    expect(holders).toContain(join(stack.directory, '.env'));
    expect(holders.map((path) => statSync(path).mode & 0o077)).toEqual(holders.map(() => 0));
    expect(statSync(state).mode & 0o077).toBe(0);
    expect(readFileSync(join(state, 'audit.log'), 'utf8')).not.toContain(secretEnv);
  });

  it('is red where a sick release went back, with the reason as output and the next command', async () => {
    const before = await stack.containers();
    const { main, conclusion, leaks } = await run({ environment: 'TAG=v2-503' });
    expect({ conclusion, code: main?.code }).toEqual({ conclusion: 'failure', code: 1 });
    expect(main!.outputs).toMatchObject({
      result: 'rolled-back',
      reason: expect.stringMatching(/web is unhealthy on .*: GET \/health\/ answered 503/),
    });
    const [annotation] = main!.annotations.filter(({ level }) => level === 'error');
    expect(annotation?.message).toMatch(/Rolled back to \S+, verified\./);
    expect(annotation?.message).toContain(
      `Next: ssh -p ${stack.host.sshPort} deploy@${stack.address} 'cd ${stack.directory} && docker compose -p shop logs --tail 50 web'`,
    );
    expect(main!.summary).toContain('⏪ compose-deploy: rolled-back');
    expect(leaks).toEqual([]);
    expect(await stack.version()).toBe('v1');
    expect((await stack.containers()).db).toBe(before.db);
  }, 60_000);

  it.each<[string, NodeJS.Signals, RegExp]>([
    ['killed', 'SIGKILL', /web: starting/],
    ['cancelled', 'SIGINT', /web: starting/],
  ])(
    'that is %s right after the switch leaves the host to post, which brings the old release back and says so',
    async (_what, signal, line) => {
      const { main, post, conclusion, leaks } = await run(
        { environment: 'TAG=v2-503', 'health-timeout': '60s' },
        { signalAt: { line, signal } },
      );
      expect(main?.conclusion).toBe('failure');
      if (signal === 'SIGKILL') expect(main?.signal).toBe('SIGKILL');
      expect(conclusion).toBe('failure');
      expect(post?.code).toBe(0);
      const told = post!.annotations.filter(({ title }) => title === 'compose-deploy was interrupted');
      expect(told.map(({ level }) => level)).toEqual(['warning']);
      const { message } = told[0]!;
      expect(message).toMatch(
        /^127\.77\.0\.\d+: the deploy of \d{8}-\S+ was interrupted while its containers were replaced and proven\. Rolled back to (\S+), verified\. Serving now: \1\.\nNext: gh run rerun 1001 --repo octo\/boats$/,
      );
      expect(post!.summary).toContain('compose-deploy was interrupted');
      expect(await stack.version()).toBe('v1');
      expect(existsSync(lock())).toBe(false);
      expect(leaks).toEqual([]);
    },
    60_000,
  );

  it('that is killed before the switch changed nothing, and says that too', async () => {
    const before = await stack.containers();
    const { post } = await run(
      { environment: 'TAG=v2' },
      { signalAt: { line: /pulling/, signal: 'SIGKILL' } },
    );
    expect(post!.annotations.map(({ message }) => message).join()).toMatch(
      /nothing was under way, no container was changed\. Serving now: \S+\.\nNext: gh run rerun/,
    );
    expect(await stack.containers()).toEqual(before);
    expect(existsSync(lock())).toBe(false);
  }, 60_000);

  it('runs lines instead, and when it is killed in the middle leaves neither command nor lock', async () => {
    const ran = await run({ 'env-file': '', run: 'docker compose config --images | sort' });
    expect(ran.main).toMatchObject({ code: 0, doubts: [] });
    expect(ran.main!.outputs).toMatchObject({ result: 'ran', reason: '', images: '{}' });
    expect(ran.main!.summary).toContain('### ✅ compose-deploy: ran');
    const { main, post } = await run(
      { 'env-file': '', run: 'echo begun >&2\necho half a dump\nsleep 74.5', 'run-output': 'backup.sql' },
      { signalAt: { line: /begun$/, signal: 'SIGKILL' } },
    );
    expect(main?.signal).toBe('SIGKILL');
    expect(post!.annotations.map(({ message }) => message).join()).toMatch(
      /: the run was interrupted(, its command was ended)?; what it had done stays\. Serving now: /,
    );
    const left = readdirSync('/proc').filter((entry) => {
      try {
        return (
          /^\d+$/.test(entry) && readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes('sleep\u000074.5')
        );
      } catch {
        return false;
      }
    });
    expect(left).toEqual([]);
    expect(existsSync(lock())).toBe(false);
  }, 60_000);

  it('trusts no other host key, and gives the line to paste when the key is right after all', async () => {
    const stranger = generateKeyPair().public.split(' ').slice(0, 2).join(' ');
    const name = `[${stack.address}]:${stack.host.sshPort}`;
    const { main, leaks } = await run({ 'known-hosts': `${name} ${stranger}` });
    expect(main!.outputs.result).toBe('failed');
    const [annotation] = main!.annotations.filter(({ level }) => level === 'error');
    expect(annotation?.message).toContain(`offered ${stack.host.hostKey.fingerprint}`);
    expect(annotation?.message).toMatch(/expected SHA256:\S+/);
    expect(annotation?.message).toContain(stack.host.hostKey.knownHostsLine.trim());
    expect(leaks).toEqual([]);
  }, 30_000);

  it('reports every wrong input at once, before it connects', async () => {
    const { main } = await run({ 'health-timeout': '5', 'keep-releases': 'many', 'known-hosts': '' });
    expect(main!.annotations.length).toBeGreaterThanOrEqual(3);
    expect(Object.keys(main!.outputs)).toEqual(['reason']);
    expect(main!.outputs.reason).toMatch(/^host-fingerprint: .*; health-timeout: .*; keep-releases: /);
    expect(main!.log.join('\n')).not.toContain('Stage on');
  }, 30_000);
});

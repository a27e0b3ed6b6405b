import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import { systemClock } from '@lockkeeper/wait';
import { Lock } from '../src/host/lock.ts';
import { SteadyShell } from '../src/host/steady-shell.ts';
import { Steps } from '../src/host/step.ts';
import { type LocalHost, localHost, shells } from './local-host.ts';

const hosts: LocalHost[] = [];
afterAll(async () => {
  for (const host of hosts) await host.close();
});

const until = async (what: () => boolean) => {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 20));
};

/** A host whose lock an earlier run holds, token a1, that gave its last sign of life 1000 s ago. */
async function left(kind: (typeof shells)[number] = 'sh') {
  const host = await localHost(kind);
  hosts.push(host);
  const state = join(host.directory, '.lockkeeper');
  const ago = Math.floor(Date.now() / 1000) - 1000;
  writeFileSync(join(state, `beat.${host.token}`), `${ago}\n`);
  const log = memoryLog();
  const take = (timeout: number, token = 'b2') =>
    Lock.take(host, {
      directory: host.directory,
      token,
      owner: 'octo/shop https://run/2',
      timeout,
      log,
      clock: systemClock,
    });
  const steps = new Steps(new SteadyShell(host, { within: 1_000, clock: systemClock, log }), {
    directory: host.directory,
    lockToken: host.token,
    clock: systemClock,
    log,
  });
  /** A step of the earlier run, which ends when told. */
  const migrate = async (timeout = 60_000) => {
    const go = join(host.directory, 'go');
    const script = 'echo x >>"$1.runs"; until [ -e "$1" ]; do sleep 0.05; done';
    const ended = steps.run({ script, args: [go], timeout, onOutput: () => {} });
    await until(() => existsSync(`${go}.runs`));
    return { end: () => writeFileSync(go, ''), ended, runs: () => readFileSync(`${go}.runs`, 'utf8') };
  };
  const path = (name: string) => join(state, name);
  return { host, take, migrate, log, path };
}

describe.each(shells)('the lock of a run that vanished, where the host has %s', (kind) => {
  it.concurrent('waits for the migration it left, then is taken over without a hand, and cleared', async () => {
    const { host, take, migrate, log, path } = await left(kind);
    const migration = await migrate();
    mkdirSync(path('docker-config.a1'));
    writeFileSync(path('docker-config.a1/config.json'), 'credentials');
    await expect(take(0)).rejects.toThrow(
      /host is locked by somebody, last sign of life 1\d\d\d s ago, a step of it is running/,
    );
    const waiting = take(30_000);
    await until(() => log.lines.some((line) => line.includes('waiting for somebody')));
    expect(readFileSync(path('lock'), 'utf8')).toMatch(/^a1\n/);
    migration.end();
    const lock = await waiting;
    expect(log.lines.join('\n')).toContain('took over the lock of a run that is gone');
    expect(migration.runs()).toBe('x\n');
    expect(host.steps()).toEqual([]);
    expect(existsSync(path('docker-config.a1'))).toBe(false);
    await lock.release();
    expect(existsSync(path('lock'))).toBe(false);
  });

  it.concurrent('whose step should have ended long ago is taken over once that is ended', async () => {
    const { host, take, migrate, path } = await left(kind);
    const migration = await migrate();
    const record = path(`steps/${host.steps()[0]}/run`);
    const [pid, boot, start] = readFileSync(record, 'utf8').split(' ');
    writeFileSync(record, `${pid} ${boot} ${start} ${Math.floor(Date.now() / 1000) - 100}\n`);
    const lock = await take(30_000);
    expect(host.running(`${host.directory}/go`)).toEqual([]);
    await Promise.allSettled([migration.ended, lock.release()]);
  });
});

describe('the lock', () => {
  it.concurrent('of a run that vanished waits for a container of its migration that outlived the command', async () => {
    const { host, take, migrate } = await left();
    host.command('docker', 'if [ "$1" = ps ]; then cat "$HOME/containers"; fi');
    host.put('containers', '0123456789ab\n');
    const migration = await migrate();
    process.kill(-host.runner(), 'SIGKILL');
    await expect(take(0)).rejects.toThrow('a step of it is running');
    host.put('containers', '');
    await (await take(5_000)).release();
    await Promise.allSettled([migration.ended]);
  });

  it.concurrent('that was given back while a step lived waits for that step, and is given back again in vain', async () => {
    const { host, take, migrate, path } = await left();
    const migration = await migrate();
    await host.run('rm -f "$1"', { args: [path('lock')] });
    await expect(take(0)).rejects.toThrow('an earlier run that is gone, a step of it is running');
    expect(existsSync(path('lock'))).toBe(false);
    migration.end();
    await (await take(10_000)).release();
  });

  it.concurrent('is given back without hiding a step that lives', async () => {
    const { host, take, migrate, path } = await left();
    const lock = await take(0, 'a1');
    const migration = await migrate();
    await lock.release();
    expect(existsSync(path('lock'))).toBe(false);
    expect(host.steps()).toHaveLength(1);
    await expect(take(0)).rejects.toThrow('a step of it is running');
    migration.end();
    await migration.ended;
  });

  it.concurrent('of a run that lives is not taken, whatever waits', async () => {
    const { host, take, path } = await left();
    writeFileSync(path(`beat.${host.token}`), `${Math.floor(Date.now() / 1000)}\n`);
    await expect(take(0)).rejects.toThrow(/host is locked by somebody, last sign of life \d s ago;/);
    expect(readFileSync(path('lock'), 'utf8')).toMatch(/^a1\n/);
  });
});

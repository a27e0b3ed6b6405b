import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Cancelled } from '@lockkeeper/action';
import { openStack, type Stack } from './stack.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A migration of some seconds that leaves a line in `migrations` each time it runs, and one in `migrated` at its end. */
const migration = `echo x >>migrations
docker compose run --rm --no-deps -T --entrypoint sh web -c 'n=0; while [ "$n" -lt 20 ]; do echo "applied $n"; n=$((n + 1)); sleep 0.1; done'
echo x >>migrated`;

describe('a deploy', () => {
  const promise = (name: string, keep: (stack: Stack, file: (name: string) => string) => Promise<void>) =>
    it.concurrent(name, async () => {
      const stack = await openStack();
      const file = (name: string) => {
        const path = join(stack.directory, name);
        return existsSync(path) ? readFileSync(path, 'utf8') : '';
      };
      try {
        await stack.deploy();
        await stack.push('v2');
        await keep(stack, file);
      } finally {
        await stack.close();
      }
    }, 120_000);

  promise('whose connection is reset again and again lands, and migrates once', async (stack, file) => {
    let done = false;
    const deploying = stack
      .deploy({ environment: 'TAG=v2', 'pre-deploy': migration, 'stability-window': '2s' })
      .finally(() => {
        done = true;
      });
    for (let cuts = 0; !done; cuts++) {
      await sleep(1_500);
      if (cuts % 3 === 2) await stack.away(400);
      else stack.host.dropConnections('reset');
    }
    const report = await deploying;
    expect(report).toMatchObject({ result: 'deployed', reason: '' });
    expect(await stack.version()).toBe('v2');
    expect([file('migrations'), file('migrated')]).toEqual(['x\n', 'x\n']);
    // Its output, too, came once and whole.
    expect(
      report.log.filter((line) => /applied \d+$/.test(line)).map((line) => line.replace(/.*applied /, '')),
    ).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
    expect(report.log.filter((line) => line.includes('connected again')).length).toBeGreaterThan(1);
    expect(readdirSync(join(stack.directory, '.lockkeeper/steps'))).toEqual([]);
  });

  promise(
    'whose runner vanished in the middle of a migration is waited for by the next, which needs no hand',
    async (stack, file) => {
      void stack.deploy({ environment: 'TAG=v2', 'pre-deploy': migration });
      while (!file('migrations')) await sleep(50);
      stack.vanish();
      const state = join(stack.directory, '.lockkeeper');
      for (const name of readdirSync(state))
        if (name.startsWith('beat.')) writeFileSync(join(state, name), '1000000000');

      const next = await stack.deploy({
        environment: 'TAG=v2',
        'pre-deploy': 'cat migrated; echo x >>after',
      });
      expect(next.log.join('\n')).toMatch(/waiting for .*, a step of it is running/);
      expect(next.result).toBe('deployed');
      expect([file('migrations'), file('migrated'), file('after')]).toEqual(['x\n', 'x\n', 'x\n']);
      expect(await stack.version()).toBe('v2');
    },
  );

  promise('that is cancelled in the middle of a migration ends its container too', async (stack, file) => {
    const cancel = new AbortController();
    const deploying = stack.deploy({ environment: 'TAG=v2', 'pre-deploy': migration }, cancel.signal);
    while (!file('migrations')) await sleep(50);
    await sleep(700);
    const since = performance.now();
    cancel.abort(new Cancelled('SIGINT'));
    await expect(deploying).rejects.toThrow('cancelled (SIGINT)');
    expect(performance.now() - since).toBeLessThan(7_000);
    const label = 'label=com.docker.compose.oneoff=True';
    expect(await stack.docker('ps', '-q', '--filter', label)).toBe('');
    expect((await stack.recover()).good).toBe(true);
    expect(file('migrated')).toBe('');
    expect(await stack.version()).toBe('v1');
  });
});

/** What Alpine and NAS systems have for sh, cat, tail, sleep and the rest; CI has it. */
const busybox = '/bin/busybox';
(existsSync(busybox) ? it : it.skip)(
  'a host that has busybox and nothing else serves a release, migrates, and outlives a cut',
  async () => {
    const stack = await openStack();
    try {
      execFileSync(busybox, ['--install', '-s', stack.host.engine.binDirectory]);
      await stack.deploy();
      await stack.push('v2');
      const deploying = stack.deploy({ environment: 'TAG=v2', 'pre-deploy': migration });
      while (!existsSync(join(stack.directory, 'migrations'))) await sleep(50);
      await stack.away(500);
      expect(await deploying).toMatchObject({ result: 'deployed', reason: '' });
      expect(readFileSync(join(stack.directory, 'migrations'), 'utf8')).toBe('x\n');
      expect(await stack.version()).toBe('v2');
    } finally {
      await stack.close();
    }
  },
  60_000,
);

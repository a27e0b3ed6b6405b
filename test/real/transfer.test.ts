import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ActionRun } from '@lockkeeper/runner';
import type { Host } from './network/host.ts';
import { registries } from './network/services.ts';
import { openShop, type Shop } from './shop.ts';
import { buildApp, openWarehouse } from './warehouse.ts';

const app = { services: 'web, worker, beat', images: 'transfer' };
/** Megabytes, more than any buffer on the way. */
const heavy = 400;

describe('images: transfer', () => {
  let shop: Shop;
  /** Its Docker is the runner's. */
  let builder: Host;
  let temp: string;
  const reference = (tag: string) => `${registries.open}/web:${tag}`;
  const deploy = (values: Record<string, string>, more: Partial<ActionRun> = {}) =>
    shop.deploy(
      { ...app, ...values },
      { jobEnv: { DOCKER_HOST: `unix://${builder.dockerSocket}` }, ...more },
    );
  const idOn = (host: Host, image: string) => host.docker('image', 'inspect', '--format', '{{.Id}}', image);

  beforeAll(async () => {
    temp = mkdtempSync(join(tmpdir(), 'transfer-'));
    shop = await openShop();
    await shop.start();
    const { dockerRoot } = await openWarehouse();
    builder = await shop.network.host('builder', { dockerRoot, compose: 'none' });
    await buildApp(builder, 'v5');
    await buildApp(builder, 'v8');
    await buildApp(builder, 'v9', { ballast: heavy });
    await buildApp(builder, 'v9-503', { sick: '503' });
    // From here on nothing can come from there.
    await shop.network.services.stop('open');
  }, 300_000);
  afterAll(async () => {
    await shop?.close();
    rmSync(temp, { recursive: true, force: true });
  });

  it('sends what the host lacks, once for all services of it, and nothing that it has', async () => {
    const before = await shop.containers();
    const { main } = await deploy({ environment: 'TAG=v5' });
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed' });
    const log = main!.log.join('\n');
    expect(log.match(/arrived whole, compared by its id/g)).toHaveLength(1);
    expect(log).toContain(`(DOCKER_HOST=unix://${builder.dockerSocket})`);
    expect(await shop.version()).toBe('v5');
    expect(await idOn(shop.host, reference('v5'))).toBe(await idOn(builder, reference('v5')));
    const after = await shop.containers();
    expect([after.postgres, after.redis, after.nginx]).toEqual([before.postgres, before.redis, before.nginx]);

    const again = await deploy({ environment: 'TAG=v5' });
    expect({ ...again.main?.outputs, log: again.main?.log }).toMatchObject({ result: 'unchanged' });
    expect(again.main!.log.join('\n')).toContain(`${reference('v5')}: already here`);
  });

  it('moves no tag of the host before the switch, and goes back like any release', async () => {
    await deploy({ environment: 'TAG=v8' });
    const before = await idOn(shop.host, reference('v8'));
    // On the runner the tag stands for a sick release by now.
    await builder.docker('tag', reference('v9-503'), reference('v8'));
    try {
      const held = await deploy({ environment: 'TAG=v8', 'required-env': 'NOT_THERE' });
      expect(held.main?.outputs.result).toBe('failed');
      expect(await idOn(shop.host, reference('v8'))).toBe(before);
      const { main } = await deploy({ environment: 'TAG=v8', 'health-timeout': '6s' });
      expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'rolled-back' });
      expect(await idOn(shop.host, reference('v8'))).toBe(before);
      expect(await shop.version()).toBe('v8');
    } finally {
      await builder.docker('tag', before, reference('v8'));
    }
  });

  it('begins an image again when the connection is cut under it, and keeps little of it in memory', async () => {
    let cut = false;
    let peak = 0;
    let watch: NodeJS.Timeout | undefined;
    const { main } = await deploy(
      { environment: 'TAG=v9', 'stage-timeout': '5m' },
      {
        env: { RUNNER_TEMP: temp },
        onEvent: (event) => {
          if (event.kind === 'process-started')
            watch ??= setInterval(() => {
              try {
                const status = readFileSync(`/proc/${event.pid}/status`, 'utf8');
                peak = Math.max(peak, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
              } catch {
                // It has ended.
              }
            }, 50);
          if (event.kind !== 'line' || cut || !/: sending \d+ MB/.test(event.text)) return;
          cut = true;
          setTimeout(() => void shop.host.cut('reset'), 700);
        },
      },
    );
    clearInterval(watch);
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed' });
    const log = main!.log.join('\n');
    expect(log).toMatch(/the connection was lost while \S+\/web:v9 was sent; it is begun again/);
    expect(log).toMatch(/web:v9: \d+ MB sent in .* MB\/s\)/);
    expect(peak).toBeLessThan(heavy);
    expect(readdirSync(temp)).toEqual([]);
    expect(await shop.version()).toBe('v9');
  });

  it('says what the runner lacks, and the next command, before anything changes', async () => {
    const before = await shop.containers();
    const { main } = await deploy({ environment: 'TAG=v7' });
    expect(main?.outputs.result).toBe('failed');
    expect(main?.outputs.reason).toBe(
      `${reference('v7')} is not in the runner's Docker, and images: transfer takes it from there`,
    );
    expect(main?.annotations.at(-1)?.message).toContain(`docker build -t ${reference('v7')} .`);
    expect(await shop.containers()).toEqual(before);
  });

  it('tells in a dry run what would be sent, and sends nothing', async () => {
    await buildAppOnly(builder, 'v6');
    const { main } = await deploy({ environment: 'TAG=v6', 'dry-run': 'true' });
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'unchanged' });
    expect(main!.log.join('\n')).toMatch(/web:v6: would be sent, \d+ MB/);
    await expect(idOn(shop.host, reference('v6'))).rejects.toThrow(/No such image/);
  });
});

/** Where no registry answers, nothing can be pushed. */
async function buildAppOnly(host: Host, tag: string): Promise<void> {
  await host.run('printf "FROM %s/web:v8\\nENV VERSION=%s\\n" "$1" "$2" | docker build -q -t "$1/web:$2" -', {
    args: [registries.open, tag],
  });
}

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Load, type LoadReport, startLoad } from '@lockkeeper/lab';
import { openShop, type Shop } from './shop.ts';

const blueGreen = {
  strategy: 'blue-green',
  'blue-green-services': 'web',
  'blue-green-reload': 'docker compose exec -T nginx nginx -s reload',
};

/** A shop whose nginx looks `web` up when it starts or is reloaded, as TeamMoa's. */
async function openStaticShop(compose: 'stable' | 'newest'): Promise<Shop> {
  const shop = await openShop({ compose });
  await shop.layOut((text) => text.replaceAll('default.conf}', 'upstream.conf}'));
  await shop.start();
  return shop;
}

/**
 * GET, POST and requests of 3 s, each on a connection of its own: an nginx before 1.27.4 that is reloaded
 * closes idle kept-alive connections, and now and then one on which the next request is under way. Browsers
 * then ask again; these users do not.
 */
function users(shop: Shop, rps: number): Load {
  return startLoad({
    url: `http://${shop.host.address}`,
    rps,
    mix: { get: 60, post: 35, slow: 5 },
    slowMs: 3000,
    headers: { connection: 'close' },
  });
}

/** Containers that no blue-green deploy of the app may touch. */
const untouched = ({ postgres, redis, nginx }: Record<string, string>) => ({ postgres, redis, nginx });

/** What must hold after every deploy, whatever became of it: one container of web, and a proxy that goes by Docker's DNS. */
async function expectTidy(shop: Shop): Promise<void> {
  const ids = await shop.host.docker(
    ...['ps', '-aq', '--filter', 'label=com.docker.compose.project=shop'],
    ...['--filter', 'label=com.docker.compose.service=web'],
  );
  expect(ids.split('\n').filter(Boolean)).toHaveLength(1);
  expect(await shop.compose('v1', 'exec', '-T', 'nginx', 'cat', '/etc/hosts')).not.toContain('lockkeeper');
}

describe.each(['stable', 'newest'] as const)('blue-green behind a static nginx, Compose %s', (compose) => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openStaticShop(compose);
  });
  afterAll(() => shop?.close());

  it('loses no request over good releases, bad ones, and one that fails after the old one has gone', async () => {
    // Tests run in any order: one that ended with another version came first now and then.
    if ((await shop.version()) !== 'v1') await shop.deploy({ ...blueGreen, environment: 'TAG=v1' });
    const load = users(shop, 60);
    const before = untouched(await shop.containers());
    const told: string[] = [];
    let report: LoadReport | undefined;
    const step = async (
      values: Record<string, string>,
      expected: { result: string; reason?: RegExp; serves: string },
    ) => {
      const { requests } = load.snapshot();
      const { main } = await shop.deploy({ ...blueGreen, ...values });
      const now = load.snapshot();
      told.push(
        `${values.environment} ${main?.outputs.result}: ${now.requests - requests} requests, ${now.failed} failed so far, ${Math.round(Number(main?.outputs['duration-ms']) / 1000)} s`,
      );
      expect({ ...main?.outputs, log: main?.log, failures: now.failures }).toMatchObject({
        result: expected.result,
        reason: expect.stringMatching(expected.reason ?? /^$/),
        failures: [],
      });
      const [host] = JSON.parse(main?.outputs.hosts ?? '[]');
      expect(host).toMatchObject({ downtimeMs: 0 });
      expect(await shop.version()).toBe(expected.serves);
      await expectTidy(shop);
      expect(untouched(await shop.containers())).toEqual(before);
    };
    try {
      await step({ environment: 'TAG=v2' }, { result: 'deployed', serves: 'v2' });
      await step({ environment: 'TAG=v3' }, { result: 'deployed', serves: 'v3' });
      await step({ environment: 'TAG=v3' }, { result: 'unchanged', serves: 'v3' });
      await step(
        { environment: 'TAG=v2-crash' },
        {
          result: 'rolled-back',
          reason: /^web .*(crash-looping|exited).*; users never met it$/,
          serves: 'v3',
        },
      );
      await step(
        { environment: 'TAG=v2-unhealthy' },
        { result: 'rolled-back', reason: /^web is unhealthy on .*500.*; users never met it$/, serves: 'v3' },
      );
      await step(
        { environment: 'TAG=v2-dies', 'stability-window': '8s' },
        {
          result: 'rolled-back',
          reason: /^web (restarted|has exited|is crash-looping).*; users never met it$/,
          serves: 'v3',
        },
      );
      await step(
        { environment: 'TAG=v2', 'post-deploy': 'echo no smoke; exit 3' },
        { result: 'rolled-back', reason: /^post-deploy failed/, serves: 'v3' },
      );
      await step({ 'rollback-to': 'previous' }, { result: 'deployed', serves: 'v2' });
      while (load.snapshot().requests < 5_000) await new Promise((resolve) => setTimeout(resolve, 200));
    } finally {
      report = await load.stop();
      const { get, post, slow } = report.byKind;
      console.log(
        [
          ...told,
          `${report.requests} requests in ${Math.round(report.seconds)} s: ${report.failed} failed; answered by ${JSON.stringify(report.versions)}`,
          `GET ${get.requests}, p95 ${Math.round(get.p95)} ms, worst ${Math.round(get.max)} ms; POST ${post.requests}, p95 ${Math.round(post.p95)} ms, worst ${Math.round(post.max)} ms; of 3 s ${slow.requests}, worst ${Math.round(slow.max)} ms`,
          JSON.stringify(report.failures.slice(0, 5)),
        ].join('\n'),
      );
    }
    expect(report.failed).toBe(0);
    expect(Object.keys(report.versions).sort()).toEqual(['v1', 'v2', 'v3']);
  }, 900_000);

  describe('that is killed', () => {
    const moments: Array<[string, RegExp]> = [
      ['as it starts the new one', /starting beside the old one/],
      ['as it proves the new one', /healthy; watching it/],
      ['as it takes the proxy over', /the proxy goes over to it/],
      ['as it asks through the proxy', /signal process started/],
      ['as it ends the old one', /ends its open requests and stops/],
      ['as it sees to the other services', /shop-worker-1 +Recreated/],
    ];

    // Each takes half a minute: post takes over on one Compose, the next run on the other.
    const [byPost, byNextRun] = compose === 'stable' ? [it, it.skip] : [it.skip, it];

    byPost.each(moments)('%s, loses no request, and post goes back', async (_what, line) => {
      const before = await shop.version();
      const load = users(shop, 40);
      try {
        const { main, post } = await shop.deploy(
          { ...blueGreen, environment: `TAG=${before === 'v2' ? 'v3' : 'v2'}` },
          { signalAt: { line, signal: 'SIGKILL' } },
        );
        expect(main?.signal).toBe('SIGKILL');
        expect(post?.annotations.map(({ message }) => message).join()).toMatch(
          /was interrupted while its containers were replaced and proven\. Rolled back to \S+, verified\./,
        );
      } finally {
        const { failures, failed } = await load.stop();
        expect({ failures: failures.slice(0, 5), failed }).toEqual({ failures: [], failed: 0 });
      }
      expect(await shop.version()).toBe(before);
      await expectTidy(shop);
    });

    byNextRun.each(moments)(
      '%s, its runner lost, loses no request, and the next run goes on',
      async (_what, line) => {
        const target = (await shop.version()) === 'v2' ? 'v3' : 'v2';
        const load = users(shop, 40);
        try {
          const values = { ...blueGreen, environment: `TAG=${target}` };
          await shop.deploy(values, { loseAt: { line } });
          await shop.host.run(
            'for beat in "$1"/.lockkeeper/beat.*; do if [ -f "$beat" ]; then echo 1 >"$beat"; fi; done',
            { args: [shop.directory] },
          );
          const { main } = await shop.deploy(values);
          expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed' });
        } finally {
          const { failures, failed } = await load.stop();
          expect({ failures: failures.slice(0, 5), failed }).toEqual({ failures: [], failed: 0 });
        }
        expect(await shop.version()).toBe(target);
        await expectTidy(shop);
      },
    );
  });
});

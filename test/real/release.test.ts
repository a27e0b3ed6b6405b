import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openShop, type Shop } from './shop.ts';

const migrate = 'docker compose run --rm --no-deps -T web migrate';
const collectStatic = 'docker compose exec -T web python3 manage.py collectstatic';
/** The same with the release that is gone back to, whose container does not run yet. */
const fillAgain = 'docker compose run --rm --no-deps -T web collectstatic';

describe.each(['stable', 'newest'] as const)('with the %s Compose', (compose) => {
  let shop: Shop;
  /** What a deploy of web must leave alone. */
  const data = async () => {
    const { postgres, redis } = await shop.containers();
    const volumes = await shop.host.run('stat -c "%i %n" /var/lib/docker/volumes/*/_data', { as: 'root' });
    return { postgres, redis, volumes, orders: await shop.query('select count(*) from orders') };
  };

  beforeAll(async () => {
    // The directory has another name than the project, which the Compose file names.
    shop = await openShop({ compose, directory: 'app' });
    await shop.start();
  });
  afterAll(() => shop?.close());
  beforeEach(() => shop.forgetUs());

  it('a release lands, proves itself and goes back by name, and the database never notices', async () => {
    const before = await data();
    const migrations = () => shop.query('select count(*) from migration_runs');
    const migrated = Number(await migrations());
    const first = await shop.deploy({
      environment: 'TAG=v2',
      'pre-deploy': migrate,
      'post-deploy': collectStatic,
    });
    expect({ ...first.main?.outputs, log: first.main?.log }).toMatchObject({
      result: 'deployed',
      reason: '',
    });
    expect(await shop.runningVersions()).toEqual(['v2']);
    expect([
      await shop.version(),
      await shop.version('/static/version.txt'),
      await shop.version('/app/version.txt'),
    ]).toEqual(['v2', 'v2', 'v2']);
    expect(await data()).toEqual(before);
    expect(Number(await migrations())).toBe(migrated + 1);

    const again = await shop.deploy({ environment: 'TAG=v2' });
    expect(again.main?.outputs.result).toBe('unchanged');

    const back = await shop.deploy({ 'rollback-to': 'previous' });
    expect({ ...back.main?.outputs, log: back.main?.log }).toMatchObject({
      result: 'deployed',
      'serving-release': first.main?.outputs['previous-release'],
    });
    expect(await shop.runningVersions()).toEqual(['v1']);
    expect(await data()).toEqual(before);
    expect(await shop.projects()).toEqual(['shop']);
  });

  it('what a release filled for nginx is filled again with the release that is gone back to, twice in a row', async () => {
    const hooks = { 'post-deploy': collectStatic, 'pre-rollback': fillAgain };
    const files = () =>
      Promise.all([shop.version(), shop.version('/static/version.txt'), shop.version('/app/version.txt')]);
    for (const tag of ['v1', 'v2', 'v3']) await shop.deploy({ environment: `TAG=${tag}`, ...hooks });
    expect(await files()).toEqual(['v3', 'v3', 'v3']);
    const failed = await shop.deploy({
      environment: 'TAG=v1',
      'post-deploy': `${collectStatic}\necho no smoke; exit 3`,
      'pre-rollback': fillAgain,
    });
    expect({ ...failed.main?.outputs, log: failed.main?.log }).toMatchObject({ result: 'rolled-back' });
    expect(await files()).toEqual(['v3', 'v3', 'v3']);
    for (const tag of ['v2', 'v1']) {
      const back = await shop.deploy({ 'rollback-to': 'previous', 'pre-rollback': fillAgain });
      expect({ ...back.main?.outputs, log: back.main?.log }).toMatchObject({ result: 'deployed' });
      expect(await files()).toEqual([tag, tag, tag]);
    }
  });

  it.each(['recreate', 'stop-first'])(
    'tells how long users were without service with strategy %s',
    async (strategy) => {
      await shop.deploy({ environment: 'TAG=v1' });
      const traffic = shop.traffic();
      const { main } = await shop.deploy({ environment: 'TAG=v2', strategy });
      const seen = await traffic.end();
      expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed' });
      expect(seen.versions).toEqual(['v1', 'v2']);
      const told = Number(/away for ([\d.]+) s/.exec(main!.log.join('\n'))?.[1]);
      expect(told).toBeGreaterThan(0);
      expect(seen.downtime).toBeLessThanOrEqual(told + 1);
      report(
        `${strategy}, Compose ${compose}: users were without service for ${seen.downtime} s (told: ${told} s)`,
      );
    },
  );
});

/** Figures for whoever reads the log of the tests. */
function report(line: string): void {
  process.stderr.write(`${line}\n`);
}

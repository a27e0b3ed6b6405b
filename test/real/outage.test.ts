import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ActionResult } from '@lockkeeper/runner';
import { openShop, type Shop } from './shop.ts';

/** Its container is asked for with -T, as in a script; how often it ran is counted in the database. */
const migrate = (seconds: number) =>
  `docker compose run --rm --no-deps -T -e MIGRATION_SECONDS=${seconds} web migrate`;

/** What the log says when it is time, and what it was in the middle of. */
const moments = {
  'a pull': /: pulling /,
  'a migration': /: migrating$/,
  'an up': /Container shop-web-1 {2}Recreate/,
} as const;
type Moment = keyof typeof moments;

describe('a deploy whose connection', () => {
  let shop: Shop;
  let tag = 'v1';
  let migrations: string;
  /** The version that does not serve, deployed; `act` is done once the log has come to the moment. */
  const deploy = (moment: Moment, act: () => unknown): Promise<ActionResult> => {
    tag = tag === 'v1' ? 'v2' : 'v1';
    let acted = false;
    return shop.deploy(
      { environment: `TAG=${tag}`, 'pre-deploy': migrate(moment === 'a migration' ? 5 : 0) },
      {
        onEvent: (event) => {
          if (acted || event.kind !== 'line' || !moments[moment].test(event.text)) return;
          acted = true;
          void act();
        },
      },
    );
  };
  const runsOfMigration = () => shop.query('select count(*) from migration_runs');
  /** It landed as if nothing had been, and the log shows all of the migration, once. */
  const landed = async ({ main }: ActionResult) => {
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed', reason: '' });
    expect(await shop.version()).toBe(tag);
    expect(await runsOfMigration()).toBe(String(Number(migrations) + 1));
    const told = main?.log
      .filter((line) => / (migrating|migrated)$/.test(line))
      .map((line) => line.split(' ').at(-1));
    expect(told).toEqual(['migrating', 'migrated']);
    expect(main?.log.join('\n')).toMatch(/the connection was lost; connecting again/);
  };

  beforeAll(async () => {
    shop = await openShop();
    // A host that has just restarted is slow to serve: that is not what is looked for here.
    await shop.layOut((text) => text.replace('retries: 4', 'retries: 40'));
    await shop.start();
  });
  afterAll(() => shop?.close());
  beforeEach(async () => {
    migrations = await runsOfMigration();
  });

  it.each(Object.keys(moments) as Moment[])('is reset in the middle of %s lands', async (moment) => {
    await landed(await deploy(moment, () => shop.host.cut('reset')));
  });

  it.each(Object.keys(moments) as Moment[])(
    'goes silent in the middle of %s lands',
    async (moment) => {
      await landed(await deploy(moment, () => shop.host.cut('silence')));
    },
    180_000,
  );

  it('ends with a restart of sshd in the middle of a migration lands', async () => {
    await landed(await deploy('a migration', () => shop.host.restartSshd('ended')));
  });

  it('has no concern with a restart of sshd that keeps its sessions', async () => {
    const { main } = await deploy('a migration', () => shop.host.restartSshd('kept'));
    expect(main?.outputs.result).toBe('deployed');
    expect(main?.log.join('\n')).not.toContain('connection was lost');
    expect(await runsOfMigration()).toBe(String(Number(migrations) + 1));
  });

  it.each<[Moment, string]>([
    ['a migration', 'pre-deploy failed'],
    ['an up', 'docker compose up'],
  ])(
    'ends because the host restarts in the middle of %s goes back and says so, and migrates once',
    async (moment, what) => {
      const serving = tag;
      const { main } = await deploy(moment, () => shop.host.reboot());
      expect({ ...main?.outputs, log: main?.log }).toMatchObject({
        result: 'rolled-back',
        reason: `${what} on ${shop.host.address}: the host restarted while it ran, so it did not end; it is not run again`,
      });
      tag = serving;
      expect(await shop.version()).toBe(serving);
      expect(await shop.runningVersions()).toEqual([serving]);
      expect(await runsOfMigration()).toBe(String(Number(migrations) + 1));
    },
    240_000,
  );

  it('ends with its runner in the middle of a migration is followed by a deploy that waits for that', async () => {
    const hook = { 'pre-deploy': migrate(12) };
    const other = tag === 'v1' ? 'v2' : 'v1';
    const lost = await shop.deploy(
      { environment: `TAG=${other}`, ...hook },
      { loseAt: { line: /: migrating$/ } },
    );
    expect(lost.post).toBeUndefined();
    await shop.ageLocks();
    const next = await shop.deploy({ environment: `TAG=${other}` });
    tag = other;
    expect(next.main?.log.join('\n')).toMatch(/waiting for .*, a step of it is running/);
    expect({ ...next.main?.outputs, log: next.main?.log }).toMatchObject({ result: 'deployed' });
    expect(await runsOfMigration()).toBe(String(Number(migrations) + 1));
    expect(await shop.host.run('ls "$1/.lockkeeper/steps"', { args: [shop.directory] })).toBe('');
  });

  it('is given up by a cancel ends the migration on the host, and its container', async () => {
    const cancel = new AbortController();
    const { main, conclusion } = await shop.deploy(
      { environment: 'TAG=v3', 'pre-deploy': migrate(60) },
      {
        cancel: cancel.signal,
        onEvent: (event) => {
          if (event.kind === 'line' && moments['a migration'].test(event.text)) cancel.abort();
        },
      },
    );
    expect([main?.signal, conclusion]).toEqual([undefined, 'cancelled']);
    expect(await shop.host.docker('ps', '-aq', '--filter', 'label=com.docker.compose.oneoff=True')).toBe('');
    expect(shop.host.processes().filter(({ command }) => command.includes('MIGRATION_SECONDS'))).toEqual([]);
    expect(await shop.version()).toBe(tag);
  });
});

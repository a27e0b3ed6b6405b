import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ActionResult } from '@lockkeeper/runner';
import { registries } from './network/services.ts';
import { openShop, type Shop } from './shop.ts';
import type { Seen } from './traffic.ts';

/** A release that must not stay. */
interface BadRelease {
  name: string;
  inputs: Record<string, string>;
  /** `rolled-back` where something was changed before it turned out, else `failed`. */
  result: 'rolled-back' | 'failed';
  reason: RegExp;
  /** Makes the world bad for the time of the deploy. */
  during?: (shop: Shop) => Promise<() => Promise<void>>;
}

const migrate = 'docker compose run --rm --no-deps -T web migrate';

export const badReleases: BadRelease[] = [
  {
    name: 'that crashes at its start',
    inputs: { environment: 'TAG=v2-crash' },
    result: 'rolled-back',
    reason: /^web is crash-looping on [\d.]+: it died \d+ times/,
  },
  {
    name: 'that never becomes healthy',
    // Its failures count soon, or nothing would be certain for a minute.
    inputs: { environment: 'TAG=v2-unhealthy\nSTART_PERIOD=1s' },
    result: 'rolled-back',
    reason: /^web is unhealthy on [\d.]+: /,
  },
  {
    name: 'that is healthy and dies in the stability window',
    inputs: { environment: 'TAG=v2-dies', 'stability-window': '10s' },
    result: 'rolled-back',
    reason:
      /^(web restarted on [\d.]+: it died (with code 4 )?within the stability window|the app fell ill on)/,
  },
  {
    name: 'whose health-url answers 503',
    inputs: { environment: 'TAG=v2-503', 'health-timeout': '15s' },
    result: 'rolled-back',
    reason: /GET \/health\/ answered 503.*health-timeout/,
  },
  {
    name: 'that has no database, at 200',
    inputs: { environment: 'TAG=v2-database', 'health-timeout': '15s' },
    result: 'rolled-back',
    reason: /database.*false/,
  },
  {
    name: 'whose migration fails before the switch',
    inputs: { environment: 'TAG=v2-migration', 'pre-deploy': migrate },
    result: 'rolled-back',
    // Docker carries stdout and stderr apart: which of the last two lines comes last is chance.
    reason: /^pre-deploy failed on [\d.]+ \(exit code 1\): .*(no_such_table|applied 0002_paid)/,
  },
  {
    name: 'whose post-deploy fails',
    inputs: {
      environment: 'TAG=v2',
      'post-deploy': 'docker compose exec -T web sh -c "echo no smoke; exit 3"',
    },
    result: 'rolled-back',
    reason: /^post-deploy failed on [\d.]+ \(exit code 3\): no smoke/,
  },
  {
    name: 'whose tag is not in the registry',
    inputs: { environment: 'TAG=v9' },
    result: 'failed',
    reason: /^cannot pull on [\d.]+ .*manifest unknown/,
  },
  {
    name: 'when the registry does not answer',
    inputs: { environment: 'TAG=v2' },
    result: 'failed',
    reason: /^cannot pull on [\d.]+ .*connection refused/,
    during: async ({ network }) => {
      await network.services.stop('open');
      return () => network.services.start('open');
    },
  },
  {
    name: 'with a wrong registry password',
    inputs: {
      environment: `TAG=v2\nREGISTRY=${registries.locked}`,
      registry: registries.locked,
      'registry-username': 'octo',
      'registry-password': 'not-the-password',
    },
    result: 'failed',
    reason: /registry\.test:5001 refused the login of "octo"/,
  },
];

/** What must hold of every bad release, whatever ran before it. */
export function testBadReleases(
  what: string,
  {
    before,
    prepare,
    inputs: common = {},
  }: {
    /** Brings the host to where v1 serves. */
    before: (shop: Shop) => Promise<void>;
    /** Before each release. */
    prepare?: (shop: Shop) => Promise<void>;
    /** Of every deploy. */
    inputs?: Record<string, string>;
  },
): void {
  describe(what, () => {
    let shop: Shop;
    beforeAll(async () => {
      shop = await openShop();
      await before(shop);
    });
    afterAll(() => shop?.close());
    beforeEach(async () => prepare?.(shop));

    it.each(badReleases)(
      'a release $name ends on what ran before',
      async ({ inputs, result, reason, during }) => {
        const containers = await shop.containers();
        const volumes = await shop.host.docker('volume', 'ls', '-q');
        const after = await during?.(shop);
        const traffic = shop.traffic();
        let run: ActionResult;
        let seen: Seen;
        try {
          run = await shop.deploy({ ...common, ...inputs });
        } finally {
          await after?.();
          seen = await traffic.end();
        }
        const { main, conclusion } = run;
        expect({ ...main?.outputs, conclusion, log: main?.log }).toMatchObject({
          conclusion: 'failure',
          result,
          reason: expect.stringMatching(reason),
        });
        expect(main?.outputs['serving-release']).toBe(main?.outputs['previous-release']);
        expect({ last: seen.last, good: seen.versions.includes('v1') }).toEqual({ last: 'v1', good: true });
        const now = await shop.containers();
        expect(now.postgres).toBe(containers.postgres);
        expect(now.redis).toBe(containers.redis);
        if (result === 'failed') expect(now).toEqual(containers);
        expect(await shop.host.docker('volume', 'ls', '-q')).toBe(volumes);
        expect(await shop.runningVersions()).toEqual(['v1']);
      },
    );
  });
}

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { openShop, type Shop } from './shop.ts';

describe('on a host whose disk is full', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop({ disk: 700 });
    await shop.push('v2-big', { ballast: 150 });
    await shop.start();
  });
  afterAll(() => shop?.close());
  afterEach(() => shop.host.freeDisk());

  it.each([
    // Megabytes left.
    ['from the start', 'TAG=v2', 20, /^[\d.]+ has only \d+ MB of disk left/],
    ['in the middle of the pull', 'TAG=v2-big', 100, /^cannot pull on [\d.]+ .*the disk of the host is full/],
  ])(
    '%s, the old release serves on, and the next deploy needs no hand',
    async (_when, environment, left, reason) => {
      const traffic = shop.traffic();
      for (const first of [true, false]) {
        if (first) await shop.forgetUs();
        else await shop.deploy({ environment: 'TAG=v1' });
        const containers = await shop.containers();
        await shop.host.fillDisk(left * 1024);
        const { main } = await shop.deploy({ environment });
        expect({ ...main?.outputs, log: main?.log }).toMatchObject({
          result: 'failed',
          reason: expect.stringMatching(reason),
        });
        expect(await shop.containers()).toEqual(containers);
        expect(await shop.version()).toBe('v1');
        await shop.host.freeDisk();
      }
      const { main } = await shop.deploy({ environment: 'TAG=v2' });
      expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed' });
      expect((await traffic.end()).last).toBe('v2');
    },
  );
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openShop, type Shop } from './shop.ts';

describe('a good release on a real host', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop();
    await shop.start();
  });
  afterAll(() => shop.close());

  it('lands', async () => {
    expect(await shop.version()).toBe('v1');
    const { main } = await shop.deploy({ environment: 'TAG=v2' });
    expect(main?.outputs.result).toBe('deployed');
    expect(await shop.version()).toBe('v2');
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { registries } from './network/services.ts';
import { openShop, type Shop } from './shop.ts';

/** nginx looks the name of web up once, when it starts; newer Compose does not recreate it with web. */
describe('behind a proxy that knows the app by its address', () => {
  let shop: Shop;
  const address = () =>
    shop.host.docker(
      'inspect',
      '-f',
      '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}',
      'shop-web-1',
    );

  beforeAll(async () => {
    shop = await openShop({ compose: 'newest' });
    await shop.setEnvironment({ NGINX_CONF: 'upstream.conf' });
    await shop.start();
  });
  afterAll(() => shop?.close());

  // v1 serves, and an address below its own is free: the next web gets that.
  beforeEach(async () => {
    await shop.compose('v1', 'rm', '--stop', '--force', 'web', 'nginx');
    await shop.host.docker(
      'run',
      '-d',
      '--name',
      'gap',
      '--network',
      'shop_default',
      `${registries.open}/redis:7`,
    );
    await shop.compose('v1', 'up', '-d', '--wait', '--no-deps', 'web');
    await shop.compose('v1', 'up', '-d', '--wait', '--no-deps', 'nginx');
    await shop.host.docker('rm', '-f', 'gap');
  });

  it.each([
    ['lands', 'v2', 'deployed', 'v2'],
    ['goes back', 'v2-crash', 'rolled-back', 'v1'],
  ])('users reach what serves after a release that %s moved it', async (_how, tag, result, serves) => {
    expect(await shop.version()).toBe('v1');
    const before = await address();
    const { main } = await shop.deploy({ environment: `TAG=${tag}`, services: 'web' });
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result });
    expect(await address()).not.toBe(before);
    expect(await shop.version()).toBe(serves);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openShop, type Shop } from './shop.ts';

const migrate = 'docker compose run --rm --no-deps -T web migrate';

describe('deploys that meet or are cut short', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop();
    await shop.start();
  });
  afterAll(() => shop?.close());

  it('two at once: one waits, and then deploys', async () => {
    let begun = () => {};
    const locked = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const first = shop.deploy(
      { environment: 'TAG=v2', 'post-deploy': 'sleep 3' },
      { onEvent: (event) => event.kind === 'line' && event.text.includes('Stage on') && begun() },
    );
    await locked;
    const second = await shop.deploy({ environment: 'TAG=v3' });
    expect((await first).main?.outputs.result).toBe('deployed');
    expect({ ...second.main?.outputs, log: second.main?.log }).toMatchObject({ result: 'deployed' });
    expect(second.main?.log.join('\n')).toMatch(
      /waiting for octo\/boats https:\/\/github\.com\/octo\/boats\/actions\/runs\/1001/,
    );
    expect(second.main?.outputs['previous-release']).toBe((await first).main?.outputs.release);
    expect(await shop.runningVersions()).toEqual(['v3']);
  });

  it.each([
    ['pulls', 'v2', /: pulling /],
    ['migrates', 'v2', /: pre-deploy$/],
    ['replaces containers', 'v2', /Container shop-web-1 {2}Recreate/],
    ['watches the new ones', 'v2', /healthy; watching it/],
    ['runs post-deploy', 'v2', /: post-deploy$/],
    ['goes back', 'v2-crash', /; going back$/],
  ])(
    'a run whose machine is gone while it %s needs no hand: the next one deploys',
    async (_what, tag, line) => {
      const hooks = { 'pre-deploy': `sleep 1; ${migrate}`, 'post-deploy': 'sleep 1' };
      // These run in any order: what serves already would be no deploy.
      const other = (await shop.version()) === 'v3' ? 'v1' : 'v3';
      const lost = await shop.deploy({ environment: `TAG=${tag}`, ...hooks }, { loseAt: { line } });
      expect(lost.post).toBeUndefined();
      expect(lost.main?.log.some((text) => line.test(text))).toBe(true);
      await shop.ageLocks();
      const { postgres } = await shop.containers();
      const next = await shop.deploy({ environment: `TAG=${other}`, ...hooks });
      expect({ ...next.main?.outputs, log: next.main?.log }).toMatchObject({ result: 'deployed' });
      expect(await shop.version()).toBe(other);
      expect(await shop.runningVersions()).toEqual([other]);
      expect((await shop.containers()).postgres).toBe(postgres);
      expect(await shop.host.docker('ps', '-a', '--format', '{{.Names}}')).not.toMatch(/^[0-9a-f]{12}_/m);
    },
  );

  it('a main that is killed leaves the host to post, which brings the old release back', async () => {
    await shop.deploy({ environment: 'TAG=v1' });
    const { main, post, conclusion } = await shop.deploy(
      { environment: 'TAG=v2-503', 'health-timeout': '60s' },
      { signalAt: { line: /answered 503/, signal: 'SIGKILL' } },
    );
    expect([main?.signal, post?.code, conclusion]).toEqual(['SIGKILL', 0, 'failure']);
    expect(post?.annotations.map(({ message }) => message).join('\n')).toMatch(
      /Rolled back to \S+, verified\./,
    );
    expect(await shop.runningVersions()).toEqual(['v1']);
  });
});

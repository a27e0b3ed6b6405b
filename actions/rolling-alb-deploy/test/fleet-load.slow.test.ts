import { describe, expect, it } from '@jest/globals';
import { succeeded } from './fleet-stage.ts';
import { everyKind, quick, underLoad } from './users.ts';

// Whole rolls under load, the longest first. Ten targets one after another: fleet-ten.slow.test.ts.

const lingering = underLoad({ scale: 1, delay: 60, healthInterval: 5, lingerMs: 20_000 }, async (stage) =>
  stage.main({ ...(await stage.image('v2')), 'drain-settle': '', 'stability-window': '' }),
);

const threeOfTen = underLoad({ ...quick, hosts: 10 }, async (stage) =>
  stage.main({ ...(await stage.image('v2')), 'batch-size': '30%', drain: 'idle' }),
);

/** At the speed of AWS: the action's clock and the balancer's agree on when the delay is over. */
const longWebSockets = underLoad(
  { scale: 1, delay: 15, healthInterval: 5 },
  async (stage) => stage.main(await stage.image('v2')),
  120_000,
);

/** The hook runs in the project's directory, which lies below the host's name. */
const failsOnThird = {
  'post-deploy': 'case "$PWD" in */host-3/*) echo "no room at the third"; exit 1 ;; esac',
};
const sickThird = underLoad({ ...quick, hosts: 4 }, async (stage) =>
  stage.main({ ...(await stage.image('v2')), ...failsOnThird }),
);

const cancelled = underLoad({ ...quick, hosts: 3 }, async (stage) => {
  let switched = 0;
  const main = await stage.main(await stage.image('v2'), (line, kill) => {
    if (line.startsWith('switching i-') && ++switched === 2) kill('SIGINT');
  });
  return { main, post: await stage.post() };
});

const full = underLoad(quick, async (stage) => stage.main({ ...(await stage.image('v2')), drain: 'full' }));

describe('no request is lost when the release is rolled over', () => {
  it('two targets, the whole delay', async () => {
    const seen = await full();
    succeeded(seen.done);
    expect(seen.failures).toEqual([]);
    expect(Object.keys(seen.byKind).sort()).toEqual(everyKind);
    for (const { requests } of Object.values(seen.byKind)) expect(requests).toBeGreaterThan(5);
    expect(seen.after).toEqual(seen.before);
    expect(seen.versions).toEqual(['v2']);
  }, 600_000);

  it('ten targets, three at once, as soon as they are idle', async () => {
    const seen = await threeOfTen();
    succeeded(seen.done);
    expect(seen.failures).toEqual([]);
    expect(seen.before).toHaveLength(10);
    expect(seen.after).toEqual(seen.before);
    expect(seen.versions).toEqual(['v2']);
  }, 600_000);

  it('with a balancer that goes on sending for 20 s, at the speed of AWS, with the defaults', async () => {
    const seen = await lingering();
    succeeded(seen.done);
    expect(seen.failures).toEqual([]);
    expect(seen.after).toEqual(seen.before);
    expect(seen.versions).toEqual(['v2']);
  }, 600_000);

  it('but WebSockets that outlive the delay are cut, and reported', async () => {
    const seen = await longWebSockets();
    succeeded(seen.done);
    expect(seen.failures).toEqual([]);
    expect(seen.websocketsCut).toBeGreaterThan(0);
    expect(seen.done.log).toMatch(/connections? (was|were) still open when the time to drain was over/);
    const targets = JSON.parse(seen.done.outputs.targets!) as Array<{ cut?: number }>;
    expect(targets.every(({ cut = 0 }) => cut > 0)).toBe(true);
  }, 600_000);
});

describe('no request is lost when it goes wrong', () => {
  it('a failing third target takes everybody back', async () => {
    const seen = await sickThird();
    expect(seen.done).toMatchObject({ code: 1, outputs: { result: 'rolled-back' } });
    expect(seen.done.outputs.reason).toContain('post-deploy');
    expect(seen.failures).toEqual([]);
    expect(seen.after).toEqual(seen.before);
    expect(seen.versions).toEqual(['v1']);
  }, 600_000);

  it('a cancel in the middle of the roll is put right by post', async () => {
    const seen = await cancelled();
    expect(seen.done.main.code).toBe(1);
    succeeded(seen.done.post);
    expect(seen.failures).toEqual([]);
    expect(seen.after).toEqual(seen.before);
    expect(seen.done.post.log).toContain('runs ');
  }, 600_000);
});

import { describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import { openFleetStage, succeeded } from './fleet-stage.ts';

// Whole rolls under 50 requests a second: GET, POST, requests of 2 to 10 s, and WebSockets. Minutes each.

type Stage = Awaited<ReturnType<typeof openFleetStage>>;

/** AWS's seconds pass forty times as fast; 12 s of ours are longer than the longest request. */
const quick = { scale: 40, delay: 480 };

function users({ lab }: Stage, webSocketHoldMs = 3_000) {
  const { balancer } = lab;
  return startLoad({
    url: balancer.url,
    rps: 50,
    seed: 7,
    mix: { get: 60, post: 28, slow: 10, websocket: 2 },
    slowMs: [2_000, 10_000],
    webSocketHoldMs,
    cutAtDrainEnd: (port) => balancer.cutAtDrainEnd(port),
  });
}

/** What users and the account saw of what was done under load. */
async function underLoad<T>(
  settings: Parameters<typeof openFleetStage>[0],
  act: (stage: Stage) => Promise<T>,
  webSocketHoldMs?: number,
) {
  const stage = await openFleetStage(settings);
  try {
    const before = stage.membership();
    const load = users(stage, webSocketHoldMs);
    const done = await act(stage);
    const { requests, failures, websocketsCut, byKind } = await load.stop();
    return {
      done,
      requests,
      failures,
      websocketsCut,
      byKind,
      before,
      after: stage.membership(),
      versions: [...new Set(await stage.versions())],
    };
  } finally {
    await stage.close();
  }
}

describe('no request is lost when the release is rolled over', () => {
  it.each([
    [2, '1', 'idle'],
    [2, '1', 'full'],
    [10, '1', 'idle'],
    [10, '1', 'full'],
    [10, '30%', 'idle'],
    [10, '30%', 'full'],
  ] as const)(
    '%i targets, batch %s, drain %s',
    async (hosts, batch, drain) => {
      const seen = await underLoad({ ...quick, hosts }, async (stage) =>
        stage.main({ ...(await stage.image('v2')), 'batch-size': batch, drain }),
      );
      succeeded(seen.done);
      expect(seen.failures).toEqual([]);
      for (const { requests } of Object.values(seen.byKind)) expect(requests).toBeGreaterThan(5);
      expect(seen.after).toEqual(seen.before);
      expect(seen.versions).toEqual(['v2']);
      // A session of an hour is a minute and a half here: it was taken anew.
      if (hosts === 10) expect(seen.done.log.match(/taken until/g)!.length).toBeGreaterThan(1);
    },
    900_000,
  );

  it('with a balancer that goes on sending for 20 s, at the speed of AWS, with the defaults', async () => {
    const seen = await underLoad(
      { scale: 1, delay: 60, healthInterval: 5, lingerMs: 20_000 },
      async (stage) =>
        stage.main({ ...(await stage.image('v2')), 'drain-settle': '', 'stability-window': '' }),
    );
    succeeded(seen.done);
    expect(seen.failures).toEqual([]);
    expect(seen.after).toEqual(seen.before);
  }, 600_000);

  it('but WebSockets that outlive the delay are cut, and reported', async () => {
    const seen = await underLoad(quick, async (stage) => stage.main(await stage.image('v2')), 120_000);
    succeeded(seen.done);
    expect(seen.failures).toEqual([]);
    expect(seen.websocketsCut).toBeGreaterThan(0);
    expect(seen.done.log).toMatch(/connections? (was|were) still open when the time to drain was over/);
    const targets = JSON.parse(seen.done.outputs.targets!) as Array<{ cut?: number }>;
    expect(targets.every(({ cut = 0 }) => cut > 0)).toBe(true);
  }, 600_000);
});

describe('no request is lost when it goes wrong', () => {
  /** The hook runs in the project's directory, which lies below the host's name. */
  const failsOnThird = {
    'post-deploy': 'case "$PWD" in */host-3/*) echo "no room at the third"; exit 1 ;; esac',
  };

  it('a failing third target takes everybody back', async () => {
    const seen = await underLoad({ ...quick, hosts: 4 }, async (stage) =>
      stage.main({ ...(await stage.image('v2')), ...failsOnThird }),
    );
    expect(seen.done).toMatchObject({ code: 1, outputs: { result: 'rolled-back' } });
    expect(seen.done.outputs.reason).toContain('post-deploy');
    expect(seen.failures).toEqual([]);
    expect(seen.after).toEqual(seen.before);
    expect(seen.versions).toEqual(['v1']);
  }, 900_000);

  it('a cancel in the middle of the roll is put right by post', async () => {
    const seen = await underLoad({ ...quick, hosts: 3 }, async (stage) => {
      let switched = 0;
      const main = await stage.main(await stage.image('v2'), (line, kill) => {
        if (line.startsWith('switching i-') && ++switched === 2) kill('SIGINT');
      });
      return { main, post: await stage.post() };
    });
    expect(seen.done.main.code).toBe(1);
    succeeded(seen.done.post);
    expect(seen.failures).toEqual([]);
    expect(seen.after).toEqual(seen.before);
    expect(seen.done.post.log).toContain('runs ');
  }, 900_000);
});

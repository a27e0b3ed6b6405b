import { describe, expect, it } from '@jest/globals';
import { judgeScene, refused, serves } from './scene.ts';

const versioned = { 'expected-version': 'v2', 'version-from': 'json:version' };

describe('until it is settled', () => {
  it('is healthy after three good answers in a row', async () =>
    expect(await judgeScene({ answer: () => ({}) })).toMatchObject({ verdict: 'healthy', took: 4040 }));

  it('waits for the new version', async () =>
    expect(await judgeScene({ answer: (at) => serves(at < 3000 ? 'v1' : 'v2') }, versioned)).toMatchObject({
      verdict: 'healthy',
      reason: '10 good answers in a row, version v2',
      liveVersion: 'v2',
      versionsSeen: ['v1', 'v2'],
    }));

  it('says that the old version is still served, as soon as the new one could not be proven any more', async () => {
    const { verdict, reason, took } = await judgeScene({ answer: () => serves('v1') }, versioned);
    expect({ verdict, reason }).toEqual({ verdict: 'unhealthy', reason: 'still serves v1, expected v2' });
    // Ten answers in a row, two seconds apart, do not fit into what is left of two minutes.
    expect(took).toBeGreaterThan(100_000);
    expect(took).toBeLessThan(104_000);
  });

  it('says that two versions are served, and in which shares', async () =>
    expect(
      await judgeScene({ answer: (_, __, count) => serves(count % 2 ? 'v1' : 'v2') }, versioned),
    ).toMatchObject({
      verdict: 'unhealthy',
      reason: '2 versions: v1 5 of 10, v2 5 of 10; expected v2 alone',
    }));

  it('ends early when too many probes go unanswered after the first good one', async () => {
    const { verdict, took } = await judgeScene({ answer: (at) => (at < 1000 ? {} : refused) });
    expect(verdict).toBe('unhealthy');
    expect(took).toBeLessThan(15_000);
  });

  it('is red within a second of the deadline, however long a probe may take', async () => {
    const { verdict, reason, took } = await judgeScene(
      { answer: () => 'hangs' },
      { timeout: '12s', 'probe-timeout': '5s' },
    );
    expect([verdict, reason]).toEqual([
      'unhealthy',
      '0 of 2 probes were good, never 3 in a row; last: no answer',
    ]);
    expect(took).toBeLessThan(13_000);
  });

  it('does not hold a probe against the app that only our deadline cut short', async () =>
    expect(
      await judgeScene(
        { answer: (at) => (at < 7_900 ? {} : 'hangs') },
        { timeout: '9s', 'consecutive-successes': '5' },
      ),
    ).toMatchObject({
      verdict: 'inconclusive',
      reason: '4 good answers in a row, 5 needed, before the time was up',
      samples: 4,
    }));

  it('but does when there is nothing else to go by', async () =>
    expect(
      await judgeScene({ answer: () => 'hangs' }, { timeout: '1s', 'consecutive-successes': '1' }),
    ).toMatchObject({ verdict: 'unhealthy', samples: 1, took: 1500 }));

  it('speaks when something changes, and once in a while', async () => {
    const { lines } = await judgeScene({ answer: (at) => (at < 60_000 ? { status: 503 } : {}) });
    expect(lines).toEqual([
      'http://app.example/: asking every 2 s until 3 good answers came in a row, at most 2 min',
      'http://app.example/: answered 503, expected 200 (40 ms, after 40 ms)',
      'http://app.example/: answered 503, expected 200 still (40 ms, after 30 s, probe 16)',
      'http://app.example/: good (40 ms, after 1 min, probe 31)',
    ]);
  });

  it('is neither good nor bad what a challenge in front of the app says', async () =>
    expect(
      await judgeScene({ answer: () => ({ status: 403, headers: { 'cf-mitigated': 'challenge' } }) }),
    ).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringMatching(/^the app was never reached: answered 403, .*Cloudflare challenges/),
    }));
});

it('is not red for IPv6 that only this machine has not, but proves nothing either', async () =>
  expect(
    await judgeScene({ answer: () => ({ ...refused, kind: 'no-route', message: 'no route to IPv6' }) }),
  ).toMatchObject({ verdict: 'inconclusive', reason: 'the app was never reached: no route to IPv6' }));

describe('the soak', () => {
  const soak = { soak: '30s', 'min-rps': '10' };

  it.each<[string, () => number, (count: number) => object, string, RegExp]>([
    [
      'passes at 70 ms',
      () => 70,
      () => ({}),
      'healthy',
      /soaked 30 s: p95 70 ms, errors 0 % \(0 of 429\), 14.2 a second$/,
    ],
    ['fails at 600 ms', () => 600, () => ({}), 'unhealthy', /^p95 600 ms, at most 500 ms allowed/],
    [
      'fails at 2 % of errors',
      () => 70,
      (n) => (n % 50 === 49 ? { status: 500 } : {}),
      'unhealthy',
      /^errors .* %.*, at most 1 % allowed.*; last: answered 500, expected 200$/,
    ],
    [
      'fails at 5 answers a second',
      () => 200,
      () => ({}),
      'unhealthy',
      /^good answers 5 a second, at least 10 a second needed/,
    ],
  ])('%s', async (_, takes, answer, verdict, reason) => {
    const report = await judgeScene({ takes, answer: (_at, _url, count) => answer(count) }, soak);
    expect(report).toMatchObject({ verdict, reason: expect.stringMatching(reason) });
  });

  it('is inconclusive with fewer good answers than min-samples', async () =>
    expect(
      await judgeScene({ takes: () => 300, answer: () => ({}) }, { soak: '5s', 'min-samples': '50' }),
    ).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringMatching(/^\d+ good answers in .* of soak, at least 50 needed to judge/),
    }));

  it('ends as soon as failure is certain', async () => {
    const { verdict, took } = await judgeScene(
      { answer: (at) => (at < 10_000 ? {} : { status: 500 }) },
      { soak: '10m' },
    );
    expect(verdict).toBe('unhealthy');
    // 1 % of what ten minutes can hold, at twenty a second.
    expect(took).toBeLessThan(20_000);
  });

  it('asks as many at a time as it is told, each at most 20 times a second', async () => {
    const { samples, mostAtATime } = await judgeScene(
      { takes: () => 10, answer: () => ({}) },
      { soak: '10s', concurrency: '4' },
    );
    expect(mostAtATime).toBeLessThanOrEqual(4);
    expect(samples).toBe(3 + 4 * 200);
  });

  it('reports the split between those who served', async () => {
    const { urls } = await judgeScene(
      { answer: (_, __, count) => ({ headers: { 'x-host': `i-${count % 2}` } }) },
      { soak: '10s', 'served-by': 'header:X-Host' },
    );
    expect([...urls[0]!.soak!.tally.servedBy.keys()].sort()).toEqual(['i-0', 'i-1']);
  });

  it('counts the connection errors of before', async () =>
    expect(
      await judgeScene(
        { answer: (at, _, count) => ([1, 2].includes(count) || (at > 12_000 && at < 12_150) ? refused : {}) },
        soak,
      ),
    ).toMatchObject({
      verdict: 'unhealthy',
      reason: '4 probes were not answered after the first good one (3 allowed): connection refused',
    }));

  it('finds one answer of the old version', async () =>
    expect(
      await judgeScene(
        { answer: (_, __, count) => serves(count === 100 ? 'v1' : 'v2') },
        { ...versioned, ...soak },
      ),
    ).toMatchObject({
      verdict: 'unhealthy',
      reason: expect.stringMatching(
        /^in the soak, 2 versions: v2 \d+ of \d+, v1 1 of \d+; expected v2 alone$/,
      ),
    }));
});

describe('a WebSocket', () => {
  const held = { url: 'wss://app.example/ws', hold: '90s' };
  const open = { answer: () => ({ status: 101 }) };

  it('that stays open is healthy', async () => {
    const { verdict, reason, took } = await judgeScene(open, held);
    expect([verdict, reason]).toEqual(['healthy', '3 good answers in a row; stayed open 1 min 30 s']);
    expect(took).toBeGreaterThan(90_000);
  });

  it('that is cut after 60 s is unhealthy, and it says what may have cut it', async () =>
    expect(
      await judgeScene({ ...open, hold: () => ({ ms: 60_000, cut: { code: 1006, reason: '' } }) }, held),
    ).toMatchObject({
      verdict: 'unhealthy',
      reason:
        "the WebSocket was cut after 1 min of 1 min 30 s (1006, without a closing frame: a proxy's or load balancer's idle timeout, or a crash)",
    }));

  it('that cannot be opened again to be held is unhealthy, but not for one refused connection', async () => {
    const opened = { ...refused, at: 0, ms: 1, address: '' } as never;
    let attempts = 0;
    const [never, once] = await Promise.all([
      judgeScene({ ...open, hold: () => ({ opened, ms: 0 }) }, held),
      judgeScene({ ...open, hold: () => (attempts++ === 0 ? { opened, ms: 0 } : {}) }, held),
    ]);
    expect(never).toMatchObject({
      verdict: 'unhealthy',
      reason: 'could not be opened to be held: connection refused',
    });
    expect(never.urls[0]!.hold!.opened).toBe(4);
    expect(once.verdict).toBe('healthy');
  });

  it('is held to what it can show: 101 and headers, not body and status', async () =>
    expect(
      await judgeScene(
        { answer: (_, url) => (url.protocol === 'wss:' ? { status: 101 } : serves('v2')) },
        { url: 'wss://app.example/ws, https://app.example/', ...versioned, 'expected-json': 'version=v2' },
      ),
    ).toMatchObject({ verdict: 'healthy' }));
});

describe('several URLs', () => {
  const two = { url: 'http://a.example/, http://b.example/' };

  it('are unhealthy when one of them is', async () =>
    expect(
      await judgeScene({ answer: (_, url) => (url.hostname === 'b.example' ? { status: 503 } : {}) }, two),
    ).toMatchObject({
      verdict: 'unhealthy',
      reason: expect.stringMatching(
        /^http:\/\/b\.example\/: 0 of \d+ probes were good, never 3 in a row; last: answered 503, expected 200$/,
      ),
    }));

  it('end with the first that is unhealthy: what is to be undone should not wait', async () => {
    const { verdict, took, urls } = await judgeScene(
      { answer: (at, url) => (url.hostname === 'b.example' && at > 1000 ? refused : {}) },
      { ...two, soak: '10m' },
    );
    expect([verdict, urls[1]!.verdict, urls[0]!.verdict]).toEqual(['unhealthy', 'unhealthy', 'inconclusive']);
    expect(urls[0]!.reason).toMatch(
      /^broken off after .*, because http:\/\/b\.example\/ is unhealthy; last: good$/,
    );
    expect(took).toBeLessThan(20_000);
  });

  it('get the same verdict in either order', async () => {
    const answer = (_: number, url: URL, count: number) =>
      url.hostname === 'a.example' ? { status: count % 3 ? 200 : 503 } : {};
    const [one, other] = await Promise.all([
      judgeScene({ answer }, two),
      judgeScene({ answer }, { url: 'http://b.example/, http://a.example/' }),
    ]);
    expect([one.verdict, one.reason]).toEqual([other.verdict, other.reason]);
  });
});

it('a cancelled gate tells what it had seen, and passes for nothing', async () => {
  const { verdict, reason, took } = await judgeScene({
    answer: () => ({ status: 503 }),
    cancelAt: 10_000,
  });
  expect([verdict, reason]).toEqual([
    'inconclusive',
    'broken off after 10 s, because the run was cancelled; last: answered 503, expected 200',
  ]);
  expect(took).toBe(10_000);
});

it('a dry run asks each URL once, without soak or hold', async () => {
  const { samples, took } = await judgeScene(
    { answer: (_, url) => (url.protocol === 'ws:' ? { status: 101 } : {}) },
    { url: 'http://a.example/, ws://b.example/', soak: '1m', hold: '1m', 'dry-run': 'true' },
  );
  expect([samples, took]).toEqual([2, 40]);
});

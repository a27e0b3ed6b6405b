import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type LoadReport, type LoadSettings, startLoad } from '../src/balancer/index.ts';
import { Latencies } from '../src/balancer/latencies.ts';
import { SmallApp } from './small-app.ts';

const cleanUp: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

async function open(misbehave?: SmallApp['misbehave']): Promise<{ app: SmallApp; url: string }> {
  const app = await new SmallApp('v1').start();
  if (misbehave !== undefined) app.misbehave = misbehave;
  cleanUp.push(() => app.kill());
  return { app, url: `http://127.0.0.1:${app.port}` };
}

async function loadFor(ms: number, settings: LoadSettings): Promise<LoadReport> {
  const load = startLoad(settings);
  await sleep(ms);
  return load.stop();
}

describe('counting', () => {
  it('reports exactly the requests that the app failed', async () => {
    let count = 0;
    let spoilt = 0;
    const { app, url } = await open((_request, response) => {
      count += 1;
      if (count % 10 !== 0) return false;
      spoilt += 1;
      response.writeHead(500).end();
      return true;
    });
    const report = await loadFor(1200, { url, rps: 100, mix: { get: 3, post: 1 } });
    expect(report.requests).toBe(app.seen.length);
    expect(report.requests).toBeGreaterThan(100);
    expect(spoilt).toBeGreaterThan(9);
    expect(report.failed).toBe(spoilt);
    expect(report.failures).toHaveLength(spoilt);
    expect(new Set(report.failures.map(({ reason }) => reason))).toEqual(new Set(['status 500']));
    expect(report.inFlight).toBe(0);
  });

  it.each<[string, SmallApp['misbehave'], Partial<LoadSettings>, string]>([
    [
      'a reset',
      (request) => {
        request.socket.resetAndDestroy();
        return true;
      },
      {},
      'connection reset',
    ],
    ['silence', () => true, { timeoutMs: 100 }, 'no answer in 100 ms'],
    [
      'half an answer',
      (_request, response) => {
        response.writeHead(200, { 'content-length': 100 });
        response.write('half');
        setTimeout(() => response.destroy(), 20);
        return true;
      },
      {},
      'the answer was cut short',
    ],
    [
      'another body than was sent',
      (request, response) => {
        request.resume();
        response.end('something else');
        return true;
      },
      { mix: { post: 1 } },
      'wrong body',
    ],
  ])('calls %s a failure and says what it was', async (_what, misbehave, settings, reason) => {
    const { url } = await open(misbehave);
    const report = await loadFor(200, { url, rps: 50, mix: { get: 1 }, ...settings });
    expect(report.failed).toBe(report.requests);
    expect(report.failed).toBeGreaterThan(5);
    expect(new Set(report.failures.map((failure) => failure.reason))).toEqual(new Set([reason]));
  });

  it('calls a refused connection a failure', async () => {
    const { app, url } = await open();
    await app.kill();
    const report = await loadFor(100, { url, rps: 50, mix: { get: 1, websocket: 1 } });
    expect(report.failed).toBe(report.requests);
    expect(report.failures.every(({ reason }) => reason === 'connection refused')).toBe(true);
  });

  it('says which version answered when', async () => {
    const { app, url } = await open();
    const load = startLoad({ url, rps: 60, mix: { get: 1 } });
    await sleep(500);
    app.version = 'v2';
    await sleep(1000);
    const report = await load.stop();
    expect(report.versions.v1! + report.versions.v2!).toBe(report.requests);
    expect(Object.keys(report.perSecond[0]!.versions)).toEqual(['v1', 'v2']);
    expect(Object.keys(report.perSecond[1]!.versions)).toEqual(['v2']);
    expect(report.perSecond.reduce((sum, second) => sum + second.requests, 0)).toBe(report.requests);
  });

  it('reads a version out of a JSON answer too', async () => {
    const { url } = await open((_request, response) => {
      response.setHeader('content-type', 'application/json').end('{"version":"2026.1"}');
      return true;
    });
    const report = await loadFor(100, { url, rps: 50, mix: { get: 1 } });
    expect(report.versions).toEqual({ '2026.1': report.requests });
  });
});

describe('open loop', () => {
  it('goes on starting requests while none is answered, and measures from when each was due', async () => {
    const { url } = await open((_request, response) => {
      setTimeout(() => response.end(), 400);
      return true;
    });
    const load = startLoad({ url, rps: 50, mix: { get: 1 } });
    await sleep(350);
    expect(load.snapshot().inFlight).toBeGreaterThan(12);
    const report = await load.stop();
    expect(report.failed).toBe(0);
    expect(report.p50).toBeGreaterThan(390);
  });

  it('makes the same requests from the same seed', async () => {
    const runs = [];
    for (let run = 0; run < 2; run += 1) {
      const { app, url } = await open();
      await loadFor(600, { url, rps: 100, seed: 7, slowMs: [10, 30], mix: { get: 5, post: 3, slow: 2 } });
      runs.push(app.seen.slice(0, 40).sort().join(' '));
    }
    expect(runs[0]).toContain('/slow?ms=');
    expect(runs[0]).toBe(runs[1]);
  });

  it('starts nothing more when its signal says so', async () => {
    const { app, url } = await open();
    const over = new AbortController();
    const load = startLoad({ url, rps: 50, mix: { get: 1 }, signal: over.signal });
    await sleep(150);
    over.abort();
    await sleep(50);
    const seen = app.seen.length;
    await sleep(100);
    expect(app.seen).toHaveLength(seen);
    expect((await load.stop()).requests).toBe(seen);
  });

  it('waits for what is in flight when it is stopped', async () => {
    const { url } = await open();
    const report = await loadFor(50, { url, rps: 40, mix: { slow: 1 }, slowMs: 300 });
    expect(report.byKind.slow).toMatchObject({ failed: 0 });
    expect(report.byKind.slow.p50).toBeGreaterThan(290);
  });
});

describe('WebSockets', () => {
  it('are held, spoken over, and closed by the client', async () => {
    const { app, url } = await open();
    const load = startLoad({
      url,
      rps: 20,
      mix: { websocket: 1 },
      webSocketHoldMs: 300,
      webSocketPingMs: 20,
    });
    await sleep(250);
    expect(app.webSockets.size).toBeGreaterThan(2);
    const report = await load.stop();
    expect(report.byKind.websocket.requests).toBeGreaterThan(3);
    expect(report.failed).toBe(0);
    expect(report.versions).toEqual({ v1: report.requests });
  });

  it('are lost when the app closes them, cut when the balancer says so', async () => {
    for (const cut of [false, true]) {
      const { app, url } = await open();
      const load = startLoad({ url, rps: 20, mix: { websocket: 1 }, cutAtDrainEnd: () => cut });
      await sleep(200);
      const held = app.webSockets.size;
      expect(held).toBeGreaterThan(1);
      await app.kill();
      // Those begun after the kill are refused, so only the held ones tell.
      const report = await load.stop();
      const lost = report.failures.filter(({ reason }) => reason.startsWith('WebSocket closed'));
      expect([lost.length, report.websocketsCut]).toEqual(cut ? [0, held] : [held, 0]);
    }
  });
});

it.each([
  [{ rps: 0 }, 'above 0'],
  [{ url: 'https://127.0.0.1' }, 'http URL'],
  [{ mix: {} }, 'mix'],
])('refuses %j', (settings, words) => {
  expect(() => startLoad({ url: 'http://127.0.0.1:1', rps: 1, ...settings })).toThrow(words);
});

it('keeps percentiles to one per cent', () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 1000; ms += 1) latencies.add(ms);
  for (const percent of [50, 95, 99]) {
    expect(latencies.percentile(percent)).toBeGreaterThanOrEqual(percent * 10);
    expect(latencies.percentile(percent)).toBeLessThanOrEqual(percent * 10.1 + 0.01);
  }
  expect(latencies.percentile(100)).toBe(1000);
  expect(latencies.max).toBe(1000);
  expect(new Latencies().percentile(95)).toBe(0);
});

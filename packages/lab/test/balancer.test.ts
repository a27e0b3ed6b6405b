import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import {
  type Balancer,
  type BalancerSettings,
  type LoadReport,
  openBalancer,
  startLoad,
  TargetGroup,
  type TargetGroupSettings,
} from '../src/balancer/index.ts';
import { TargetPool } from '../src/balancer/target-pool.ts';
import { labClock } from '../src/clock.ts';
import { SmallApp } from './small-app.ts';

const cleanUp: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

interface Scene {
  apps: SmallApp[];
  group: TargetGroup;
  balancer: Balancer;
  unreachable: Set<string>;
  state(id: string): string | undefined;
  until(what: string, holds: () => boolean): Promise<void>;
}

/** Apps i-0, i-1 … behind a balancer, all registered; lab time is real time unless `scale` says otherwise. */
async function scene(options: {
  apps?: number;
  scale?: number;
  group?: Partial<TargetGroupSettings>;
  balancer?: Partial<BalancerSettings>;
}): Promise<Scene> {
  const clock = labClock(options.scale ?? 1);
  const apps: SmallApp[] = [];
  for (let index = 0; index < (options.apps ?? 2); index += 1) apps.push(await new SmallApp('v1').start());
  const unreachable = new Set<string>();
  const group = new TargetGroup({
    clock,
    name: 'web',
    port: 8000,
    registrationMs: 10,
    healthCheck: { path: '/health', intervalMs: 40, healthyThreshold: 2, unhealthyThreshold: 2 },
    attributes: { 'deregistration_delay.timeout_seconds': '1' },
    ...options.group,
  });
  const balancer = await openBalancer({
    clock,
    group,
    lingerMs: 200,
    resolve: (id) =>
      unreachable.has(id) ? undefined : { host: '127.0.0.1', port: apps[Number(id.slice(2))]!.port },
    ...options.balancer,
  });
  cleanUp.push(async () => {
    await balancer.close();
    group.close();
    clock.close();
    for (const app of apps) await app.kill();
  });
  const until = async (what: string, holds: () => boolean) => {
    const deadline = Date.now() + 8000;
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`waited 8 s for ${what}; ${JSON.stringify(group.health())}`);
      await sleep(5);
    }
  };
  const state = (id: string) => group.health([{ id }])[0]?.state;
  group.register(apps.map((_, index) => ({ id: `i-${index}` })));
  await until('all healthy', () => group.health().every((target) => target.state === 'healthy'));
  return { apps, group, balancer, unreachable, state, until };
}

async function get(
  url: string,
  path = '/',
  init: RequestInit = {},
): Promise<{ status: number; body: string }> {
  const response = await fetch(`${url}${path}`, init);
  return { status: response.status, body: await response.text() };
}

function expectNothingLost(report: LoadReport): void {
  expect(report.failures).toEqual([]);
  expect(report.failed).toBe(0);
}

describe('a roll under load', () => {
  it('loses no request when each target is drained, stopped, replaced and registered again', async () => {
    const { apps, group, balancer, state, until } = await scene({ apps: 2 });
    const load = startLoad({
      url: balancer.url,
      rps: 80,
      seed: 3,
      mix: { get: 60, post: 25, slow: 13, websocket: 2 },
      slowMs: [100, 400],
      webSocketHoldMs: 5000,
      webSocketPingMs: 100,
      cutAtDrainEnd: balancer.cutAtDrainEnd,
    });
    for (const [index, app] of apps.entries()) {
      const id = `i-${index}`;
      const before = app.seen.length;
      group.deregister([{ id }]);
      await sleep(150);
      // The balancer's nodes have not heard yet: new requests still arrive.
      expect(app.seen.length).toBeGreaterThan(before + 2);
      await until('the drain to end', () => state(id) === 'unused');
      await app.stop();
      await sleep(100);
      app.version = 'v2';
      await app.start();
      group.register([{ id }]);
      await until(`${id} to be healthy`, () => state(id) === 'healthy');
    }
    await sleep(300);
    const report = await load.stop();
    expectNothingLost(report);
    expect(report.requests).toBeGreaterThan(200);
    expect(report.websocketsCut).toBeGreaterThan(0);
    expect(balancer.counts().cut).toEqual({ requests: 0, websockets: report.websocketsCut });
    expect(Object.keys(report.versions).sort()).toEqual(['v1', 'v2']);
    const last = report.perSecond.at(-1)!;
    expect(Object.keys(last.versions)).toEqual(['v2']);
  });

  it('shows the loss when an app is stopped while requests still reach it', async () => {
    const { apps, group, balancer } = await scene({ apps: 2, balancer: { lingerMs: 900 } });
    const load = startLoad({ url: balancer.url, rps: 80, mix: { get: 1 } });
    group.deregister([{ id: 'i-0' }]);
    await apps[0]!.kill();
    await sleep(500);
    const report = await load.stop();
    expect(report.failed).toBeGreaterThan(5);
    expect(new Set(report.failures.map(({ reason }) => reason))).toEqual(new Set(['status 502']));
    expect(balancer.counts().own[502]).toBe(report.failed);
  });

  it('keeps few connections to a target and uses them again', async () => {
    const { apps, balancer } = await scene({ apps: 1 });
    const before = apps[0]!.connections;
    const agent = new Agent({ keepAlive: true });
    for (let index = 0; index < 30; index += 1) {
      await new Promise<void>((resolve, reject) => {
        request(balancer.url, { agent }, (response) => response.resume().on('end', resolve))
          .on('error', reject)
          .end();
      });
    }
    agent.destroy();
    // Health checks come on connections of their own meanwhile.
    expect(apps[0]!.connections - before).toBeLessThan(15);
    expect(apps[0]!.seen).toHaveLength(30);
  });

  it('never uses a connection that was idle too long', async () => {
    const { apps, balancer } = await scene({
      apps: 1,
      balancer: { poolIdleMs: 60 },
      group: { healthCheck: { path: '/health', intervalMs: 600_000 } },
    });
    await get(balancer.url);
    await sleep(100);
    const before = apps[0]!.connections;
    expect((await get(balancer.url)).status).toBe(200);
    expect(apps[0]!.connections).toBe(before + 1);
  });
});

describe('draining', () => {
  it('lets a request in flight finish', async () => {
    const { group, balancer } = await scene({ apps: 1 });
    const slow = get(balancer.url, '/slow?ms=700');
    await sleep(100);
    group.deregister([{ id: 'i-0' }]);
    expect(await slow).toEqual({ status: 200, body: 'slow' });
  });

  it('cuts a request that is still in flight when the delay ends', async () => {
    const { group, balancer } = await scene({ apps: 1 });
    const slow = get(balancer.url, '/slow?ms=4000');
    const began = get(balancer.url, '/drip?ms=4000');
    const cut = expect(began).rejects.toThrow();
    await sleep(100);
    const start = performance.now();
    group.deregister([{ id: 'i-0' }]);
    expect((await slow).status).toBe(502);
    await cut;
    expect(performance.now() - start).toBeGreaterThan(900);
    expect(performance.now() - start).toBeLessThan(2500);
    expect(balancer.counts().cut).toEqual({ requests: 2, websockets: 0 });
  });

  it('spares what is in flight when the target comes back before the delay ends', async () => {
    const { group, balancer, until, state } = await scene({ apps: 1 });
    const slow = get(balancer.url, '/slow?ms=1600');
    await sleep(50);
    group.deregister([{ id: 'i-0' }]);
    await sleep(200);
    group.register([{ id: 'i-0' }]);
    await until('healthy again', () => state('i-0') === 'healthy');
    expect((await slow).status).toBe(200);
  });

  it('sends new requests for the lingering time and then none', async () => {
    const { apps, group, balancer } = await scene({ apps: 1, balancer: { lingerMs: 300 } });
    group.deregister([{ id: 'i-0' }]);
    expect((await get(balancer.url)).status).toBe(200);
    await sleep(350);
    const seen = apps[0]!.seen.length;
    expect((await get(balancer.url)).status).toBe(503);
    expect(apps[0]!.seen).toHaveLength(seen);
  });

  it('keeps idle connections to the target while it lingers, and closes them then', async () => {
    const { apps, group, balancer, until } = await scene({
      apps: 1,
      balancer: { lingerMs: 300 },
      group: { healthCheck: { path: '/health', intervalMs: 600_000 } },
    });
    await get(balancer.url);
    group.deregister([{ id: 'i-0' }]);
    await sleep(150);
    expect(apps[0]!.open).toBe(1);
    await until('the connection to be closed', () => apps[0]!.open === 0);
    expect(group.health()[0]?.state).toBe('draining');
  });

  it('holds a WebSocket through the delay and cuts it at the end', async () => {
    const { group, balancer, apps } = await scene({ apps: 1 });
    const socket = new WebSocket(`${balancer.url.replace('http', 'ws')}/ws`);
    const upgraded = once(socket, 'upgrade');
    await once(socket, 'open');
    const [response] = await upgraded;
    const port: number = response.socket.localPort;
    expect(response.headers['x-version']).toBe('v1');
    group.deregister([{ id: 'i-0' }]);
    await sleep(700);
    socket.send('still here');
    expect(String((await once(socket, 'message'))[0])).toBe('still here');
    expect(balancer.cutAtDrainEnd(port)).toBe(false);
    const [code] = await once(socket, 'close');
    expect(code).toBe(1006);
    expect(balancer.cutAtDrainEnd(port)).toBe(true);
    expect(balancer.counts().cut).toEqual({ requests: 0, websockets: 1 });
    await sleep(50);
    expect(apps[0]!.webSockets.size).toBe(0);
  });
});

describe('who gets requests', () => {
  it('spreads them evenly over healthy targets', async () => {
    const { apps, balancer } = await scene({ apps: 3 });
    await Promise.all(Array.from({ length: 30 }, () => get(balancer.url)));
    expect(apps.map(({ seen }) => seen.length)).toEqual([10, 10, 10]);
    expect(balancer.counts().targets['i-0:8000']).toMatchObject({ requests: 10, byStatus: { 200: 10 } });
  });

  it('leaves a new target alone until it has passed a check', async () => {
    const { apps, group, balancer, state, until } = await scene({ apps: 2 });
    group.deregister([{ id: 'i-1' }]);
    await until('gone', () => state('i-1') === 'unused');
    apps[1]!.health = 503;
    const seen = apps[1]!.seen.length;
    group.register([{ id: 'i-1' }]);
    await until('a failed check', () => state('i-1') === 'unhealthy');
    for (let index = 0; index < 10; index += 1) await get(balancer.url);
    expect(apps[1]!.seen).toHaveLength(seen);
    apps[1]!.health = 200;
    await until('healthy', () => state('i-1') === 'healthy');
    for (let index = 0; index < 10; index += 1) await get(balancer.url);
    expect(apps[1]!.seen).toHaveLength(seen + 5);
  });

  it('takes a target out when its checks fail and says the code', async () => {
    const { apps, group, balancer, state, until } = await scene({ apps: 2 });
    apps[0]!.health = 503;
    await until('unhealthy', () => state('i-0') === 'unhealthy');
    expect(group.health([{ id: 'i-0' }])[0]?.description).toBe(
      'Health checks failed with these codes: [503]',
    );
    const seen = apps[0]!.seen.length;
    for (let index = 0; index < 6; index += 1) await get(balancer.url);
    expect(apps[0]!.seen).toHaveLength(seen);
  });

  it('sends to everybody when nobody is healthy', async () => {
    const { apps, balancer, group, until } = await scene({ apps: 2 });
    for (const app of apps) app.health = 500;
    await until('all sick', () => group.health().every((target) => target.state === 'unhealthy'));
    const before = apps.map(({ seen }) => seen.length);
    for (let index = 0; index < 6; index += 1) expect((await get(balancer.url)).status).toBe(200);
    expect(apps.map(({ seen }, index) => seen.length - before[index]!)).toEqual([3, 3]);
  });

  it('stops checking a target that was deregistered', async () => {
    const { apps, group } = await scene({ apps: 1 });
    group.deregister([{ id: 'i-0' }]);
    await sleep(60);
    const before = apps[0]!.connections;
    await sleep(200);
    expect(apps[0]!.connections).toBe(before);
  });

  it('keeps a client on one target while it is sticky, and moves it when the target drains', async () => {
    const { apps, group, balancer } = await scene({
      apps: 2,
      balancer: { lingerMs: 0 },
      group: {
        attributes: { 'stickiness.enabled': 'true', 'deregistration_delay.timeout_seconds': '1' },
      },
    });
    const first = await fetch(balancer.url);
    await first.text();
    const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!;
    for (let index = 0; index < 5; index += 1) await get(balancer.url, '/', { headers: { cookie } });
    expect(apps.map(({ seen }) => seen.length).sort()).toEqual([0, 6]);
    group.deregister([{ id: apps[0]!.seen.length === 6 ? 'i-0' : 'i-1' }]);
    expect((await get(balancer.url, '/', { headers: { cookie } })).status).toBe(200);
    expect(apps.map(({ seen }) => seen.length).sort()).toEqual([1, 6]);
  });
});

describe('answers of its own', () => {
  it('is 503 without a target', async () => {
    const { balancer } = await scene({ apps: 0 });
    const { status, body } = await get(balancer.url);
    expect([status, body]).toEqual([503, expect.stringContaining('503 Service Temporarily Unavailable')]);
    expect(balancer.counts().own).toEqual({ 502: 0, 503: 1, 504: 0 });
  });

  it('is 502 when the target refuses, and the request is not tried elsewhere', async () => {
    const { apps, balancer } = await scene({ apps: 2 });
    await apps[0]!.kill();
    const statuses = [];
    for (let index = 0; index < 2; index += 1) statuses.push((await get(balancer.url)).status);
    expect(statuses.sort()).toEqual([200, 502]);
  });

  it('is 502 when the target resets a request, which reached it once', async () => {
    const { apps, balancer } = await scene({ apps: 1 });
    apps[0]!.misbehave = (incoming) => {
      incoming.socket.resetAndDestroy();
      return true;
    };
    expect((await get(balancer.url, '/echo', { method: 'POST', body: 'x'.repeat(100_000) })).status).toBe(
      502,
    );
    expect(apps[0]!.seen).toEqual(['POST /echo']);
  });

  it('is a broken connection when the target dies in the middle of an answer', async () => {
    const { apps, balancer } = await scene({ apps: 1 });
    const answer = get(balancer.url, '/drip?ms=3000');
    const broken = expect(answer).rejects.toThrow();
    await sleep(100);
    await apps[0]!.kill();
    await broken;
    expect(balancer.counts().targets['i-0:8000']?.broken).toBe(1);
  });

  it('is 504 when the target is silent for the idle time-out', async () => {
    const { balancer } = await scene({ apps: 1, balancer: { idleTimeoutMs: 150 } });
    expect((await get(balancer.url, '/slow?ms=2000')).status).toBe(504);
  });

  it('is 504 when packets to the target are dropped', async () => {
    const { balancer, unreachable } = await scene({ apps: 1, balancer: { connectTimeoutMs: 150 } });
    unreachable.add('i-0');
    expect((await get(balancer.url)).status).toBe(504);
    expect(balancer.counts().targets['i-0:8000']).toMatchObject({ active: 0, broken: 1 });
  });

  it('closes a WebSocket that is silent for the idle time-out', async () => {
    const { balancer } = await scene({ apps: 1, balancer: { idleTimeoutMs: 150 } });
    const socket = new WebSocket(`${balancer.url.replace('http', 'ws')}/ws`);
    await once(socket, 'open');
    const [code] = await once(socket, 'close');
    expect(code).toBe(1006);
    expect(balancer.counts().cut.websockets).toBe(0);
  });
});

it('tells the app when a client goes away', async () => {
  const { apps, balancer, until } = await scene({ apps: 1 });
  const before = apps[0]!.abandoned;
  await expect(
    get(balancer.url, '/slow?ms=3000', { signal: AbortSignal.timeout(100) }),
  ).rejects.toMatchObject({ name: 'TimeoutError' });
  await until('the app to hear of it', () => apps[0]!.abandoned === before + 1);
  expect(balancer.counts().targets['i-0:8000']).toMatchObject({ active: 0, broken: 0 });
});

it('does not use a connection that went stale while this process was busy', async () => {
  const app = await new SmallApp('v1').start();
  const pool = new TargetPool(50);
  cleanUp.push(
    () => app.kill(),
    () => pool.destroy(),
  );
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      pool.closeStale();
      const asking = request({ host: '127.0.0.1', port: app.port, agent: pool });
      asking.on('response', (response) => response.resume().on('end', () => setImmediate(resolve)));
      asking.on('error', reject).end();
    });
  await ask();
  await ask();
  expect(app.connections).toBe(1);
  const end = performance.now() + 80;
  while (performance.now() < end);
  await ask();
  expect(app.connections).toBe(2);
});

describe('a target that cannot be checked', () => {
  it('times out when its packets are dropped', async () => {
    const { group, unreachable, state, until } = await scene({
      apps: 1,
      group: { healthCheck: { path: '/health', intervalMs: 40, timeoutMs: 30, unhealthyThreshold: 2 } },
    });
    unreachable.add('i-0');
    await until('unhealthy', () => state('i-0') === 'unhealthy');
    expect(group.health()[0]?.reason).toBe('Target.Timeout');
  });

  it('is a failed check when what listens there does not speak HTTP', async () => {
    const server = createServer((socket) => socket.end('SSH-2.0-x\r\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanUp.push(() => void server.close());
    const { port } = server.address() as { port: number };
    const { group, state, until } = await scene({
      apps: 0,
      balancer: { resolve: () => ({ host: '127.0.0.1', port }) },
    });
    group.register([{ id: 'i-0' }]);
    await until('unhealthy', () => state('i-0') === 'unhealthy');
    expect(group.health()[0]?.reason).toBe('Target.FailedHealthChecks');
  });

  it('earns its health anew after its instance was stopped', async () => {
    const { group, apps, state, until } = await scene({ apps: 1 });
    group.condition = () => 'stopped';
    expect(state('i-0')).toBe('unused');
    await until('a check in that state', () => group.records()[0]?.phase === 'checking');
    apps[0]!.health = 500;
    group.condition = () => 'usable';
    expect(state('i-0')).toBe('initial');
    await until('unhealthy', () => state('i-0') === 'unhealthy');
  });
});

describe('what a request looks like to the app', () => {
  it('keeps Host and body and says where it came from', async () => {
    const { balancer } = await scene({ apps: 1, balancer: { forwardedProto: 'https' } });
    const headers = await new Promise<Record<string, string>>((resolve, reject) => {
      const asking = request(`${balancer.url}/headers`, {
        headers: { host: 'app.example', 'x-forwarded-for': '203.0.113.9', connection: 'x-hop', 'x-hop': '1' },
      });
      asking.on('error', reject);
      asking.on('response', async (response) => {
        const parts = await response.toArray();
        resolve(JSON.parse(Buffer.concat(parts).toString()));
      });
      asking.end();
    });
    expect(headers).toMatchObject({
      host: 'app.example',
      'x-forwarded-for': '203.0.113.9, 127.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '443',
    });
    expect(headers).not.toHaveProperty('x-hop');
  });

  it('streams: the first part of an answer arrives before the last is written', async () => {
    const { balancer } = await scene({ apps: 1 });
    const start = performance.now();
    const response = await fetch(`${balancer.url}/drip?ms=600`);
    const reader = response.body!.getReader();
    const { value } = await reader.read();
    expect(Buffer.from(value!).toString()).toBe('first');
    expect(performance.now() - start).toBeLessThan(500);
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('last');
  });

  it('carries a large body both ways unchanged', async () => {
    const { balancer } = await scene({ apps: 1 });
    const body = 'lock'.repeat(500_000);
    const answer = await get(balancer.url, '/echo', { method: 'POST', body });
    expect(answer.status).toBe(200);
    expect(answer.body === body).toBe(true);
  });

  it('passes on a refused upgrade', async () => {
    const { balancer, apps } = await scene({ apps: 0 });
    void apps;
    const socket = new WebSocket(`${balancer.url.replace('http', 'ws')}/ws`);
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(503);
    socket.on('error', () => {});
    socket.terminate();
  });
});

it('leaves nothing behind when it is closed with work in flight', async () => {
  const { balancer, group, apps } = await scene({ apps: 1 });
  const slow = expect(get(balancer.url, '/slow?ms=5000')).rejects.toThrow();
  const socket = new WebSocket(`${balancer.url.replace('http', 'ws')}/ws`);
  await once(socket, 'open');
  const gone = once(socket, 'close');
  await balancer.close();
  await slow;
  await gone;
  expect(group.loadBalancerArns).toEqual([]);
  expect(group.health()[0]?.reason).toBe('Target.NotInUse');
  await sleep(50);
  expect(apps[0]!.webSockets.size).toBe(0);
  cleanUp.pop();
  group.close();
  await apps[0]!.kill();
});

it('makes users wait when it is slow, and takes no target out for it', async () => {
  const { group, balancer } = await scene({ apps: 1 });
  balancer.slowBy(400);
  const began = performance.now();
  expect((await get(balancer.url)).status).toBe(200);
  // A timer may fire up to a millisecond early.
  expect(performance.now() - began).toBeGreaterThan(398);
  expect(group.health().map(({ state }) => state)).toEqual(['healthy']);
});

it('forgets a request whose client went while it was slow', async () => {
  const { apps, balancer } = await scene({ apps: 1 });
  balancer.slowBy(200);
  const before = apps[0]!.seen.filter((seen) => JSON.stringify(seen).includes('/gone')).length;
  await expect(get(balancer.url, '/gone', { signal: AbortSignal.timeout(50) })).rejects.toThrow();
  balancer.slowBy(250);
  await get(balancer.url);
  expect(apps[0]!.seen.filter((seen) => JSON.stringify(seen).includes('/gone')).length).toBe(before);
  expect(balancer.counts().targets[Object.keys(balancer.counts().targets)[0]!]!.active).toBe(0);
});

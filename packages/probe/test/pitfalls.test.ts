import { connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, expect, it } from '@jest/globals';
import { systemClock } from '@lockkeeper/wait';
import { emptySoak, observe, type ProbeTarget, probe, soakVerdict } from '../src/index.ts';
import { certificate } from './certificate.ts';
import { Servers } from './servers.ts';

// What makes HTTP probes lie, one test each, against real servers (fresh connection, name and address,
// time, redirects, caches, few samples).

const servers = new Servers();
afterEach(() => servers.close());

const ask = (url: string, part: Partial<ProbeTarget> = {}) =>
  probe({ url: new URL(url), timeout: 2_000, ...part }, { clock: systemClock });
const authority = certificate();
const tls = { verify: true, ca: authority.cert };
const pinned = new Map([['app.example', ['127.0.0.1']]]);

it('keep-alive behind a balancer of connections hides no backend: old and new come by turns', async () => {
  const backends = await Promise.all(
    ['old', 'new'].map((version) =>
      servers.http((_, response) => response.writeHead(200, { connection: 'keep-alive' }).end(version)),
    ),
  );
  let turn = 0;
  const balancer = await servers.tcp((socket) => {
    const backend = connect(backends[turn++ % 2]!, '127.0.0.1');
    backend.on('error', () => {});
    socket.pipe(backend).pipe(socket);
  });
  const seen = [];
  for (let i = 0; i < 4; i++) seen.push(await ask(`http://127.0.0.1:${balancer}/`));
  expect(seen.map((sample) => sample.answered && sample.body)).toEqual(['old', 'new', 'old', 'new']);
});

it('keep-alive over a restart makes no failed probe', async () => {
  const before = new Servers();
  const port = await before.http((_, response) => response.end('before'));
  expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({ body: 'before' });
  before.close();
  await servers.http((_, response) => response.end('after'), '127.0.0.1', port);
  expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({ body: 'after' });
});

it('the Host header that is given is sent', async () => {
  const port = await servers.http((request, response) => response.end(request.headers.host));
  expect(await ask(`http://127.0.0.1:${port}/`, { headers: { Host: 'app.example' } })).toMatchObject({
    body: 'app.example',
  });
});

it('the Host header leaves SNI and certificate to the name of the URL', async () => {
  const own = certificate({ hosts: ['app.example'], issuer: authority });
  const port = await servers.https(own, (request, response) =>
    response.end(`${(request.socket as TLSSocket).servername} ${request.headers.host}`),
  );
  const headers = { Host: 'other.example' };
  expect(await ask(`https://app.example:${port}/`, { resolve: pinned, tls, headers })).toMatchObject({
    body: 'app.example other.example',
  });
});

it('a pinned address is asked with the Host, SNI and certificate of the name', async () => {
  const own = certificate({ hosts: ['app.example'], issuer: authority });
  const port = await servers.https(own, (request, response) =>
    response.end(`${(request.socket as TLSSocket).servername} ${request.headers.host}`),
  );
  expect(await ask(`https://app.example:${port}/`, { resolve: pinned, tls })).toMatchObject({
    body: `app.example app.example:${port}`,
  });
});

it('another name can be asked in its place, such as the own name of a load balancer', async () => {
  const port = await servers.http((request, response) => response.end(request.headers.host));
  const resolve = new Map([['app.example', ['localhost']]]);
  expect(await ask(`http://app.example:${port}/`, { resolve })).toMatchObject({
    body: `app.example:${port}`,
  });
});

it('a dead address of a name is passed over as browsers do, and told', async () => {
  const port = await servers.http((_, response) => response.end());
  const lookup = async () => [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ];
  expect(await ask(`http://app.example:${port}/`, { lookup })).toMatchObject({
    answered: true,
    address: `127.0.0.1:${port}`,
    passedOver: [{ address: `[::1]:${port}`, code: 'ECONNREFUSED' }],
  });
});

it('a name is looked up for each probe, so that a change of DNS is seen', async () => {
  const port = await servers.http((_, response) => response.end('old'));
  await servers.http((_, response) => response.end('new'), '127.0.0.2', port);
  let address = '127.0.0.1';
  const lookup = async () => [{ address, family: 4 }];
  const before = await ask(`http://app.example:${port}/`, { lookup });
  address = '127.0.0.2';
  expect([before, await ask(`http://app.example:${port}/`, { lookup })]).toMatchObject([
    { body: 'old' },
    { body: 'new' },
  ]);
});

it('a name server that never answers takes no longer than the probe may', async () => {
  const started = performance.now();
  expect(
    await ask('http://app.example/', { lookup: () => new Promise(() => {}), timeout: 200 }),
  ).toMatchObject({ answered: false, kind: 'timeout', message: 'no connection within 200 ms' });
  expect(performance.now() - started).toBeLessThan(5_000);
});

it('headers in time do not excuse a body that is late', async () => {
  const port = await servers.http((_, response) => response.writeHead(200).flushHeaders());
  expect(await ask(`http://127.0.0.1:${port}/`, { timeout: 200 })).toMatchObject({
    answered: false,
    kind: 'timeout',
    message: 'answered 200, but no end of its body within 200 ms',
  });
});

it('a redirect is the answer, with where it leads, and nobody is asked there', async () => {
  let followed = 0;
  const target = await servers.http((_, response) => {
    followed++;
    response.end('the login page');
  });
  const port = await servers.http((_, response) =>
    response.writeHead(302, { location: `http://127.0.0.1:${target}/login` }).end(),
  );
  const sample = await ask(`http://127.0.0.1:${port}/`);
  expect(sample).toMatchObject({ status: 302 });
  expect(observe(sample, { status: [[200, 200]] }).problem).toBe(
    `answered 302, expected 200: redirected to a login page (http://127.0.0.1:${target}/login)`,
  );
  expect(followed).toBe(0);
});

it('a failure is told by its cause, not as "fetch failed"', async () => {
  const port = await servers.nothing();
  expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({
    code: 'ECONNREFUSED',
    message: `connection refused: nothing listens there (127.0.0.1:${port})`,
  });
});

it('a port that browsers block is asked like any other', async () => {
  await servers.http((_, response) => response.end('here'), '127.0.44.1', 6000);
  expect(await ask('http://127.0.44.1:6000/')).toMatchObject({ body: 'here' });
});

it('caches are told not to answer, and one that does is no answer of the app', async () => {
  const port = await servers.http(({ headers }, response) =>
    response.writeHead(200, { 'x-cache': 'Hit from cloudfront', age: '42' }).end(JSON.stringify(headers)),
  );
  const sample = await ask(`http://127.0.0.1:${port}/`);
  expect(sample.answered && JSON.parse(sample.body)).toMatchObject({
    'cache-control': 'no-cache, no-store',
    pragma: 'no-cache',
  });
  expect(observe(sample, { status: [[200, 200]] })).toMatchObject({
    outcome: 'bad',
    unmeasured: true,
    problem: expect.stringContaining('a cache answered, not the app (x-cache: Hit from cloudfront, age: 42)'),
  });
});

it('the User-Agent is fixed, so that a firewall can let it in', async () => {
  const port = await servers.http(({ headers }, response) => response.end(headers['user-agent']));
  expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({
    body: 'lockkeeper-health-gate (+https://github.com/lockkeeper/lockkeeper)',
  });
});

it('a big body is left at 64 KiB, and the server sends little more', async () => {
  let sent = 0;
  const port = await servers.http((_, response) => {
    const chunk = Buffer.alloc(16 * 1024, 'x');
    const feed = () => {
      while (!response.destroyed) {
        sent += chunk.length;
        if (!response.write(chunk)) break;
      }
    };
    response.on('drain', feed);
    feed();
  });
  expect(await ask(`http://127.0.0.1:${port}/`)).toMatchObject({ truncated: true });
  const soon = sent;
  await new Promise((resolve) => setTimeout(resolve, 100));
  // What the two kernels hold between them, and not a byte after the probe hung up.
  expect(sent).toBeLessThan(soon + 1024 * 1024);
  expect(sent).toBeLessThan(16 * 1024 * 1024);
});

it('few samples are no percentile: one slow answer of 19 breaks p95, one of 20 does not, and 5 prove nothing', () => {
  const limits = { maxErrorRate: 0.01, maxP95: 500, minRps: 0, minSamples: 19, maxConnectionErrors: 3 };
  const verdict = (good: number, slow: number, minSamples = 19) => {
    const times = [...Array(good - slow).fill(70), ...Array(slow).fill(900)];
    const tally = { ...emptySoak(), good, slow, times };
    return soakVerdict(tally, { ...limits, minSamples }, 10, { answers: 0, seconds: 0 })?.verdict;
  };
  expect([verdict(19, 1), verdict(20, 1), verdict(5, 0, 20)]).toEqual([
    'unhealthy',
    'healthy',
    'inconclusive',
  ]);
});

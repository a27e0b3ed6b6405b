import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer, connect as netConnect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@lockkeeper/wait';
import { type ProbeTarget, probe } from '../src/index.ts';

const opened: Array<{ close(): unknown }> = [];
afterEach(() => {
  for (const server of opened.splice(0)) server.close();
});

async function serve(listener: RequestListener): Promise<URL> {
  const server: Server = createServer(listener);
  opened.push({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/health`);
}
const ask = (url: URL, part: Partial<ProbeTarget> = {}) =>
  probe({ url, timeout: 1000, ...part }, { clock: systemClock });
const text = (body: string) => (_: IncomingMessage, response: ServerResponse) => void response.end(body);

it('tells status, headers, body, address and time', async () => {
  const url = await serve((_, response) => response.writeHead(201, { 'x-version': 'v2' }).end('hello'));
  expect(await ask(url)).toMatchObject({
    answered: true,
    status: 201,
    body: 'hello',
    truncated: false,
    address: url.host,
    headers: { 'x-version': 'v2' },
    ms: expect.any(Number),
  });
});

it('opens a connection for each probe, so that a load balancer shows every backend', async () => {
  const ports = new Set<number>();
  const url = await serve((request, response) => {
    ports.add(request.socket.remotePort!);
    response.end();
  });
  for (let i = 0; i < 3; i++) await ask(url);
  expect(ports.size).toBe(3);
});

it('asks the pinned address under the name of the URL', async () => {
  let host: string | undefined;
  const url = await serve((request, response) => {
    host = request.headers.host;
    response.end('pinned');
  });
  const named = new URL(`http://app.example:${url.port}/`);
  expect(await ask(named, { resolve: new Map([['app.example', '127.0.0.1']]) })).toMatchObject({
    body: 'pinned',
  });
  expect(host).toBe(`app.example:${url.port}`);
});

it('goes through a tunnel that it is given', async () => {
  const url = await serve(text('through'));
  const asked: string[] = [];
  const sample = await ask(new URL('http://inside:8000/health'), {
    connect: async (host, port) => {
      asked.push(`${host}:${port}`);
      return netConnect(Number(url.port), '127.0.0.1');
    },
  });
  expect([sample, asked]).toMatchObject([{ body: 'through' }, ['inside:8000']]);
});

it('does not follow a redirect', async () => {
  const url = await serve((_, response) =>
    response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
  );
  expect(await ask(url)).toMatchObject({ status: 302 });
});

it('keeps 64 KiB of a body that never ends', async () => {
  const url = await serve((_, response) => {
    const feed = () => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
      if (!response.destroyed) response.once('drain', feed);
    };
    feed();
  });
  expect(await ask(url)).toMatchObject({
    answered: true,
    truncated: true,
    body: expect.stringMatching(/^x{65536}$/),
  });
});

it('does not unpack a gzip bomb', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const url = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
  expect(await ask(url, { timeout: 3000 })).toMatchObject({ answered: true, truncated: true });
});

describe('no answer', () => {
  it('says that nothing listens', async () => {
    const server = createTcpServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await ask(new URL(`http://127.0.0.1:${port}/`))).toMatchObject({
      answered: false,
      kind: 'connect',
      message: `connection refused: nothing listens there (127.0.0.1:${port})`,
    });
  });

  it.each<[string, RequestListener, object]>([
    ['hangs', () => {}, { kind: 'timeout', message: 'no whole answer within 300 ms' }],
    ['resets', (request) => void request.socket.resetAndDestroy(), { kind: 'connect', code: 'ECONNRESET' }],
    ['drips', (_, response) => void response.write('a'), { kind: 'timeout' }],
  ])('when the server %s', async (_, listener, expected) => {
    const started = Date.now();
    expect(await ask(await serve(listener), { timeout: 300 })).toMatchObject({
      answered: false,
      ...expected,
    });
    expect(Date.now() - started).toBeLessThan(1300);
  });

  it('says that it is not HTTP', async () => {
    const server = createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n'));
    opened.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const sample = await ask(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
    expect(sample).toMatchObject({ answered: false, kind: 'protocol' });
  });

  it('says that https met no TLS', async () => {
    const url = await serve(text('plain'));
    url.protocol = 'https:';
    expect(await ask(new URL(`https://127.0.0.1:${url.port}/`))).toMatchObject({
      answered: false,
      kind: 'tls',
    });
  });
});

it('throws the reason of a cancelled probe', async () => {
  const url = await serve(() => {});
  await expect(
    probe({ url, timeout: 5000 }, { clock: systemClock, signal: AbortSignal.timeout(50) }),
  ).rejects.toThrow(/aborted/);
});

it('knows a TCP port that answers', async () => {
  const url = await serve(text(''));
  expect(await ask(new URL(`tcp://127.0.0.1:${url.port}`))).toMatchObject({ answered: true, status: 0 });
});

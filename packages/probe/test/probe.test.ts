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

/** 1 GiB of zeros in 1 MiB: unpacked, it would fill the memory. */
const bomb = Buffer.concat(Array(64).fill(gzipSync(Buffer.alloc(16 * 1024 * 1024))));

async function serve(listener: RequestListener, host = '127.0.0.1'): Promise<URL> {
  const server: Server = createServer(listener);
  opened.push({
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
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
  expect(await ask(named, { resolve: new Map([['app.example', ['127.0.0.1']]]) })).toMatchObject({
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

it.each<[string, RequestListener]>([
  [
    'that never ends',
    (_, response) => {
      const feed = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      };
      response.on('drain', feed);
      feed();
    },
  ],
  [
    'that unpacks to 1 GiB',
    (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
  ],
])('keeps 64 KiB of a body %s, and no more of it in memory', async (_, listener) => {
  const url = await serve(listener);
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  const before = process.memoryUsage().rss;
  const sample = await ask(url, { timeout: 3000 });
  clearInterval(watch);
  expect(sample).toMatchObject({ answered: true, truncated: true });
  expect(sample.answered && sample.body.length).toBe(65_536);
  expect(peak - before).toBeLessThan(128 * 1024 * 1024);
});

it.each<[string, Buffer, string]>([
  ['a byte order mark', Buffer.from('\ufeff{"ok":true}'), '{"ok":true}'],
  ['what is no UTF-8', Buffer.from([0x61, 0xff, 0xfe, 0x62]), 'a\ufffd\ufffdb'],
  ['NUL and escape sequences', Buffer.from('a\0b\u001b[31mc'), 'a\0b\u001b[31mc'],
])('reads a body with %s', async (_, body, read) => {
  expect(await ask(await serve((_, response) => response.end(body)))).toMatchObject({ body: read });
});

it.each([
  ['HEAD', 200],
  ['GET', 204],
  ['GET', 200],
])('takes an empty answer to %s (%d) for whole, though it names a coding', async (method, status) => {
  for (const coding of ['gzip', 'br']) {
    const url = await serve((_, response) =>
      response.writeHead(status, { 'content-encoding': coding }).end(),
    );
    expect(await ask(url, { method })).toMatchObject({ answered: true, status, body: '' });
  }
});

it('takes a switch of protocols that nobody asked for as an answer', async () => {
  const url = await serve(({ socket }) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'),
  );
  expect(await ask(url)).toMatchObject({ answered: true, status: 101, headers: { upgrade: 'h2c' } });
});

it('asks the addresses that are pinned by turns, each for itself', async () => {
  const url = await serve(text('first'));
  const resolve = new Map([['app.example', ['127.0.0.1', '127.0.0.2']]]);
  const named = new URL(`http://app.example:${url.port}/`);
  expect([await ask(named, { resolve, turn: 0 }), await ask(named, { resolve, turn: 1 })]).toMatchObject([
    { answered: true, body: 'first' },
    // Nothing listens on the second, and the first does not stand in for it.
    { answered: false, code: 'ECONNREFUSED' },
  ]);
});

it('asks the pinned address in place of an IPv6 address, too', async () => {
  const { port } = await serve(text('pinned'));
  const resolve = new Map([['[2001:db8::1]', ['127.0.0.1']]]);
  expect(await ask(new URL(`http://[2001:db8::1]:${port}/`), { resolve })).toMatchObject({ body: 'pinned' });
});

it('begins with another address of a name at each turn, IPv4 and IPv6 alike', async () => {
  const { port } = await serve(text('here'), '::');
  const lookup = async () => [
    { address: '127.0.0.1', family: 4 },
    { address: '127.0.0.2', family: 4 },
    { address: '::1', family: 6 },
  ];
  const seen = [];
  for (let turn = 0; turn < 4; turn++)
    seen.push((await ask(new URL(`http://app.example:${port}/`), { lookup, turn })).address);
  expect(seen).toEqual([`127.0.0.1:${port}`, `127.0.0.2:${port}`, `[::1]:${port}`, `127.0.0.1:${port}`]);
});

it('asks an address last that is shunned, and only when no other takes a connection', async () => {
  const { port } = await serve(text('here'), '::');
  const lookup = async () => [
    { address: '127.0.0.1', family: 4 },
    { address: '127.0.0.2', family: 4 },
  ];
  const askTurn = async (turn: number, ...shunned: string[]) => {
    const shun = new Set(shunned.map((address) => `${address}:${port}`));
    return (await ask(new URL(`http://app.example:${port}/`), { lookup, turn, shun })).address;
  };
  expect([
    await askTurn(0, '127.0.0.1'),
    await askTurn(1, '127.0.0.1'),
    await askTurn(0, '127.0.0.1', '127.0.0.2'),
  ]).toEqual([`127.0.0.2:${port}`, `127.0.0.2:${port}`, `127.0.0.1:${port}`]);
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
    ['hangs', () => {}, { kind: 'timeout', message: 'connected, but no answer within 300 ms' }],
    ['resets', (request) => void request.socket.resetAndDestroy(), { kind: 'connect', code: 'ECONNRESET' }],
    [
      'drips',
      (_, response) => {
        const drip = setInterval(() => response.write('a'), 50);
        response.on('close', () => clearInterval(drip));
      },
      { kind: 'timeout', message: 'answered 200, but no end of its body within 300 ms' },
    ],
    [
      'breaks off in the middle of the body',
      (_, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('a');
        setTimeout(() => response.socket?.destroy(), 50);
      },
      { kind: 'connect', message: 'the connection was reset in the middle of the answer' },
    ],
    [
      'closes without an answer',
      (request) => void request.socket.end(),
      { kind: 'connect', message: 'the other side closed the connection without an answer' },
    ],
    [
      'sends what is no gzip as gzip',
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('plain'),
      { kind: 'protocol', message: 'the body is not packed as its Content-Encoding says' },
    ],
    [
      'sends headers without end',
      (request) => {
        request.socket.write('HTTP/1.1 200 OK\r\n');
        const more = setInterval(() => request.socket.write(`X-${'a'.repeat(4000)}: b\r\n`), 5);
        request.socket.on('close', () => clearInterval(more));
      },
      { kind: 'protocol', message: 'the headers of its answer are longer than 16 KiB' },
    ],
    [
      'gives its answer two lengths',
      (request) =>
        void request.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'),
      { kind: 'protocol', message: expect.stringMatching(/^its answer is not valid HTTP: Parse Error: /) },
    ],
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
    expect(sample).toMatchObject({
      answered: false,
      kind: 'protocol',
      message: expect.stringMatching(/^no HTTP is spoken there: /),
    });
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

import { createServer } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@lockkeeper/wait';
import { type WebSocket, WebSocketServer } from 'ws';
import { holdWebSocket, probeWebSocket, type WebSocketTarget } from '../src/websocket.ts';
import { certificate } from './certificate.ts';
import { Servers } from './servers.ts';

const servers = new Servers();
const opened: Array<() => void> = [];
afterEach(() => {
  servers.close();
  for (const close of opened.splice(0)) close();
});

/** A WebSocket server; `meet` gets each connection. */
async function serve(meet: (socket: WebSocket) => void, secure?: { cert: string; key: string }) {
  const http = secure ? createHttps(secure) : createServer();
  const server = new WebSocketServer({ server: http });
  server.on('headers', (headers) => headers.push('X-Version: v2'));
  server.on('connection', meet);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
    http.closeAllConnections();
    http.close();
  });
  return (http.address() as AddressInfo).port;
}

const target = (port: number, part: Partial<WebSocketTarget> = {}) => ({
  url: new URL(`ws://127.0.0.1:${port}/ws`),
  timeout: 2_000,
  ...part,
});
const outside = { clock: systemClock };

describe('a handshake', () => {
  it('is an answer 101 with its headers, and ends with a closing frame', async () => {
    let closing!: (code: number) => void;
    const ended = new Promise<number>((resolve) => {
      closing = resolve;
    });
    const port = await serve((socket) => socket.on('close', closing));
    expect(await probeWebSocket(target(port), outside)).toMatchObject({
      answered: true,
      status: 101,
      headers: { 'x-version': 'v2' },
      address: `127.0.0.1:${port}`,
      connectMs: expect.any(Number),
    });
    expect(await ended).toBe(1000);
  });

  it.each([
    [403, 'you may not', { server: 'cloudflare' }],
    [302, '', { location: 'https://login.example/' }],
    [200, 'a page', {}],
  ])('answered %d is told with its body and headers', async (status, body, headers) => {
    const port = await servers.http((_, response) => response.writeHead(status, headers).end(body));
    expect(await probeWebSocket(target(port), outside)).toMatchObject({
      answered: true,
      status,
      body,
      headers,
    });
  });

  it('verifies the certificate of the name at the address that is pinned for it', async () => {
    const authority = certificate();
    const pinned = {
      resolve: new Map([['app.example', ['127.0.0.1']]]),
      tls: { verify: true, ca: authority.cert },
    };
    const right = await serve(() => {}, certificate({ hosts: ['app.example'], issuer: authority }));
    const wrong = await serve(() => {}, certificate({ hosts: ['other.example'], issuer: authority }));
    const ask = (port: number) =>
      probeWebSocket(target(port, { ...pinned, url: new URL(`wss://app.example:${port}/`) }), outside);
    expect([await ask(right), await ask(wrong)]).toMatchObject([
      { answered: true, status: 101 },
      { answered: false, kind: 'tls', code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    ]);
  });

  it.each<[string, (port: Servers) => Promise<number>, object]>([
    ['nobody listens', (all) => all.nothing(), { kind: 'connect', code: 'ECONNREFUSED' }],
    [
      'nobody answers',
      (all) => all.tcp(() => {}),
      { kind: 'timeout', message: 'connected, but no answer within 200 ms' },
    ],
    ['SSH is spoken', (all) => all.tcp((socket) => socket.end('SSH-2.0-x\r\n')), { kind: 'protocol' }],
    [
      'the key is not proven',
      (all) =>
        all.tcp((socket) =>
          socket.end(
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
          ),
        ),
      { kind: 'connect', message: 'Invalid Sec-WebSocket-Accept header' },
    ],
  ])('fails in words where %s', async (_, open, expected) => {
    const sample = await probeWebSocket(target(await open(servers), { timeout: 200 }), outside);
    expect(sample).toMatchObject({ answered: false, ...expected });
  });
});

describe('a connection that is held', () => {
  it('stays open to the end, and answers the pings of the server', async () => {
    let pongs = 0;
    const port = await serve((socket) => {
      socket.on('pong', () => pongs++);
      socket.ping();
    });
    const held = await holdWebSocket(target(port), 300, outside);
    expect(held).toMatchObject({ opened: { status: 101 } });
    expect(held.cut).toBeUndefined();
    expect(held.ms).toBeGreaterThanOrEqual(299);
    expect(pongs).toBe(1);
  });

  it('says nothing by itself, or an idle timeout would never be met', async () => {
    let heard = 0;
    const port = await serve((socket) => {
      socket.on('message', () => heard++);
      socket.on('ping', () => heard++);
    });
    await holdWebSocket(target(port), 200, outside);
    expect(heard).toBe(0);
  });

  it.each<[string, (socket: WebSocket) => void, object]>([
    ['with its reason', (socket) => socket.close(1012, 'deploying'), { code: 1012, reason: 'deploying' }],
    ['without a frame', (socket) => socket.terminate(), { code: 1006, reason: '' }],
  ])('is found cut %s', async (_, cut, expected) => {
    const port = await serve((socket) => setTimeout(() => cut(socket), 100));
    const held = await holdWebSocket(target(port), 60_000, outside);
    expect(held.cut).toEqual(expected);
    expect(held.ms).toBeLessThan(5_000);
  });

  it('was never open where the handshake is refused', async () => {
    const port = await servers.http((_, response) => response.writeHead(503).end());
    expect(await holdWebSocket(target(port), 60_000, outside)).toMatchObject({
      opened: { status: 503 },
      ms: 0,
    });
  });

  it('is let go at once when the run is cancelled', async () => {
    const port = await serve(() => {});
    const signal = AbortSignal.timeout(100);
    await expect(holdWebSocket(target(port), 60_000, { clock: systemClock, signal })).rejects.toThrow();
  });
});

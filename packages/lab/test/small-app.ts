import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/** An app of a few lines that can be stopped and started again on the same port, and made to misbehave. */
export class SmallApp {
  version: string;
  /** What /health answers. */
  health = 200;
  port = 0;
  /** Requests seen, health checks apart. */
  readonly seen: string[] = [];
  connections = 0;
  /** Connections open now, health checks' too. */
  open = 0;
  /** Requests whose client went away before the answer was complete. */
  abandoned = 0;
  webSockets = new Set<WebSocket>();
  /** Called before the normal answer; true when it has dealt with the request itself. */
  misbehave: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
  #server: Server | undefined;

  constructor(version: string) {
    this.version = version;
  }

  async start(): Promise<this> {
    const server = createServer((request, response) => this.#answer(request, response));
    const sockets = new WebSocketServer({ noServer: true });
    sockets.on('headers', (headers) => headers.push(`x-version: ${this.version}`));
    sockets.on('connection', (socket) => {
      this.webSockets.add(socket);
      socket.on('close', () => this.webSockets.delete(socket));
      socket.on('message', (data) => socket.send(String(data)));
    });
    server.on('upgrade', (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket)),
    );
    server.on('connection', (socket) => {
      this.connections += 1;
      this.open += 1;
      socket.on('close', () => {
        this.open -= 1;
      });
    });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  /** As a careful app stops: no new connections, what is in flight is finished. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.webSockets) socket.close(1001);
    await closed;
  }

  /** As kill -9 stops it. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.webSockets) socket.terminate();
    server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://app');
    response.on('error', () => {});
    response.on('close', () => {
      if (!response.writableFinished) this.abandoned += 1;
    });
    if (url.pathname === '/health') {
      request.resume();
      response.writeHead(this.health).end();
      return;
    }
    this.seen.push(`${request.method} ${request.url}`);
    if (this.misbehave(request, response)) return;
    response.setHeader('x-version', this.version);
    if (url.pathname === '/echo') {
      request.pipe(response);
    } else if (url.pathname === '/slow') {
      setTimeout(() => response.end('slow'), Number(url.searchParams.get('ms')));
    } else if (url.pathname === '/headers') {
      response.end(JSON.stringify(request.headers));
    } else if (url.pathname === '/drip') {
      response.write('first');
      setTimeout(() => response.end('last'), Number(url.searchParams.get('ms')));
    } else {
      response.end('hello');
    }
  }
}

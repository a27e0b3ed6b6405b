import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import type { Certificate } from './certificate.ts';

/** Servers of a test on loopback addresses, closed with all their connections when it ends. */
export class Servers {
  readonly #opened: Array<() => void> = [];

  http(listener: RequestListener, host = '127.0.0.1', port = 0): Promise<number> {
    return this.#listen(createHttp(listener), host, port);
  }

  https({ cert, key }: Certificate, listener: RequestListener, host = '127.0.0.1'): Promise<number> {
    return this.#listen(createHttps({ cert, key }, listener), host, 0);
  }

  tcp(listener: (socket: Socket) => void, host = '127.0.0.1', port = 0): Promise<number> {
    return this.#listen(createTcp(listener), host, port);
  }

  /** A port on which nothing listens. */
  async nothing(): Promise<number> {
    const server = createTcp();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }

  close(): void {
    for (const close of this.#opened.splice(0)) close();
  }

  async #listen(server: Server, host: string, port: number): Promise<number> {
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#opened.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }
}

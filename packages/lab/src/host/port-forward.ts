import { createServer, connect as dial, type Server, type Socket } from 'node:net';

export interface PortForward {
  readonly port: number;
  /** Connections it carries now. */
  readonly connections: number;
  /** Stops listening at once; what is on its way gets `graceMs` to arrive, then everything is cut. */
  close(graceMs: number): Promise<void>;
}

export interface ForwardSettings {
  host: string;
  /** 0: any free one. */
  port: number;
  to: { host: string; port: number };
  /** Address the container sees as its peer: the gateway, as behind Docker's bridge. */
  via: string;
}

/** Publishes a container's port: a TCP forwarder that refuses (resets) when nothing listens behind it. */
export async function forwardPort({ host, port, to, via }: ForwardSettings): Promise<PortForward> {
  const open = new Set<Socket>();
  let closed: Promise<void> | undefined;
  const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    open.add(client);
    client.setNoDelay(true);
    const upstream = dial({
      host: to.host,
      port: to.port,
      localAddress: via,
      allowHalfOpen: true,
      noDelay: true,
    });
    open.add(upstream);
    const abort = () => {
      if (!client.destroyed) client.resetAndDestroy();
      upstream.destroy();
    };
    client.on('error', abort);
    upstream.on('error', abort);
    client.on('close', () => {
      open.delete(client);
      upstream.destroy();
    });
    upstream.on('close', () => {
      open.delete(upstream);
      client.destroy();
    });
    upstream.once('connect', () => {
      client.pipe(upstream);
      upstream.pipe(client);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 511 }, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    get connections() {
      return Math.ceil(open.size / 2);
    },
    async close(graceMs) {
      closed ??= new Promise<void>((resolve) => server.close(() => resolve()));
      const cut = () => {
        for (const socket of open) socket.destroy();
      };
      if (graceMs === 0) cut();
      const timer = setTimeout(cut, graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

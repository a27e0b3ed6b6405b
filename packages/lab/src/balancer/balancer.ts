import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { LabClock } from '../clock.ts';
import { type Resolve, startHealthChecks } from './health-check.ts';
import { type Algorithm, lingersUntil, rotation, routes, routingRules } from './routing.ts';
import { stickiness } from './stickiness.ts';
import { keyOf, type TargetChange, type TargetGroup } from './target-group.ts';
import { TargetPool } from './target-pool.ts';

/**
 * Two kinds of time meet here. What AWS does to membership (lingering, the deregistration delay, slow start, checks)
 * is lab time; what happens to a request on its way (idle, connect and pool limits) is real time, because clients and
 * apps are real.
 */
export interface BalancerSettings {
  clock: LabClock;
  group: TargetGroup;
  resolve: Resolve;
  /** Lab ms that new requests still reach a target after its deregistration, at most to the end of its delay. */
  lingerMs?: number;
  /** Real ms without a byte in either direction before a connection is given up (idle_timeout.timeout_seconds). */
  idleTimeoutMs?: number;
  /** Real ms for a connection to a target to come about. */
  connectTimeoutMs?: number;
  /** Real ms that a connection to a target is kept idle; has to be below the app's own keep-alive limit. */
  poolIdleMs?: number;
  /** What X-Forwarded-Proto says; `https` where the listener would end TLS. */
  forwardedProto?: 'http' | 'https';
  arn?: string;
  random?: () => number;
}

export interface TargetCounts {
  requests: number;
  /** Exchanges under way, WebSockets included. */
  active: number;
  websockets: number;
  /** Requests that broke on the way to or from this target (502, 504, or an answer cut short). */
  broken: number;
  byStatus: Record<number, number>;
}

export interface BalancerCounts {
  requests: number;
  /** Answers that are the balancer's own: no target (503), target failed (502), too slow (504). */
  own: Record<502 | 503 | 504, number>;
  /** What was still in flight when a deregistration delay ended. */
  cut: { requests: number; websockets: number };
  /** By `id:port`. */
  targets: Record<string, TargetCounts>;
}

export interface Balancer {
  readonly url: string;
  readonly arn: string;
  counts(): BalancerCounts;
  /** Whether the WebSocket of the client at that local port was cut because its target's drain ended. */
  cutAtDrainEnd(clientPort: number): boolean;
  /** From now on each request waits so many real ms before it goes to its target; health checks do not. */
  slowBy(ms: number): void;
  close(): Promise<void>;
}

interface Exchange {
  kind: 'request' | 'websocket';
  /** Ends it from the balancer's side. */
  cut(): void;
}

interface Backend {
  pool: TargetPool;
  counts: TargetCounts;
  exchanges: Set<Exchange>;
  retirement?: { cancel(): void };
}

/** Opens a load balancer on loopback that serves `group`: checks its targets and passes requests on to them. */
export async function openBalancer(settings: BalancerSettings): Promise<Balancer> {
  const { clock, group, resolve } = settings;
  const lingerMs = settings.lingerMs ?? 1000;
  const idleTimeoutMs = settings.idleTimeoutMs ?? 60_000;
  const connectTimeoutMs = settings.connectTimeoutMs ?? 10_000;
  const poolIdleMs = settings.poolIdleMs ?? 4000;
  const forwardedProto = settings.forwardedProto ?? 'http';
  const arn =
    settings.arn ??
    group.loadBalancerArns[0] ??
    `arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app/${group.name}/0123456789abcdef`;

  const backends = new Map<string, Backend>();
  const own = { 502: 0, 503: 0, 504: 0 };
  const cut = { requests: 0, websockets: 0 };
  let total = 0;
  const turns = rotation(settings.random ?? Math.random);
  const cutPorts = new Set<number>();
  const upgraded = new Set<Duplex>();
  const held = new Set<NodeJS.Timeout>();
  let slowMs = 0;
  let port = 0;

  const backendOf = (key: string): Backend => {
    let backend = backends.get(key);
    if (backend === undefined) {
      backend = {
        pool: new TargetPool(poolIdleMs),
        counts: { requests: 0, active: 0, websockets: 0, broken: 0, byStatus: {} },
        exchanges: new Set(),
      };
      backends.set(key, backend);
    }
    return backend;
  };

  const follow = (change: TargetChange) => {
    const key = keyOf(change);
    const backend = backendOf(key);
    if (change.state === 'draining') {
      const drain = group.records().find((target) => keyOf(target) === key)?.drain;
      const heard = drain === undefined ? 0 : lingersUntil(drain, lingerMs) - clock.now();
      const { pool } = backend;
      backend.retirement = clock.after(heard, () => pool.retire());
    } else if (change.reason === 'Target.NotRegistered') {
      backend.retirement?.cancel();
      backend.pool.retire();
      for (const exchange of [...backend.exchanges]) {
        cut[exchange.kind === 'websocket' ? 'websockets' : 'requests'] += 1;
        exchange.cut();
      }
      backend.pool = new TargetPool(poolIdleMs);
    } else if (change.reason === 'Elb.RegistrationInProgress') {
      // Back again: what its app kept open from before may be a process that is gone.
      backend.retirement?.cancel();
      backend.pool.retire();
      backend.pool = new TargetPool(poolIdleMs);
    }
  };

  const choose = (headers: IncomingHttpHeaders) => {
    const rules = routingRules(group.attributes, { lingerMs, checksEnabled: group.healthCheck.enabled });
    const present = group.records().filter(({ id, port }) => group.condition(id, port) === 'usable');
    const open = routes(present, rules, clock.now());
    const sticky = stickiness(group.attributes);
    const wanted = sticky?.wanted(headers.cookie);
    const bound = open.find(({ target }) => keyOf(target) === wanted && target.phase !== 'draining');
    const algorithm = (group.attributes.get('load_balancing.algorithm.type') ?? 'round_robin') as Algorithm;
    const route = bound ?? turns.next(open, algorithm, (key) => backends.get(key)?.counts.active ?? 0);
    return route === undefined ? undefined : { key: keyOf(route.target), target: route.target, sticky };
  };

  const forwarded = (incoming: IncomingMessage): OutgoingHttpHeaders => {
    const headers = endToEnd(incoming.headers);
    const from = incoming.socket.remoteAddress ?? '127.0.0.1';
    const before = incoming.headers['x-forwarded-for'];
    headers['x-forwarded-for'] = before === undefined ? from : `${before}, ${from}`;
    headers['x-forwarded-proto'] = forwardedProto;
    headers['x-forwarded-port'] = forwardedProto === 'https' ? '443' : String(port);
    return headers;
  };

  const serve = (incoming: IncomingMessage, answer: ServerResponse) => {
    total += 1;
    const chosen = choose(incoming.headers);
    if (chosen === undefined) {
      own[503] += 1;
      incoming.resume();
      answerSelf(answer, 503);
      return;
    }
    const { key, target, sticky } = chosen;
    const backend = backendOf(key);
    backend.counts.requests += 1;
    backend.counts.active += 1;
    let upstream: ReturnType<typeof request> | undefined;
    let timer: NodeJS.Timeout | undefined;
    let over = false;

    const finish = () => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      backend.exchanges.delete(exchange);
      backend.counts.active -= 1;
    };
    const breakOff = (status: 502 | 504) => {
      if (over) return;
      finish();
      backend.counts.broken += 1;
      upstream?.destroy();
      if (answer.headersSent) {
        // The client has half an answer: only a broken connection tells the truth about it.
        answer.destroy();
        return;
      }
      own[status] += 1;
      incoming.resume();
      answerSelf(answer, status);
    };
    // An in-flight request whose target's delay ends gets a 502 (ELB guide, "Troubleshoot your ALB", HTTP 502).
    const exchange: Exchange = { kind: 'request', cut: () => breakOff(502) };
    backend.exchanges.add(exchange);
    answer.on('close', () => {
      if (over) return;
      finish();
      if (!answer.writableFinished) upstream?.destroy();
    });

    timer = setTimeout(() => breakOff(504), connectTimeoutMs);
    const address = resolve(target.id, target.port);
    // Dropped packets: nothing happens until the time-out.
    if (address === undefined) return;

    const headers = forwarded(incoming);
    const chunked = incoming.headers['transfer-encoding'] !== undefined;
    const hasBody = chunked || incoming.headers['content-length'] !== undefined;
    if (chunked) headers['transfer-encoding'] = 'chunked';
    const { pool } = backend;
    pool.closeStale();
    upstream = request({
      host: address.host,
      port: address.port,
      method: incoming.method,
      path: incoming.url,
      headers,
      agent: pool,
      setDefaultHeaders: false,
      timeout: idleTimeoutMs,
    });
    upstream.on('socket', (socket: Socket) => {
      const connected = () => clearTimeout(timer);
      if (socket.connecting) socket.once('connect', connected);
      else connected();
    });
    upstream.on('timeout', () => breakOff(504));
    // No second try, not even of a GET: an Application Load Balancer does none.
    upstream.on('error', () => breakOff(502));
    upstream.on('response', (response) => {
      if (over) {
        response.destroy();
        return;
      }
      const status = response.statusCode ?? 502;
      backend.counts.byStatus[status] = (backend.counts.byStatus[status] ?? 0) + 1;
      const sent = endToEnd(response.headers);
      answer.sendDate = false;
      answer.writeHead(status, response.statusMessage ?? '', sticky?.bind(sent, key) ?? sent);
      // The app may take long between two parts of an answer: without this the client would not see the first.
      answer.flushHeaders();
      response.on('error', () => breakOff(502));
      response.on('end', () => finish());
      response.pipe(answer);
    });
    if (hasBody) incoming.pipe(upstream);
    else upstream.end();
  };

  const upgrade = (incoming: IncomingMessage, client: Duplex, head: Buffer) => {
    total += 1;
    upgraded.add(client);
    client.on('close', () => upgraded.delete(client));
    client.on('error', () => client.destroy());
    const chosen = choose(incoming.headers);
    if (chosen === undefined) {
      own[503] += 1;
      client.end(rawAnswer(503));
      return;
    }
    const { key, target, sticky } = chosen;
    const backend = backendOf(key);
    backend.counts.requests += 1;
    backend.counts.active += 1;
    backend.counts.websockets += 1;
    let upstream: ReturnType<typeof request> | undefined;
    let remote: Duplex | undefined;
    let timer: NodeJS.Timeout | undefined;
    let over = false;
    const finish = () => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      backend.exchanges.delete(exchange);
      backend.counts.active -= 1;
      backend.counts.websockets -= 1;
      upstream?.destroy();
      remote?.destroy();
    };
    const breakOff = (status: 502 | 504) => {
      if (over) return;
      finish();
      backend.counts.broken += 1;
      if (remote !== undefined) {
        client.destroy();
        return;
      }
      own[status] += 1;
      client.end(rawAnswer(status));
    };
    const exchange: Exchange = {
      kind: 'websocket',
      cut() {
        finish();
        const { remotePort } = incoming.socket;
        if (remotePort !== undefined) cutPorts.add(remotePort);
        client.destroy();
      },
    };
    backend.exchanges.add(exchange);
    client.on('close', finish);

    timer = setTimeout(() => breakOff(504), connectTimeoutMs);
    const address = resolve(target.id, target.port);
    if (address === undefined) return;
    upstream = request({
      host: address.host,
      port: address.port,
      method: incoming.method,
      path: incoming.url,
      headers: { ...forwarded(incoming), connection: 'Upgrade', upgrade: incoming.headers.upgrade },
      agent: false,
      setDefaultHeaders: false,
      timeout: idleTimeoutMs,
    });
    upstream.on('timeout', () => breakOff(504));
    upstream.on('error', () => breakOff(502));
    upstream.on('response', (response) => {
      // The app would not upgrade: its answer is the answer.
      clearTimeout(timer);
      const status = response.statusCode ?? 502;
      backend.counts.byStatus[status] = (backend.counts.byStatus[status] ?? 0) + 1;
      const headers = sticky?.bind(endToEnd(response.headers), key) ?? endToEnd(response.headers);
      client.write(rawHead(status, response.statusMessage ?? '', { ...headers, connection: 'close' }));
      response.on('error', () => breakOff(502));
      response.pipe(client);
    });
    upstream.on('upgrade', (response, socket, first) => {
      clearTimeout(timer);
      if (over) {
        socket.destroy();
        return;
      }
      remote = socket;
      backend.counts.byStatus[101] = (backend.counts.byStatus[101] ?? 0) + 1;
      const headers = sticky?.bind(endToEnd(response.headers), key) ?? endToEnd(response.headers);
      const switched = { ...headers, connection: 'Upgrade', upgrade: response.headers.upgrade };
      client.write(rawHead(101, response.statusMessage ?? '', switched));
      if (first.length > 0) client.write(first);
      if (head.length > 0) socket.write(head);
      socket.on('error', () => client.destroy());
      socket.on('close', () => client.destroy());
      // Bytes in either direction touch both sockets, so one clock is enough.
      (client as Socket).setTimeout(idleTimeoutMs, () => client.destroy());
      socket.setTimeout(0);
      (client as Socket).setNoDelay(true);
      socket.setNoDelay(true);
      socket.pipe(client);
      client.pipe(socket);
    });
    upstream.end();
  };

  const server = createServer({
    keepAliveTimeout: idleTimeoutMs,
    // Uploads may take as long as they like while bytes flow.
    requestTimeout: 0,
  });
  server.on('request', (incoming, answer) => {
    if (slowMs === 0) return serve(incoming, answer);
    const timer = setTimeout(() => {
      held.delete(timer);
      // A client that went meanwhile is nobody's request any more.
      if (!answer.destroyed) serve(incoming, answer);
    }, slowMs);
    held.add(timer);
  });
  server.on('upgrade', upgrade);
  // The number of a port comes back: a new connection has not been cut.
  server.on('connection', (socket) => cutPorts.delete(socket.remotePort ?? 0));
  server.on('clientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;

  const attached = !group.loadBalancerArns.includes(arn);
  if (attached) group.loadBalancerArns.push(arn);
  const unsubscribe = group.onChange(follow);
  const checks = startHealthChecks({ clock, group, resolve });

  return {
    url: `http://127.0.0.1:${port}`,
    arn,
    counts: () => ({
      requests: total,
      own: { ...own },
      cut: { ...cut },
      targets: Object.fromEntries(
        [...backends].map(([key, { counts }]) => [key, { ...counts, byStatus: { ...counts.byStatus } }]),
      ),
    }),
    cutAtDrainEnd: (clientPort) => cutPorts.has(clientPort),
    slowBy(ms) {
      slowMs = ms;
    },
    async close() {
      checks.close();
      for (const timer of held) clearTimeout(timer);
      unsubscribe();
      if (attached) group.loadBalancerArns.splice(group.loadBalancerArns.indexOf(arn), 1);
      const closed = once(server, 'close');
      server.close();
      for (const socket of upgraded) socket.destroy();
      server.closeAllConnections();
      for (const { pool, retirement } of backends.values()) {
        retirement?.cancel();
        pool.destroy();
      }
      await closed;
    },
  };
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers that travel past a proxy (RFC 9110 §7.6.1). */
function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = new Set(
    (headers.connection ?? '')
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  );
  const kept: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !hopByHop.has(name) && !named.has(name)) kept[name] = value;
  }
  return kept;
}

const titles: Record<number, string> = {
  502: '502 Bad Gateway',
  503: '503 Service Temporarily Unavailable',
  504: '504 Gateway Time-out',
};

function page(status: number): string {
  const title = titles[status] ?? String(status);
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`;
}

function answerSelf(answer: ServerResponse, status: number): void {
  const body = page(status);
  answer.writeHead(status, {
    server: 'awselb/2.0',
    'content-type': 'text/html',
    'content-length': Buffer.byteLength(body),
  });
  answer.end(body);
}

function rawHead(status: number, message: string, headers: OutgoingHttpHeaders): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((one) => `${name}: ${one}`),
  );
  return [`HTTP/1.1 ${status} ${message || (STATUS_CODES[status] ?? '')}`, ...lines, '', ''].join('\r\n');
}

function rawAnswer(status: number): string {
  const body = page(status);
  const headers = {
    server: 'awselb/2.0',
    'content-type': 'text/html',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  return rawHead(status, STATUS_CODES[status] ?? '', headers) + body;
}

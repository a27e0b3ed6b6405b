import { type IncomingMessage, request } from 'node:http';
import { WebSocket } from 'ws';
import { seeded } from '../seeded.ts';
import { Latencies } from './latencies.ts';
import { TargetPool } from './target-pool.ts';

export type LoadKind = 'get' | 'post' | 'slow' | 'websocket';

/** All times are real milliseconds: users do not live faster with the lab's clock. */
export interface LoadSettings {
  url: string;
  /** Requests started a second, whatever becomes of the earlier ones. */
  rps: number;
  /** Parts of the traffic, in any unit. */
  mix?: Partial<Record<LoadKind, number>>;
  /** The same seed gives the same kinds, bodies and durations in the same order. */
  seed?: number;
  /** How long a slow request asks the app to take: `/slow?ms=…`. */
  slowMs?: number | readonly [number, number];
  /** How long a WebSocket is held before the client itself closes it. */
  webSocketHoldMs?: number;
  /** Pause between two messages on a WebSocket. */
  webSocketPingMs?: number;
  /** No answer in this time is a failure. */
  timeoutMs?: number;
  /** Sent with each request, e.g. a Host that the app knows. */
  headers?: Record<string, string>;
  /** Tells a WebSocket that ended with its target's drain (`Balancer.cutAtDrainEnd`) from one that was lost. */
  cutAtDrainEnd?: (clientPort: number) => boolean;
  signal?: AbortSignal;
}

export interface LoadFailure {
  /** Real milliseconds since the load began. */
  at: number;
  kind: LoadKind;
  reason: string;
  version?: string;
}

export interface KindReport {
  requests: number;
  failed: number;
  p50: number;
  p95: number;
  max: number;
}

export interface LoadSecond {
  second: number;
  /** Finished in this second. */
  requests: number;
  failed: number;
  versions: Record<string, number>;
}

/** Counts are of finished requests; a WebSocket is one request. Latencies in milliseconds, of GET and POST. */
export interface LoadReport {
  requests: number;
  failed: number;
  inFlight: number;
  /** WebSockets that ended because their target's deregistration delay did; not among `failed`. */
  websocketsCut: number;
  seconds: number;
  byKind: Record<LoadKind, KindReport>;
  /** The first thousand, oldest first; `failed` counts them all. */
  failures: LoadFailure[];
  /** Answers by the version that gave them. */
  versions: Record<string, number>;
  perSecond: LoadSecond[];
  p50: number;
  p95: number;
  max: number;
}

export interface Load {
  snapshot(): LoadReport;
  /** Starts no more, waits for what is in flight, closes WebSockets, and answers the final report. */
  stop(): Promise<LoadReport>;
}

type Outcome = { ok: true; version?: string } | { ok: false; reason: string; version?: string } | 'cut';

const kinds = ['get', 'post', 'slow', 'websocket'] as const;
const failuresKept = 1000;
const bodyKept = 65_536;

/** Starts an open-loop load on `url`, as browsers would make it: kept-alive connections, no retries. */
export function startLoad(settings: LoadSettings): Load {
  const { rps, webSocketHoldMs = 10_000, webSocketPingMs = 1000, timeoutMs = 30_000 } = settings;
  const mix = settings.mix ?? { get: 70, post: 20, slow: 9, websocket: 1 };
  const base = new URL(settings.url);
  if (base.protocol !== 'http:') throw new RangeError(`the load needs an http URL, not ${settings.url}`);
  if (!(rps > 0)) throw new RangeError(`requests a second is a number above 0, not ${rps}`);
  const whole = kinds.reduce((sum, kind) => sum + (mix[kind] ?? 0), 0);
  if (!(whole > 0)) throw new RangeError('the mix of requests has no part above 0');
  const [slowFrom, slowTo] =
    typeof settings.slowMs === 'object' ? settings.slowMs : [settings.slowMs ?? 2000];

  const random = seeded(settings.seed ?? 1);
  const pool = new TargetPool(2000);
  const started = performance.now();
  const all = new Latencies();
  const latencies = {
    get: new Latencies(),
    post: new Latencies(),
    slow: new Latencies(),
    websocket: new Latencies(),
  };
  const tally = (): Record<LoadKind, number> => ({ get: 0, post: 0, slow: 0, websocket: 0 });
  const requests = tally();
  const failed = tally();
  const failures: LoadFailure[] = [];
  const versions: Record<string, number> = {};
  const perSecond: LoadSecond[] = [];
  const pending = new Set<Promise<void>>();
  const leaveSockets = new Set<() => void>();
  let websocketsCut = 0;
  let launched = 0;
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;

  const record = (kind: LoadKind, due: number, outcome: Outcome) => {
    const now = performance.now();
    const second = Math.floor((now - started) / 1000);
    while (perSecond.length <= second) {
      perSecond.push({ second: perSecond.length, requests: 0, failed: 0, versions: {} });
    }
    const bucket = perSecond[second]!;
    requests[kind] += 1;
    bucket.requests += 1;
    // From when it was due, not from when we got round to it: a stalled generator must not hide a stall.
    latencies[kind].add(now - due);
    if (kind === 'get' || kind === 'post') all.add(now - due);
    if (outcome === 'cut') {
      websocketsCut += 1;
      return;
    }
    if (outcome.version !== undefined) {
      versions[outcome.version] = (versions[outcome.version] ?? 0) + 1;
      bucket.versions[outcome.version] = (bucket.versions[outcome.version] ?? 0) + 1;
    }
    if (outcome.ok) return;
    failed[kind] += 1;
    bucket.failed += 1;
    if (failures.length < failuresKept) {
      const { reason, version } = outcome;
      failures.push({
        at: Math.round(now - started),
        kind,
        reason,
        ...(version === undefined ? {} : { version }),
      });
    }
  };

  const exchange = (method: 'GET' | 'POST', path: string, body?: string): Promise<Outcome> =>
    new Promise((resolve) => {
      let clock: NodeJS.Timeout | undefined;
      const end = (outcome: Outcome) => {
        clearTimeout(clock);
        resolve(outcome);
      };
      pool.closeStale();
      const sending = request({
        host: base.hostname,
        port: base.port,
        path,
        method,
        agent: pool,
        headers: {
          ...settings.headers,
          ...(body === undefined
            ? {}
            : { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body) }),
        },
      });
      clock = setTimeout(() => {
        end({ ok: false, reason: `no answer in ${timeoutMs} ms` });
        sending.destroy();
      }, timeoutMs);
      sending.on('error', (error: NodeJS.ErrnoException) => end({ ok: false, reason: inWords(error) }));
      sending.on('response', (response) => {
        const parts: Buffer[] = [];
        let kept = 0;
        response.on('data', (part: Buffer) => {
          if (kept < bodyKept) parts.push(part);
          kept += part.length;
        });
        response.on('error', () => end({ ok: false, reason: 'the answer was cut short' }));
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          const version = versionOf(response, text);
          const seen = version === undefined ? {} : { version };
          const status = response.statusCode ?? 0;
          if (status < 200 || status > 299) end({ ok: false, reason: `status ${status}`, ...seen });
          else if (body !== undefined && !carries(response, text, body))
            end({ ok: false, reason: 'wrong body', ...seen });
          else end({ ok: true, ...seen });
        });
      });
      sending.end(body);
    });

  const hold = (): Promise<Outcome> =>
    new Promise((resolve) => {
      const socket = new WebSocket(new URL('/ws', base.href.replace(/^http/, 'ws')), {
        perMessageDeflate: false,
        handshakeTimeout: timeoutMs,
        ...(settings.headers === undefined ? {} : { headers: settings.headers }),
      });
      let port = 0;
      let version: string | undefined;
      let waitingFor: string | undefined;
      let count = 0;
      let ping: NodeJS.Timeout | undefined;
      let answer: NodeJS.Timeout | undefined;
      let leaving: NodeJS.Timeout | undefined;
      let left = false;
      let done = false;
      const end = (outcome: Outcome) => {
        if (done) return;
        done = true;
        clearTimeout(ping);
        clearTimeout(answer);
        clearTimeout(leaving);
        leaveSockets.delete(leave);
        resolve(outcome);
      };
      const fail = (reason: string) => {
        end({ ok: false, reason, ...(version === undefined ? {} : { version }) });
        socket.terminate();
      };
      const leave = () => {
        if (left) return;
        left = true;
        clearTimeout(ping);
        if (socket.readyState === WebSocket.OPEN) socket.close(1000);
      };
      const say = () => {
        count += 1;
        waitingFor = `ping ${count}`;
        socket.send(waitingFor);
        answer = setTimeout(() => fail(`no answer on the WebSocket in ${timeoutMs} ms`), timeoutMs);
      };
      leaveSockets.add(leave);
      socket.on('upgrade', (response) => {
        port = response.socket.localPort ?? 0;
        version = headerVersion(response);
      });
      socket.on('unexpected-response', (_request, response) => fail(`status ${response.statusCode}`));
      socket.on('open', () => {
        if (left) {
          socket.close(1000);
          return;
        }
        leaving = setTimeout(leave, webSocketHoldMs);
        say();
      });
      socket.on('message', (data) => {
        if (waitingFor === undefined) return;
        clearTimeout(answer);
        if (!String(data).includes(waitingFor)) {
          fail('wrong message on the WebSocket');
          return;
        }
        waitingFor = undefined;
        if (!left) ping = setTimeout(say, webSocketPingMs);
      });
      socket.on('error', (error: NodeJS.ErrnoException) => fail(inWords(error)));
      socket.on('close', (code) => {
        const seen = version === undefined ? {} : { version };
        if (settings.cutAtDrainEnd?.(port) === true) end('cut');
        // A close that we asked for and that was answered; anything else was done to us.
        else if (left && (code === 1000 || code === 1005)) end({ ok: true, ...seen });
        else end({ ok: false, reason: `WebSocket closed by the other side (${code})`, ...seen });
      });
    });

  const perform: Record<LoadKind, () => Promise<Outcome>> = {
    get: () => exchange('GET', '/'),
    post: () => exchange('POST', '/echo', text(random)),
    slow: () => {
      const ms = slowTo === undefined ? slowFrom : slowFrom + (slowTo - slowFrom) * random();
      return exchange('GET', `/slow?ms=${Math.round(ms)}`);
    },
    websocket: hold,
  };

  const pick = (): LoadKind => {
    let left = random() * whole;
    for (const kind of kinds) {
      left -= mix[kind] ?? 0;
      if (left < 0) return kind;
    }
    return 'get';
  };

  const tick = () => {
    const now = performance.now();
    for (;;) {
      const due = started + (launched * 1000) / rps;
      if (stopping) return;
      if (due > now) {
        timer = setTimeout(tick, due - now);
        return;
      }
      launched += 1;
      const kind = pick();
      const one = perform[kind]().then((outcome) => {
        record(kind, due, outcome);
        pending.delete(one);
      });
      pending.add(one);
    }
  };

  const quit = () => {
    stopping = true;
    clearTimeout(timer);
    for (const leave of [...leaveSockets]) leave();
  };
  settings.signal?.addEventListener('abort', quit, { once: true });
  if (settings.signal?.aborted) quit();
  tick();

  const snapshot = (): LoadReport => ({
    requests: sum(requests),
    failed: sum(failed),
    inFlight: pending.size,
    websocketsCut,
    seconds: (performance.now() - started) / 1000,
    byKind: {
      get: kindReport(requests.get, failed.get, latencies.get),
      post: kindReport(requests.post, failed.post, latencies.post),
      slow: kindReport(requests.slow, failed.slow, latencies.slow),
      websocket: kindReport(requests.websocket, failed.websocket, latencies.websocket),
    },
    failures: [...failures],
    versions: { ...versions },
    perSecond: perSecond.map((bucket) => ({ ...bucket, versions: { ...bucket.versions } })),
    p50: all.percentile(50),
    p95: all.percentile(95),
    max: all.max,
  });

  return {
    snapshot,
    async stop() {
      quit();
      await Promise.all(pending);
      settings.signal?.removeEventListener('abort', quit);
      const report = snapshot();
      pool.destroy();
      return report;
    },
  };
}

function sum(counts: Record<LoadKind, number>): number {
  return kinds.reduce((total, kind) => total + counts[kind], 0);
}

function kindReport(requests: number, failed: number, latencies: Latencies): KindReport {
  return {
    requests,
    failed,
    p50: latencies.percentile(50),
    p95: latencies.percentile(95),
    max: latencies.max,
  };
}

/** Some hundred characters, not all of them ASCII: a broken length or encoding shows in the echo. */
function text(random: () => number): string {
  const length = 20 + Math.floor(random() * 400);
  const letters = 'abcdefghijklmnopqrstuvwxyz 0123456789 äß한글🚢';
  const symbols = [...letters];
  return Array.from({ length }, () => symbols[Math.floor(random() * symbols.length)]).join('');
}

/** Whether an answer is what was sent, or a JSON answer that holds it. */
function carries(response: IncomingMessage, answer: string, sent: string): boolean {
  if (answer === sent) return true;
  return response.headers['content-type']?.includes('json') === true && answer.includes(sent);
}

function headerVersion(response: IncomingMessage): string | undefined {
  const header = response.headers['x-version'];
  return typeof header === 'string' ? header : undefined;
}

function versionOf(response: IncomingMessage, body: string): string | undefined {
  const header = headerVersion(response);
  if (header !== undefined) return header;
  if (!response.headers['content-type']?.includes('json')) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null || !('version' in value)) return undefined;
    return typeof value.version === 'string' ? value.version : undefined;
  } catch {
    return undefined;
  }
}

function inWords(error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNRESET') return 'connection reset';
  if (error.code === 'ECONNREFUSED') return 'connection refused';
  return error.code ?? error.message;
}

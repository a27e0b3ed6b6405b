import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getCACertificates, connect as tlsConnect } from 'node:tls';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { type Clock, formatDuration } from '@lockkeeper/wait';
import { explainNoAnswer } from './no-answer.ts';
import type { Sample } from './sample.ts';

export interface ProbeTarget {
  /** http, https or tcp. */
  url: URL;
  method?: string;
  headers?: Record<string, string>;
  /** Host name → address to ask instead of what the name resolves to; Host, SNI and certificate stay the name's. */
  resolve?: ReadonlyMap<string, string>;
  /** Milliseconds for the whole: connect, headers and body. */
  timeout: number;
  /** `ca`: PEM certificates trusted besides those that Node trusts anyway. */
  tls?: { verify: boolean; ca?: string };
  /** Opens the connection, e.g. through an SSH tunnel. */
  connect?: (host: string, port: number) => Promise<Duplex>;
}

const bodyLimit = 64 * 1024;
const userAgent = 'lockkeeper-health-gate (+https://github.com/lockkeeper/lockkeeper)';

class ProbeTimeout extends Error {
  readonly code = 'ETIMEDOUT';
}

/**
 * Asks once, over a fresh connection: a kept-alive one sticks to a backend and would never see the new
 * build. Redirects are answers, not followed. Never throws for what the other side does.
 */
export async function probe(
  target: ProbeTarget,
  { clock, signal }: { clock: Clock; signal?: AbortSignal },
): Promise<Sample> {
  signal?.throwIfAborted();
  const at = clock.now();
  const stop = new AbortController();
  const awaited = target.url.protocol === 'tcp:' ? 'no connection' : 'no whole answer';
  const timer = setTimeout(
    () => stop.abort(new ProbeTimeout(`${awaited} within ${formatDuration(target.timeout)}`)),
    target.timeout,
  );
  const cancel = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', cancel, { once: true });
  const seen = { address: '' };
  try {
    const answer =
      target.url.protocol === 'tcp:'
        ? await connectOnly(target, seen, stop.signal)
        : await ask(target, seen, stop.signal);
    return { answered: true, at, ms: clock.now() - at, address: seen.address, ...answer };
  } catch (error) {
    signal?.throwIfAborted();
    const cause = stop.signal.aborted ? stop.signal.reason : error;
    const explained =
      cause instanceof ProbeTimeout
        ? { kind: 'timeout' as const, code: cause.code, message: cause.message }
        : explainNoAnswer(cause);
    return { answered: false, at, ms: clock.now() - at, address: seen.address, ...explained };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, '');
const portOf = (url: URL) => Number(url.port) || (url.protocol === 'https:' ? 443 : 80);

async function connectOnly(target: ProbeTarget, seen: { address: string }, signal: AbortSignal) {
  const socket = await openSocket(target, signal);
  seen.address = remoteOf(socket);
  socket.destroy();
  return { status: 0, headers: {}, body: '', truncated: false };
}

function openSocket({ url, resolve, connect }: ProbeTarget, signal: AbortSignal): Promise<Duplex> {
  const host = resolve?.get(hostOf(url)) ?? hostOf(url);
  if (connect) return connect(host, portOf(url));
  return new Promise((done, reject) => {
    const socket = netConnect({ host, port: portOf(url), autoSelectFamilyAttemptTimeout: 2500 });
    const abort = () => socket.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      done(socket);
    });
    socket.once('error', reject);
  });
}

async function ask(target: ProbeTarget, seen: { address: string }, signal: AbortSignal) {
  const { url, method = 'GET', headers = {}, tls, connect } = target;
  const secure = url.protocol === 'https:';
  const trust = {
    servername: isIP(hostOf(url)) ? undefined : hostOf(url),
    rejectUnauthorized: tls?.verify ?? true,
    // What is given as `ca` counts in place of the default, not besides it.
    ca: tls?.ca ? [...getCACertificates('default'), tls.ca] : undefined,
  };
  const options: RequestOptions & Partial<typeof trust> = {
    method,
    // Without an agent Node never reuses a socket; with `false` it would not ask createConnection either.
    agent: connect ? undefined : false,
    signal,
    headers: {
      'user-agent': userAgent,
      accept: '*/*',
      connection: 'close',
      'accept-encoding': 'identity',
      'cache-control': 'no-cache, no-store',
      pragma: 'no-cache',
      ...headers,
    },
    ...(secure ? trust : {}),
    // 250 ms an address, Node's own choice, is too short for a busy load balancer.
    ...({ autoSelectFamilyAttemptTimeout: 2500 } as object),
  };
  const pinned = target.resolve?.get(hostOf(url));
  if (pinned) options.lookup = pinLookup(pinned);
  if (connect) {
    const socket = await connect(pinned ?? hostOf(url), portOf(url));
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    options.createConnection = () =>
      (secure ? tlsConnect({ socket: socket as Socket, ...trust }) : socket) as Socket;
  }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(url, options, resolve);
    request.on('socket', (socket) => {
      const note = () => {
        seen.address = remoteOf(socket);
      };
      if (socket.connecting) socket.once('connect', note);
      else note();
    });
    request.once('error', reject);
    request.end();
  });
  const { body, truncated } = await readBody(response, signal);
  response.destroy();
  const flat = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
  return { status: response.statusCode ?? 0, headers: Object.fromEntries(flat), body, truncated };
}

function pinLookup(address: string): NonNullable<RequestOptions['lookup']> {
  // An address is taken as it is; a name, such as a load balancer's own, is looked up in place of the URL's.
  const family = isIP(address);
  return (_host, options, callback) => {
    if (family === 0) {
      import('node:dns').then(({ lookup }) => lookup(address, options as object, callback as never));
      return;
    }
    if (options.all) (callback as (e: null, a: object[]) => void)(null, [{ address, family }]);
    else callback(null, address, family);
  };
}

const remoteOf = (socket: Duplex) => {
  const { remoteAddress, remotePort } = socket as Socket;
  return remoteAddress ? `${remoteAddress}:${remotePort}` : '';
};

const decoders: Record<string, () => NodeJS.ReadWriteStream> = {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** At most 64 KiB of decoded body; the rest is left unread, however much it unpacks to. */
async function readBody(
  response: IncomingMessage,
  signal: AbortSignal,
): Promise<{ body: string; truncated: boolean }> {
  const decoder = decoders[String(response.headers['content-encoding'] ?? '')]?.();
  const stream = (decoder ? response.pipe(decoder) : response) as AsyncIterable<Buffer>;
  if (decoder) response.once('error', (error) => (decoder as unknown as Duplex).destroy(error));
  const abort = () => (stream as unknown as Duplex).destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > bodyLimit) break;
    }
  } finally {
    signal.removeEventListener('abort', abort);
  }
  return { body: Buffer.concat(chunks).subarray(0, bodyLimit).toString('utf8'), truncated: size > bodyLimit };
}

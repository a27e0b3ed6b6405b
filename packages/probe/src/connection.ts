import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, getCACertificates, type SecureContext, connect as tlsConnect } from 'node:tls';
import { endpoint, type PassedOver } from './sample.ts';

/** Whom to believe; `ca`: PEM certificates trusted besides those that Node trusts anyway. */
export interface Trust {
  readonly verify: boolean;
  readonly ca?: string;
}

/** Where a connection leads, and what must be true of it. */
export interface ConnectionTarget {
  /** http, https, ws, wss or tcp. */
  url: URL;
  /**
   * Host as the URL spells it → the addresses (or other names) to ask in its place, one after another by `turn`; Host, SNI and
   * certificate stay the name's.
   */
  resolve?: ReadonlyMap<string, readonly string[]>;
  /** Which of several addresses comes first: count it up, and each address of the host gets its turn. */
  turn?: number;
  tls?: Trust;
  /** Addresses (`192.0.2.1:443`) that are asked last, because they took no connection before. */
  shun?: ReadonlySet<string>;
  /** Every address of a name; the system's resolver unless given. Asked anew for each connection. */
  lookup?: (name: string) => Promise<LookupAddress[]>;
  /** Opens the connection, e.g. through an SSH tunnel. */
  connect?: (host: string, port: number) => Promise<Duplex>;
}

/** What became known on the way, also when it led nowhere. */
export interface Seen {
  address: string;
  passedOver: PassedOver[];
  /** What is waited for, as a time-out says it: `no connection`. */
  missing: string;
  /** What may be the cause, in brackets. */
  hint: string;
  connected(): void;
}

// Node's own choice, 250 ms an address, is too short for a busy load balancer.
const attemptTimeout = 2500;

export const hostOf = (url: URL) => url.hostname.replace(/^\[|\]$/g, '');
export const isSecure = (url: URL) => url.protocol === 'https:' || url.protocol === 'wss:';
const portOf = (url: URL) => Number(url.port) || (isSecure(url) ? 443 : 80);

/**
 * Opens a fresh connection, secured where the URL says so. When the first address of a name takes none, the
 * next is asked, as browsers do; a pinned address stands alone.
 */
export async function openConnection(
  target: ConnectionTarget,
  seen: Seen,
  signal: AbortSignal,
): Promise<Duplex> {
  const socket = await openPlain(target, seen, signal);
  try {
    const connection = isSecure(target.url) ? await secure(socket, target, seen, signal) : socket;
    seen.connected();
    return connection;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function openPlain(target: ConnectionTarget, seen: Seen, signal: AbortSignal): Promise<Duplex> {
  const { url, connect } = target;
  if (connect) {
    const socket = await unlessAborted(
      signal,
      connect(pinnedFor(target) ?? hostOf(url), portOf(url)),
      (late) => late.destroy(),
    );
    socket.on('error', () => {});
    signal.addEventListener('abort', () => socket.destroy(signal.reason), { once: true });
    return socket;
  }
  const addresses = await addressesOf(target, signal);
  seen.hint = ' (a firewall or security group that drops?)';
  return connectToFirst(addresses, portOf(url), seen, signal);
}

const pinnedFor = ({ url, resolve, turn = 0 }: ConnectionTarget): string | undefined => {
  const pinned = resolve?.get(url.hostname);
  return pinned?.[turn % pinned.length];
};

/** The addresses to try, the one whose turn it is first. A name without any is an error of the lookup. */
async function addressesOf(target: ConnectionTarget, signal: AbortSignal): Promise<LookupAddress[]> {
  const name = pinnedFor(target) ?? hostOf(target.url);
  const family = isIP(name);
  if (family !== 0) return [{ address: name, family }];
  const { lookup = (asked) => systemLookup(asked, { all: true, order: 'verbatim' }) } = target;
  const found = await unlessAborted(signal, lookup(name));
  const port = portOf(target.url);
  const shunned = (one: LookupAddress) => target.shun?.has(endpoint(one.address, port)) ?? false;
  const wanted = found.filter((one) => !shunned(one));
  const first = (target.turn ?? 0) % Math.max(1, wanted.length);
  return [...wanted.slice(first), ...wanted.slice(0, first), ...found.filter(shunned)];
}

function connectToFirst(
  addresses: LookupAddress[],
  port: number,
  seen: Seen,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({
      // Any name will do: what it resolves to is given.
      host: addresses.length === 1 ? addresses[0]!.address : 'several.invalid',
      port,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: attemptTimeout,
      lookup: (_name, _options, callback) =>
        (callback as (error: null, all: LookupAddress[]) => void)(null, addresses),
    });
    const passOver = (address: string, code: string) =>
      seen.passedOver.push({ address: endpoint(address, port), code });
    socket.on('connectionAttemptFailed', (address, _port, _family, error) =>
      passOver(address, (error as NodeJS.ErrnoException).code ?? 'unknown'),
    );
    socket.on('connectionAttemptTimeout', (address) => passOver(address, 'ETIMEDOUT'));
    signal.addEventListener('abort', () => socket.destroy(signal.reason), { once: true });
    socket.on('error', reject);
    socket.once('connect', () => {
      seen.address = endpoint(socket.remoteAddress ?? '', socket.remotePort);
      resolve(socket);
    });
  });
}

function secure(
  socket: Duplex,
  { url, tls }: ConnectionTarget,
  seen: Seen,
  signal: AbortSignal,
): Promise<Duplex> {
  const host = hostOf(url);
  seen.missing = 'connected, but no end of the TLS handshake';
  seen.hint = '';
  return new Promise((resolve, reject) => {
    const secured = tlsConnect({
      socket: socket as Socket,
      host,
      // An address is verified, but never asked for by SNI (RFC 6066, 3).
      servername: isIP(host) ? undefined : host,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: tls?.verify ?? true,
      secureContext: tls && contextOf(tls),
    });
    signal.addEventListener('abort', () => secured.destroy(signal.reason), { once: true });
    secured.on('error', reject);
    secured.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ERR_TLS_CLOSED' })));
    secured.once('secureConnect', () => resolve(secured));
  });
}

const contexts = new WeakMap<Trust, SecureContext>();

/** Made once for each object: to read some 150 authorities takes longer than to ask. */
function contextOf(trust: Trust): SecureContext | undefined {
  if (!trust.ca) return undefined;
  const known = contexts.get(trust);
  if (known) return known;
  // What is given as `ca` counts in place of the default, not besides it.
  const made = createSecureContext({ ca: [...getCACertificates('default'), trust.ca] });
  contexts.set(trust, made);
  return made;
}

/** What was promised, or the signal's reason as soon as it is aborted: getaddrinfo cannot be cancelled. */
function unlessAborted<T>(signal: AbortSignal, promised: Promise<T>, late?: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      promised.then(late, () => {});
      reject(signal.reason);
    };
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promised.then(resolve, reject);
  });
}

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { attempt, type Outside } from './attempt.ts';
import { readBody } from './body.ts';
import { type ConnectionTarget, isSecure, openConnection, type Seen } from './connection.ts';
import type { Answered, Sample } from './sample.ts';

/** What to ask: http, https or tcp. */
export interface ProbeTarget extends ConnectionTarget {
  method?: string;
  headers?: Record<string, string>;
  /** Milliseconds for the whole: connect, headers and body. */
  timeout: number;
}

const userAgent = 'lockkeeper-health-gate (+https://github.com/lockkeeper/lockkeeper)';

/** Headers of every question: by whom, and that no cache may answer. Given ones win, whatever their case. */
export function askingHeaders(given: Record<string, string> = {}): Record<string, string> {
  const lowered = Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    'user-agent': userAgent,
    accept: '*/*',
    'cache-control': 'no-cache, no-store',
    pragma: 'no-cache',
    ...Object.fromEntries(lowered),
  };
}

/**
 * Asks once, over a fresh connection: a kept-alive one sticks to a backend and would never see the new
 * build. Redirects are answers, not followed. Never throws for what the other side does.
 */
export function probe(target: ProbeTarget, outside: Outside): Promise<Sample> {
  return attempt(target.timeout, outside, async (seen, signal) => {
    const socket = await openConnection(target, seen, signal);
    try {
      if (target.url.protocol === 'tcp:') return { status: 0, headers: {}, body: '', truncated: false };
      return await askOver(socket, target, seen, signal);
    } finally {
      socket.destroy();
    }
  });
}

function askOver(socket: Duplex, target: ProbeTarget, seen: Seen, signal: AbortSignal): Promise<Answered> {
  const { url, method = 'GET', headers } = target;
  return new Promise((resolve, reject) => {
    // Not left to the request: one that answers by other events, such as CONNECT, ends without a word.
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const request = (isSecure(url) ? httpsRequest : httpRequest)(
      url,
      {
        method,
        signal,
        // Without an agent, which an `agent` of false would still make, the socket is asked for and used once.
        agent: undefined,
        createConnection: () => socket as never,
        headers: { connection: 'close', 'accept-encoding': 'identity', ...askingHeaders(headers) },
      },
      (response) => answerOf(response, seen, signal).then(resolve, reject),
    );
    request.on('upgrade', (response) =>
      resolve({ status: 101, headers: headersOf(response), body: '', truncated: false }),
    );
    request.on('error', reject);
    request.end();
  });
}

/** Status, headers and as much of the body as is kept. */
export async function answerOf(
  response: IncomingMessage,
  seen: Seen,
  signal: AbortSignal,
): Promise<Answered> {
  seen.missing = `answered ${response.statusCode}, but no end of its body`;
  const { body, truncated } = await readBody(response, signal);
  return { status: response.statusCode ?? 0, headers: headersOf(response), body, truncated };
}

/** By name in lower case; one that came several times is joined. */
export const headersOf = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));

import { WebSocket } from 'ws';
import { attempt, type Outside } from './attempt.ts';
import { type ConnectionTarget, openConnection, type Seen } from './connection.ts';
import { answerOf, askingHeaders, headersOf } from './probe.ts';
import type { Answered, Sample } from './sample.ts';

/** A ws or wss URL, and how to ask it. */
export interface WebSocketTarget extends ConnectionTarget {
  headers?: Record<string, string>;
  /** Milliseconds for connecting and the handshake. */
  timeout: number;
}

/** How a connection ended that was not ended by us. */
export interface Cut {
  /** RFC 6455, 7.4: 1006 when there was no closing frame. */
  code: number;
  reason: string;
}

/** What became of a connection that was to stay open. */
export interface Held {
  /** The handshake. */
  opened: Sample;
  /** Milliseconds that it stayed open. */
  ms: number;
  /** Present when the other side ended it. */
  cut?: Cut;
}

/** More than an app pushes at once; what is longer is not kept, and ends the connection. */
const longestMessage = 16 * 1024 * 1024;
const closingTime = 1000;

interface Opened {
  socket: WebSocket;
  ended: Promise<Cut>;
}

/** Makes one handshake and closes again. A redirect or an error is an answer with its own status; success has 101. */
export async function probeWebSocket(target: WebSocketTarget, outside: Outside): Promise<Sample> {
  const { sample, opened } = await open(target, outside);
  if (opened) await close(opened);
  return sample;
}

/**
 * Opens a connection and leaves it idle for `ms`, but for the pongs that the server asks for: what ends it
 * sooner would end a user's as well.
 */
export async function holdWebSocket(target: WebSocketTarget, ms: number, outside: Outside): Promise<Held> {
  const { clock, signal } = outside;
  const { sample, opened } = await open(target, outside);
  if (!opened) return { opened: sample, ms: 0 };
  const from = clock.now();
  const enough = new AbortController();
  const stop = signal ? AbortSignal.any([signal, enough.signal]) : enough.signal;
  try {
    const cut = await Promise.race([opened.ended, clock.sleep(ms, stop)]);
    return { opened: sample, ms: clock.now() - from, ...(cut ? { cut } : {}) };
  } finally {
    enough.abort();
    await close(opened);
  }
}

async function open(target: WebSocketTarget, outside: Outside): Promise<{ sample: Sample; opened?: Opened }> {
  let opened: Opened | undefined;
  const sample = await attempt(target.timeout, outside, async (seen, signal) => {
    const connection = await openConnection(target, seen, signal);
    const socket = new WebSocket(target.url, {
      createConnection: () => connection as never,
      headers: askingHeaders(target.headers),
      perMessageDeflate: false,
      maxPayload: longestMessage,
    });
    const ended = endOf(socket);
    try {
      const answered = await shakeHands(socket, seen, signal);
      if (answered.status === 101) opened = { socket, ended };
      return answered;
    } finally {
      if (!opened) connection.destroy();
    }
  });
  return { sample, ...(opened ? { opened } : {}) };
}

function shakeHands(socket: WebSocket, seen: Seen, signal: AbortSignal): Promise<Answered> {
  return new Promise((resolve, reject) => {
    let headers: Record<string, string> = {};
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    socket.on('error', reject);
    socket.once('upgrade', (response) => {
      headers = headersOf(response);
    });
    socket.once('unexpected-response', (_request, response) => {
      answerOf(response, seen, signal).then(resolve, reject);
    });
    socket.once('open', () => resolve({ status: 101, headers, body: '', truncated: false }));
  });
}

function endOf(socket: WebSocket): Promise<Cut> {
  let fault = '';
  socket.on('error', ({ message }) => {
    fault = message;
  });
  return new Promise((resolve) =>
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') || fault })),
  );
}

/** Takes leave as the protocol asks, so that the app logs no broken connection; the other side has 1 s for it. */
async function close({ socket, ended }: Opened): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return;
  const impatience = setTimeout(() => socket.terminate(), closingTime);
  socket.close(1000);
  await ended;
  clearTimeout(impatience);
}

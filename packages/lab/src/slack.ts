import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { payloadProblem } from './slack-payload.ts';

export { renderMessage } from './slack-message.ts';
export { payloadProblem };

/** What goes wrong with one call of the webhook. */
export type SlackFault =
  /** 429 with Retry-After and the same number of seconds in the body. */
  | { kind: 'rate-limited'; retryAfter: number }
  /** A status with Slack's own word: 403 action_prohibited, 404 channel_not_found, 410 channel_is_archived … */
  | { kind: 'refused'; status: number; reason: string }
  | { kind: 'server-error'; status?: number }
  /** Read, and never answered. */
  | { kind: 'hang' }
  /** The connection is reset before an answer. */
  | { kind: 'reset' }
  /** The message is posted, and its answer is lost with the connection. */
  | { kind: 'lost-response' }
  | { kind: 'redirect'; location: string };

export interface SlackMessage {
  /** Milliseconds since the Unix epoch. */
  at: number;
  payload: unknown;
}

export interface SlackCall {
  at: number;
  body: string;
  /** What was answered; undefined when nothing was. */
  status: number | undefined;
  answer: string;
}

export interface Slack {
  readonly webhookUrl: string;
  /** What was posted to the channel, oldest first. */
  readonly messages: SlackMessage[];
  /** Every call of the webhook, failed ones too. */
  readonly calls: SlackCall[];
  /** Strikes one call each, first in, first out. */
  readonly faults: SlackFault[];
  close(): Promise<void>;
}

/** Opens an incoming webhook on loopback that accepts and refuses messages as Slack does. */
export async function openSlack(): Promise<Slack> {
  const team = 'T0LOCKKEEP';
  const service = 'B0LOCKKEEP';
  // A secret as Slack makes them, so that a leak of it can be looked for.
  const token = randomBytes(18).toString('base64url').replaceAll(/[-_]/g, 'x');
  const path = `/services/${team}/${service}/${token}`;
  const messages: SlackMessage[] = [];
  const calls: SlackCall[] = [];
  const faults: SlackFault[] = [];

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = Buffer.concat(await request.toArray()).toString();
    const call: SlackCall = { at: Date.now(), body, status: undefined, answer: '' };
    calls.push(call);
    const say = (status: number, text: string, headers: Record<string, string> = {}) => {
      call.status = status;
      call.answer = text;
      response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(text);
    };
    const fault = faults.shift();
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') {
      response.socket?.resetAndDestroy();
      return;
    }
    if (fault?.kind === 'redirect') return say(302, '', { location: fault.location });
    if (fault?.kind === 'server-error') return say(fault.status ?? 500, 'rollup_error');
    if (fault?.kind === 'refused') return say(fault.status, fault.reason);
    if (fault?.kind === 'rate-limited') {
      const told = { retry_after: fault.retryAfter, ok: false, error: 'rate_limited' };
      return say(429, JSON.stringify(told), {
        'retry-after': String(fault.retryAfter),
        'content-type': 'application/json',
      });
    }
    const url = new URL(request.url ?? '/', 'http://slack');
    if (url.pathname !== path) {
      const [, , atTeam, atService] = url.pathname.split('/');
      if (atTeam !== team) return say(404, 'no_team');
      return atService === service ? say(403, 'invalid_token') : say(404, 'no_service');
    }
    if (request.method !== 'POST') return say(400, 'invalid_payload');
    const payload = readPayload(body, request.headers['content-type'] ?? '');
    const problem = payloadProblem(payload);
    if (problem !== undefined) return say(400, problem);
    messages.push({ at: call.at, payload });
    if (fault?.kind === 'lost-response') {
      response.socket?.resetAndDestroy();
      return;
    }
    say(200, 'ok');
  };

  const server = createServer((request, response) => {
    // Whoever goes away while writing gets no answer.
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    webhookUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    messages,
    calls,
    faults,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The payload of a JSON body or of a form's `payload` field; undefined when it is neither. */
function readPayload(body: string, contentType: string): unknown {
  const json = contentType.includes('application/x-www-form-urlencoded')
    ? (new URLSearchParams(body).get('payload') ?? '')
    : body;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

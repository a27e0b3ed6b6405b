import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@lockkeeper/wait';
import { decideNext, deliver, explainRefusal, retryAfter } from '../src/delivery.ts';
import type { Payload } from '../src/message.ts';

const payload: Payload = {
  text: 'hello',
  unfurl_links: false,
  unfurl_media: false,
  attachments: [
    {
      color: '#1f883d',
      fallback: 'hello',
      blocks: [{ type: 'section', text: { type: 'mrkdwn', text: 'hello' } }],
    },
  ],
};

let closing: Array<() => Promise<void>> = [];
afterEach(async () => {
  const all = closing;
  closing = [];
  await Promise.all(all.map((close) => close()));
});

type Answer = { status: number; body: string; headers?: Record<string, string> } | 'hang' | 'reset';

/** A webhook that gives these answers in turn, the last for ever. */
async function slack(...answers: [Answer, ...Answer[]]) {
  const bodies: unknown[] = [];
  const server: Server = createServer((request, response: ServerResponse) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      bodies.push(JSON.parse(body));
      const answer = answers[Math.min(bodies.length, answers.length) - 1]!;
      if (answer === 'hang') return;
      if (answer === 'reset') return void request.socket.destroy();
      response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/B0/s3cr3t`),
    bodies,
  };
}

async function send(url: URL, limits: { tryMs?: number; totalMs?: number; signal?: AbortSignal } = {}) {
  const said: string[] = [];
  const delivery = await deliver(payload, url, {
    clock: systemClock,
    say: (line) => said.push(line),
    ...limits,
  });
  expect(`${JSON.stringify(delivery)} ${said.join(' ')}`).not.toContain('s3cr3t');
  return { delivery, said };
}

const ok: Answer = { status: 200, body: 'ok' };

describe('a message', () => {
  it('is delivered once, as composed', async () => {
    const { url, bodies } = await slack(ok);
    expect((await send(url)).delivery).toEqual({ sent: true });
    expect(bodies).toEqual([payload]);
  });

  it.each([
    [400, 'invalid_blocks', 'dry-run: true'],
    [403, 'action_prohibited', 'administrators'],
    [404, 'channel_not_found', 'gone'],
    [404, 'no_service', 'revoked'],
    [410, 'channel_is_archived', 'archived'],
  ])(
    'that Slack refuses with %s %s is not tried again, and the reason has a hint',
    async (status, body, hint) => {
      const { url, bodies } = await slack({ status, body });
      const { delivery } = await send(url);
      expect(delivery).toEqual({ sent: false, reason: expect.stringContaining(`HTTP ${status}, ${body}: `) });
      expect(JSON.stringify(delivery)).toContain(hint);
      expect(bodies).toHaveLength(1);
    },
  );

  it('waits as long as a 429 asks, then is delivered', async () => {
    const { url, bodies } = await slack(
      { status: 429, body: '{"retry_after":0.3,"ok":false,"error":"rate_limited"}' },
      ok,
    );
    const started = Date.now();
    const { delivery, said } = await send(url);
    expect(delivery).toEqual({ sent: true });
    expect(Date.now() - started).toBeGreaterThanOrEqual(300);
    expect(bodies).toHaveLength(2);
    expect(said[0]).toContain('trying again in 300 ms');
  });

  it('gives up on a 429 for ever, within its time', async () => {
    const { url, bodies } = await slack({ status: 429, body: '{"retry_after":0.1}' });
    const { delivery } = await send(url);
    expect(delivery).toEqual({ sent: false, reason: expect.stringMatching(/rate_limited.*\(4 tries\)/) });
    expect(bodies).toHaveLength(4);
  });

  it('does not wait for a 429 that asks for more time than there is', async () => {
    const { url, bodies } = await slack({ status: 429, body: '{"retry_after":3600}' });
    const started = Date.now();
    expect((await send(url)).delivery.sent).toBe(false);
    expect(bodies).toHaveLength(1);
    expect(Date.now() - started).toBeLessThan(2_000);
  });

  it('survives two server errors', async () => {
    const { url, bodies } = await slack({ status: 500, body: 'rollup_error' }, { status: 502, body: '' }, ok);
    expect((await send(url)).delivery).toEqual({ sent: true });
    expect(bodies).toHaveLength(3);
  });

  it('is sent again when the answer was lost', async () => {
    const { url, bodies } = await slack('reset', ok);
    expect((await send(url)).delivery).toEqual({ sent: true });
    expect(bodies).toHaveLength(2);
  });

  it('does not hang with the server', async () => {
    const { url } = await slack('hang');
    const started = Date.now();
    const { delivery } = await send(url, { tryMs: 150, totalMs: 1_500 });
    expect(delivery).toEqual({ sent: false, reason: expect.stringContaining('no answer within 150 ms') });
    expect(Date.now() - started).toBeLessThan(2_500);
  });

  it('does not follow a redirect', async () => {
    const { url, bodies } = await slack({
      status: 302,
      body: '',
      headers: { location: 'https://evil.example/' },
    });
    expect((await send(url)).delivery).toEqual({ sent: false, reason: expect.stringContaining('redirects') });
    expect(bodies).toHaveLength(1);
  });

  it('is not called delivered because a login page answered 200', async () => {
    const { url } = await slack({ status: 200, body: '<html>Sign in</html>' });
    expect((await send(url)).delivery).toEqual({
      sent: false,
      reason: expect.stringContaining('incoming webhook?'),
    });
  });

  it('says what a service that is not Slack answered', async () => {
    const { url } = await slack({ status: 200, body: '{"id":1}' });
    expect((await send(url)).delivery).toMatchObject({
      sent: true,
      note: expect.stringContaining('{\\"id\\":1}'),
    });
  });

  it('to a server that does not speak HTTP fails in words', async () => {
    const sockets = new Set<Socket>();
    const server = createTcpServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/services/s3cr3t`);
    const { delivery } = await send(url, { totalMs: 3_000 });
    expect(delivery).toEqual({ sent: false, reason: expect.stringContaining('could not be reached') });
  });

  it('stops when the run is cancelled', async () => {
    const { url } = await slack({ status: 500, body: '' });
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(), 100);
    const started = Date.now();
    expect((await send(url, { signal: cancel.signal })).delivery.sent).toBe(false);
    expect(Date.now() - started).toBeLessThan(900);
  });
});

describe('what comes next', () => {
  it.each([
    [{ kind: 'refused', status: 429, body: '{"retry_after":7}' }, 1, { wait: 7_000 }],
    [{ kind: 'refused', status: 429, body: 'slow down' }, 2, { wait: 2_000 }],
    [{ kind: 'refused', status: 503, body: '' }, 3, { wait: 4_000 }],
    [{ kind: 'refused', status: 503, body: '' }, 4, 'give-up'],
    [{ kind: 'refused', status: 400, body: '' }, 1, 'give-up'],
    [{ kind: 'unanswered', reason: '', again: true }, 1, { wait: 1_000 }],
    [{ kind: 'unanswered', reason: '', again: false }, 1, 'give-up'],
    [{ kind: 'refused', status: 429, body: '{"retry_after":60}' }, 1, 'give-up'],
  ] as const)('after %j, try %i', (met, tries, expected) =>
    expect(decideNext(met, { tries, remainingMs: 50_000 })).toEqual(expected),
  );

  it.each([
    ['{"retry_after":2}', 2_000],
    ['{"retry_after":"2"}', undefined],
    ['rate_limited', undefined],
    ['null', undefined],
  ])('a 429 with %s asks for %s ms', (body, ms) => expect(retryAfter(body)).toBe(ms));

  it('shows an unknown reason as it is, on one line', () =>
    expect(explainRefusal(400, 'some\nnew_reason!')).toBe('HTTP 400, some new_reason!'));
});

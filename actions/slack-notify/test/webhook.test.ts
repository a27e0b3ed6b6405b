import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { openSlack, type Slack, type SlackFault } from '@lockkeeper/lab';
import { systemClock } from '@lockkeeper/wait';
import { messageOf, scenes } from '../docs/scenes.ts';
import { deliver, type Try } from '../src/delivery.ts';
import { postTo } from '../src/webhook.ts';

// One try against real servers: what each looks like from here.

const payload = messageOf(scenes.success);
const cleanUp: Array<() => Promise<void>> = [];
afterEach(async () => {
  await Promise.all(cleanUp.splice(0).map((close) => close()));
});

async function slack(...faults: SlackFault[]): Promise<Slack> {
  const opened = await openSlack();
  cleanUp.push(() => opened.close());
  opened.faults.push(...faults);
  return opened;
}

/** A webhook at a server that says these bytes to whoever comes, and then does as told. */
async function saying(bytes: string, then: (socket: Socket) => void = () => {}): Promise<URL> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(bytes);
      then(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return new URL(
    `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/B0/s3cr3ts3cr3ts3cr3t`,
  );
}

const post = (url: string | URL, ms = 2_000) => postTo(new URL(url), payload)(ms);
const http = (status: string, body: string, length = body.length) =>
  `HTTP/1.1 ${status}\r\ncontent-length: ${length}\r\n\r\n${body}`;

describe('one try', () => {
  it('posts the message as composed', async () => {
    const { webhookUrl, messages } = await slack();
    expect(await post(webhookUrl)).toMatchObject({ kind: 'answered', status: 200, body: 'ok' });
    expect(messages).toEqual([{ at: expect.any(Number), payload }]);
  });

  it.each<[string, SlackFault, Partial<Try>]>([
    [
      'a refusal',
      { kind: 'refused', status: 400, reason: 'invalid_blocks' },
      { status: 400, body: 'invalid_blocks' },
    ],
    ['a 429 with its header', { kind: 'rate-limited', retryAfter: 3 }, { status: 429, retryAfter: '3' }],
    [
      'a redirect, and does not follow it',
      { kind: 'redirect', location: 'https://login.example/' },
      { status: 302, location: 'https://login.example/' },
    ],
    [
      'a reset',
      { kind: 'reset' },
      { kind: 'unanswered', again: true, reason: expect.stringContaining('ECONNRESET') as never },
    ],
    ['a lost answer', { kind: 'lost-response' }, { kind: 'unanswered', again: true }],
  ])('sees %s', async (_, fault, seen) => {
    const { webhookUrl } = await slack(fault);
    expect(await post(webhookUrl)).toMatchObject(seen);
  });

  it('does not hang with the server', async () => {
    const { webhookUrl } = await slack({ kind: 'hang' });
    expect(await post(webhookUrl, 100)).toEqual({
      kind: 'unanswered',
      reason: 'no answer within 100 ms',
      again: true,
    });
  });

  it.each([
    ['whose body is cut off', http('200 OK', 'ok', 9), (socket: Socket) => socket.end()],
    ['whose body never ends', http('200 OK', 'ok', 9), () => {}],
  ])('takes an answer %s for one: the message is there', async (_, bytes, then) => {
    expect(await post(await saying(bytes, then))).toMatchObject({
      kind: 'answered',
      status: 200,
      body: 'ok',
    });
  });

  it('reads of an endless answer only its beginning', async () => {
    const url = await saying('HTTP/1.1 400 Bad Request\r\n\r\n', (socket) => {
      const flood = () => {
        while (socket.writable && socket.write('x'.repeat(65_536)));
        socket.once('drain', flood);
      };
      flood();
    });
    const met = await post(url, 10_000);
    expect(met).toMatchObject({ kind: 'answered', status: 400 });
    expect((met as { body: string }).body.length).toBeLessThanOrEqual(4_096);
  });

  it.each<[string, string, string]>([
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n', 'no HTTP is spoken there'],
    ['a headline without an end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}`, 'no HTTP is spoken there'],
  ])('to a server that speaks %s fails in words, and is not repeated', async (_, bytes, words) => {
    const met = await post(await saying(bytes));
    expect(met).toEqual({ kind: 'unanswered', reason: `it could not be reached: ${words}`, again: false });
  });

  it('to a server without TLS fails in words, and is not repeated', async () => {
    const url = (await saying('HTTP/1.1 400 Bad Request\r\n\r\n')).href.replace('http:', 'https:');
    expect(await post(url)).toEqual({
      kind: 'unanswered',
      reason: 'it could not be reached: no TLS is spoken there',
      again: false,
    });
  });

  it('hides the webhook in what comes back', async () => {
    const secret = 's3cr3ts3cr3ts3cr3t';
    const body = `no hook at /services/T0/B0/${secret}`;
    const url = await saying(
      `HTTP/1.1 302 Found\r\nlocation: https://x.example/${secret}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    const met = await post(url);
    expect(met).toMatchObject({ status: 302, body: 'no hook at ***', location: 'https://x.example/***' });
  });

  it('leaves when it is told to', async () => {
    const { webhookUrl } = await slack({ kind: 'hang' });
    const cancel = new AbortController();
    const met = postTo(new URL(webhookUrl), payload)(20_000, cancel.signal);
    cancel.abort(new Error('cancelled'));
    expect(await met).toMatchObject({ kind: 'unanswered', reason: expect.stringContaining('cancelled') });
  });
});

describe('a delivery over real connections', () => {
  const send = (url: string) =>
    deliver(postTo(new URL(url), payload), {
      // Its pauses, a hundred times as fast.
      clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) },
      say: () => {},
      // Long enough for a busy machine: a try that is given up too early posts the message twice.
      tryMs: 2_000,
    });

  it.each<[string, SlackFault[], number]>([
    ['a 429', [{ kind: 'rate-limited', retryAfter: 1 }], 1],
    ['two server errors', [{ kind: 'server-error' }, { kind: 'server-error', status: 502 }], 1],
    ['a reset before Slack has it', [{ kind: 'reset' }], 1],
    ['silence of a Slack that does not have it', [{ kind: 'hang' }], 1],
    ['a lost answer: the one case in which it is there twice', [{ kind: 'lost-response' }], 2],
  ])('survives %s', async (_, faults, posted) => {
    const { webhookUrl, messages } = await slack(...faults);
    expect(await send(webhookUrl)).toEqual({ sent: true });
    expect(messages).toHaveLength(posted);
  });
});

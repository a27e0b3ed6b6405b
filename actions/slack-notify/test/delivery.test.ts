import { describe, expect, it } from '@jest/globals';
import { fakeClock } from '@lockkeeper/wait';
import { decideNext, deliver, type Try } from '../src/delivery.ts';
import { explainRefusal, retryAfter } from '../src/refusal.ts';

const answer = (
  status: number,
  body = '',
  headers: Partial<{ retryAfter: string; location: string }> = {},
): Try => ({
  kind: 'answered',
  status,
  body,
  retryAfter: '',
  location: '',
  ...headers,
});
const ok = answer(200, 'ok');
const limited = (seconds: number) =>
  answer(429, `{"retry_after":${seconds},"ok":false,"error":"rate_limited"}`);
const silence: Try = { kind: 'unanswered', reason: 'no answer within 10 s', again: true };
const unknown: Try = { kind: 'unanswered', reason: 'its name does not resolve', again: false };

describe('what comes after a try', () => {
  it.each<[string, Try, number, unknown]>([
    ['what was taken', ok, 1, { sent: true }],
    ['a 429: as long as its body asks', limited(7), 1, { wait: 7_000 }],
    [
      'a 429 without: as long as its header asks',
      answer(429, 'slow down', { retryAfter: '3' }),
      1,
      { wait: 3_000 },
    ],
    ['a 429 that asks for nothing', answer(429), 2, { wait: 2_000 }],
    ['a 429 that asks for more than there is', limited(60), 1, { sent: false }],
    ['a 429 that asks for ever', limited(1e300), 1, { sent: false }],
    ['a server error', answer(503), 3, { wait: 4_000 }],
    ['the fourth server error', answer(503), 4, { sent: false }],
    ['silence', silence, 1, { wait: 1_000 }],
    ['what no other try mends', unknown, 1, { sent: false }],
    ['a refusal', answer(400, 'invalid_blocks'), 1, { sent: false }],
    ['a redirect', answer(302, '', { location: 'https://login.example/?back=secret' }), 1, { sent: false }],
    ['a login page', answer(200, ' <!doctype html>'), 1, { sent: false }],
    ['an error that calls itself 200', answer(200, '{"ok":false,"error":"not_authed"}'), 1, { sent: false }],
    ['another service’s way to say yes', answer(204), 1, { sent: true }],
  ])('%s', (_, met, tries, next) =>
    expect(decideNext(met, { tries, remainingMs: 42_000 })).toMatchObject(next as object),
  );

  it.each<[Try, string]>([
    [
      answer(403, 'action_prohibited'),
      "HTTP 403, action_prohibited: the workspace's administrators do not let this webhook post there",
    ],
    [answer(400, 'some\nnew_reason!'), 'HTTP 400, some new_reason!'],
    [answer(404, ''), 'HTTP 404, no reason'],
    [answer(200, '{"ok":false,"error":"not_authed"}'), 'HTTP 200, not_authed'],
    [
      answer(302, '', { location: 'https://login.example/x?y' }),
      'HTTP 302, a redirect to login.example, which is not followed: is this the address of an incoming webhook?',
    ],
    [
      answer(301, '', { location: '/x' }),
      'HTTP 301, a redirect, which is not followed: is this the address of an incoming webhook?',
    ],
    [
      answer(200, '<html>'),
      'HTTP 200, an HTML page: that is not what Slack says; is this the address of an incoming webhook?',
    ],
    [
      limited(3600),
      'HTTP 429, rate_limited: too many messages at once through this webhook; trying again in 1 h would be too late',
    ],
  ])('%j gives its reason', (met, reason) =>
    expect(decideNext(met, { tries: 1, remainingMs: 42_000 })).toEqual({ sent: false, reason }),
  );

  it('says what a service that is not Slack answered', () =>
    expect(decideNext(answer(200, '{"id":1}'), { tries: 1, remainingMs: 1 })).toEqual({
      sent: true,
      note: 'the service answered HTTP 200 "{\\"id\\":1}" rather than "ok"',
    }));

  it.each([
    ['{"retry_after":2}', 2_000],
    ['{"retry_after":0.25}', 250],
    ['{"retry_after":"2"}', undefined],
    ['{"retry_after":-1}', undefined],
    ['rate_limited', undefined],
    ['null', undefined],
  ])('a 429 with %s asks for %s ms', (body, ms) => expect(retryAfter(body)).toBe(ms));

  it('has a hint for each word with which Slack’s documentation refuses', () => {
    const documented = [
      'invalid_payload',
      'user_not_found',
      'action_prohibited',
      'channel_not_found',
      'channel_is_archived',
      'rollup_error',
    ];
    const seen = ['invalid_blocks', 'invalid_blocks_format', 'no_service', 'no_team', 'invalid_token'];
    expect(
      [...documented, ...seen].filter((word) => !explainRefusal(400, word).includes(`${word}: `)),
    ).toEqual([]);
  });
});

describe('a delivery', () => {
  /** Meets these in turn, the last for ever; each takes `ms`, or as long as it may. */
  async function delivered(
    met: [Try, ...Try[]],
    { ms = 0, signal }: { ms?: number; signal?: AbortSignal } = {},
  ) {
    const clock = fakeClock();
    const limits: number[] = [];
    const said: string[] = [];
    const delivery = await deliver(
      async (limit) => {
        limits.push(limit);
        await clock.sleep(Math.min(ms, limit));
        return met[Math.min(limits.length, met.length) - 1]!;
      },
      { clock, signal, say: (line) => said.push(line) },
    );
    return { delivery, tries: limits.length, limits, said, took: clock.now() };
  }

  it('waits as a 429 asks, says so, and is made', async () =>
    expect(await delivered([limited(7), ok])).toMatchObject({
      delivery: { sent: true },
      tries: 2,
      took: 7_000,
      said: [expect.stringMatching(/rate_limited.*trying again in 7 s$/)],
    }));

  it.each<[string, Try, number]>([
    ['a server that only fails', answer(500), 0],
    ['a server that fails slowly', answer(500), 9_000],
    ['a server that is silent', silence, 60_000],
    ['a 429 for ever', limited(20), 0],
    ['a 429 for ever, slowly', limited(5), 9_000],
  ])('has ended after 42 s, whatever it meets: %s', async (_, met, ms) => {
    const { delivery, took } = await delivered([met], { ms });
    expect(delivery.sent).toBe(false);
    expect(took).toBeLessThanOrEqual(42_000);
  });

  it('gives no try more time than is left', async () =>
    expect((await delivered([silence], { ms: 60_000 })).limits).toEqual([10_000, 10_000, 10_000, 5_000]));

  it('says how often it tried', async () =>
    expect((await delivered([answer(500, 'rollup_error')])).delivery).toEqual({
      sent: false,
      reason: "HTTP 500, rollup_error: Slack's own fault; run the job again (4 tries)",
    }));

  it('ends when the step is cancelled, and says that', async () => {
    const { delivery, tries } = await delivered([silence], { signal: AbortSignal.abort() });
    expect({ delivery, tries }).toEqual({
      delivery: { sent: false, reason: 'the step was cancelled before Slack took it' },
      tries: 1,
    });
  });

  it('that was made in the moment of the cancellation was made', async () =>
    expect((await delivered([ok], { signal: AbortSignal.abort() })).delivery).toEqual({ sent: true }));
});

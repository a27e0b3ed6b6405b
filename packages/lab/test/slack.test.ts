import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openSlack, renderMessage, type Slack, type SlackFault } from '../src/slack.ts';

let slack: Slack;
beforeEach(async () => {
  slack = await openSlack();
});
afterEach(() => slack.close());

async function post(body: unknown, url = slack.webhookUrl): Promise<[number, string]> {
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return [response.status, await response.text()];
}

const section = (text: unknown) => ({ type: 'section', text });
const mrkdwn = (length: number) => ({ type: 'mrkdwn', text: 'x'.repeat(length) });
const plain = (length: number) => ({ type: 'plain_text', text: 'x'.repeat(length) });
const many = <T>(count: number, item: T) => Array.from({ length: count }, () => item);

it('takes a message, says ok and keeps it', async () => {
  const before = Date.now();
  expect(await post({ text: 'hello' })).toEqual([200, 'ok']);
  expect(slack.messages).toEqual([{ at: expect.any(Number), payload: { text: 'hello' } }]);
  expect(slack.messages[0]!.at).toBeGreaterThanOrEqual(before);
});

it('takes a message from a form', async () => {
  const body = new URLSearchParams({ payload: '{"text":"hello"}' });
  const response = await fetch(slack.webhookUrl, { method: 'POST', body });
  expect(await response.text()).toBe('ok');
  expect(slack.messages[0]!.payload).toEqual({ text: 'hello' });
});

describe('what Slack refuses', () => {
  it.each<[string, unknown, string]>([
    ['what is not JSON', 'payload', 'invalid_payload'],
    ['a list', [], 'invalid_payload'],
    ['a text that is none', { text: 1 }, 'invalid_payload'],
    ['nothing to say', { channel: '#x' }, 'no_text'],
    ['an empty text', { text: '' }, 'no_text'],
    ['blocks that are no list', { blocks: {} }, 'invalid_blocks_format'],
    ['51 blocks', { blocks: many(51, { type: 'divider' }) }, 'invalid_blocks'],
    ['a section of 3001 characters', { blocks: [section(mrkdwn(3001))] }, 'invalid_blocks'],
    ['an empty text object', { blocks: [section(mrkdwn(0))] }, 'invalid_blocks'],
    ['a section of nothing', { blocks: [{ type: 'section' }] }, 'invalid_blocks'],
    ['11 fields', { blocks: [{ type: 'section', fields: many(11, mrkdwn(1)) }] }, 'invalid_blocks'],
    [
      'a field of 2001 characters',
      { blocks: [{ type: 'section', fields: [mrkdwn(2001)] }] },
      'invalid_blocks',
    ],
    ['a header of 151 characters', { blocks: [{ type: 'header', text: plain(151) }] }, 'invalid_blocks'],
    ['a header in mrkdwn', { blocks: [{ type: 'header', text: mrkdwn(1) }] }, 'invalid_blocks'],
    [
      '11 context elements',
      { blocks: [{ type: 'context', elements: many(11, mrkdwn(1)) }] },
      'invalid_blocks',
    ],
    [
      'a button of 76 characters',
      { blocks: [{ type: 'actions', elements: [{ type: 'button', text: plain(76) }] }] },
      'invalid_blocks',
    ],
    ['an unknown block', { blocks: [{ type: 'sections' }] }, 'invalid_blocks'],
    ['emoji on mrkdwn', { blocks: [section({ ...mrkdwn(1), emoji: false })] }, 'invalid_blocks'],
    [
      'a bad block in an attachment',
      { attachments: [{ blocks: [section(mrkdwn(3001))] }] },
      'invalid_blocks',
    ],
    [
      '13,201 characters in all',
      { blocks: [...many(4, section(mrkdwn(3000))), section(mrkdwn(1201))] },
      'msg_blocks_too_long',
    ],
    ['101 attachments', { attachments: many(101, { text: 'x' }) }, 'too_many_attachments'],
  ])('%s', async (_what, payload, reason) => {
    expect(await post(payload)).toEqual([400, reason]);
    expect(slack.messages).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['a section of 3000 characters', { blocks: [section(mrkdwn(3000))] }],
    [
      '3000 ships, which are twice as many code units',
      { blocks: [section({ type: 'mrkdwn', text: '🚢'.repeat(3000) })] },
    ],
    ['10 fields', { blocks: [{ type: 'section', fields: many(10, mrkdwn(1)) }] }],
    ['50 blocks', { blocks: many(50, { type: 'divider' }) }],
    ['only an attachment', { attachments: [{ color: '#1f883d', blocks: [section(mrkdwn(1))] }] }],
    ['13,200 characters in all', { blocks: [...many(4, section(mrkdwn(3000))), section(mrkdwn(1200))] }],
  ])('and not %s', async (_what, payload) => {
    expect(await post(payload)).toEqual([200, 'ok']);
  });

  it.each([
    [/[^/]+$/, 'wrong', 403, 'invalid_token'],
    [/B0LOCKKEEP/, 'B0OTHER', 404, 'no_service'],
    [/T0LOCKKEEP/, 'T0OTHER', 404, 'no_team'],
  ])('a URL with another %s', async (part, other, status, reason) => {
    expect(await post({ text: 'hello' }, slack.webhookUrl.replace(part, other))).toEqual([status, reason]);
  });
});

describe('faults', () => {
  it.each<[SlackFault, number, string]>([
    [{ kind: 'rate-limited', retryAfter: 2 }, 429, '{"retry_after":2,"ok":false,"error":"rate_limited"}'],
    [{ kind: 'server-error' }, 500, 'rollup_error'],
    [{ kind: 'refused', status: 410, reason: 'channel_is_archived' }, 410, 'channel_is_archived'],
    [{ kind: 'redirect', location: 'http://127.0.0.1:1/' }, 302, ''],
  ])('%j strikes one call', async (fault, status, answer) => {
    slack.faults.push(fault);
    expect(await post({ text: 'one' })).toEqual([status, answer]);
    expect(await post({ text: 'two' })).toEqual([200, 'ok']);
    expect(slack.messages).toHaveLength(1);
    expect(slack.calls.map((call) => call.status)).toEqual([status, 200]);
  });

  it('can reset the connection, before the message is posted or after', async () => {
    slack.faults.push({ kind: 'reset' }, { kind: 'lost-response' });
    await expect(post({ text: 'one' })).rejects.toThrow();
    expect(slack.messages).toEqual([]);
    await expect(post({ text: 'two' })).rejects.toThrow();
    expect(slack.messages).toHaveLength(1);
  });

  it('can be silent', async () => {
    slack.faults.push({ kind: 'hang' });
    const signal = AbortSignal.timeout(100);
    await expect(
      fetch(slack.webhookUrl, { method: 'POST', body: '{"text":"x"}', signal }),
    ).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});

describe('a message in a terminal', () => {
  it('shows text, bar, fields and links', () => {
    const shown = renderMessage({
      text: ':x: Deploy failed: api -&gt; production',
      attachments: [
        {
          color: '#d1242f',
          blocks: [
            section({
              type: 'mrkdwn',
              text: '*:x: Deploy failed* - `api`\n<https://ci.example/1|Run #128> &amp; more <!here>',
            }),
            {
              type: 'section',
              fields: [
                { type: 'mrkdwn', text: '*Version*\n<https://ci.example/c|`abc1234`>' },
                { type: 'mrkdwn', text: '*By*\nocto' },
              ],
            },
            {
              type: 'context',
              elements: [{ type: 'plain_text', emoji: false, text: 'fix: <!channel> :x: (#812)' }],
            },
          ],
        },
      ],
    });
    expect(shown.split('\n')).toEqual([
      '❌ Deploy failed: api -> production',
      '',
      '▌ ❌ Deploy failed - `api`',
      '▌ Run #128 (https://ci.example/1) & more @here',
      '▌ Version: `abc1234` (https://ci.example/c)',
      '▌ By: octo',
      '▌ fix: <!channel> :x: (#812)',
    ]);
  });

  it('shows escaped markup as the text it is', () => {
    expect(renderMessage({ text: '&lt;!channel&gt; &lt;http://x|y&gt; &amp;lt;' })).toBe(
      '<!channel> <http://x|y> &lt;',
    );
  });

  it('shows an address that is its own label once', () =>
    expect(renderMessage({ text: '<http://x/|http://x> <http://x|http://x> <http://x> <http://x|y>' })).toBe(
      'http://x http://x http://x y (http://x)',
    ));

  it('colours the bar where that is wanted', () => {
    const payload = { attachments: [{ color: '#1f883d', text: 'done' }] };
    expect(renderMessage(payload)).toBe('▌ done');
    expect(renderMessage(payload, { ansi: true })).toBe('\x1b[38;2;31;136;61m▌\x1b[0m done');
  });

  it('writes nothing but text to the terminal', () => {
    expect(renderMessage({ text: 'a\x1b[2Jb\r\x07c\x9b1mé' })).toBe('a[2Jbc1mé');
  });

  it('shows something of anything', () => {
    expect(renderMessage(null)).toBe('');
    expect(renderMessage({ blocks: [{ type: 'divider' }, 1, { type: 'video' }] })).toBe(
      '────────\n[block]\n[video]',
    );
  });
});

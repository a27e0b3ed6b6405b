import { describe, expect, it } from '@jest/globals';
import { isSlack, readWebhookUrl, secretsOf, withoutSecrets } from '../src/webhook-url.ts';

const token = 'XXXXXXXXXXXXXXXXXXXXXXXX';
const slack = `https://hooks.slack.com/services/T012AB3CD/B012AB3CD/${token}`;

describe('a webhook', () => {
  it.each([
    slack,
    `https://hooks.slack-gov.com/services/T0/B0/${token}`,
    'https://chat.example/hooks/x',
    'http://127.0.0.1:8080/x',
    'http://127.9.9.9/x',
    'http://localhost/x',
    'http://[::1]:1/x',
  ])('may be %s', (text) => expect(readWebhookUrl(text)).toEqual({ url: new URL(text) }));

  it.each([
    ['is no URL', 'not a url', 'is not a URL'],
    ['lacks its scheme', slack.replace('https://', ''), 'is not a URL'],
    ['has the name of the secret before it', `URL=${slack}`, 'is not a URL'],
    ['stands in quotes', `"${slack}"`, 'is not a URL'],
    ['is two', `${slack}\n${slack}`, 'is not a URL'],
    ['was broken in two', slack.replace('/B0', '\n/B0'), 'is not a URL'],
    ['is no web address', slack.replace('https', 'ftp'), 'is not a URL'],
    ['shows itself to the network', slack.replace('https', 'http'), 'is plain http'],
    ['only looks like loopback', 'http://127.0.0.1.evil.example/x', 'is plain http'],
    ['holds a login', slack.replace('//', '//mona:pa55word@'), 'holds a user name'],
    ['starts a workflow', slack.replace('services', 'triggers'), 'starts a Slack workflow'],
    ['is an address of the Web API', 'https://slack.com/api/chat.postMessage', 'is at Slack, but not'],
    ['is cut off', 'https://hooks.slack.com/services/', 'is at Slack, but not'],
  ])('that %s is refused without a piece of it', (_, text, problem) => {
    const read = readWebhookUrl(text);
    expect(read).toEqual({ problem: expect.stringContaining(problem) });
    expect(JSON.stringify(read)).not.toMatch(/XXXX|T012|mona|pa55word|evil/);
  });

  it.each([
    ['its address', slack],
    ['its path', `POST /services/T012AB3CD/B012AB3CD/${token}`],
    ['its token', `no such hook: ${token}`],
  ])('is hidden where a text repeats %s', (_, text) =>
    expect(withoutSecrets(text, secretsOf(new URL(slack)))).not.toContain(token),
  );

  it('of another service is hidden in its query and however it is encoded', () => {
    const url = new URL('https://chat.example/v1/messages?key=AIza0123456789&token=a%2Bb%2Fc0123456789%3D');
    const shown = withoutSecrets(
      'key AIza0123456789, token a+b/c0123456789=, a%2Bb%2Fc0123456789%3D',
      secretsOf(url),
    );
    expect(shown).toBe('key ***, token ***, ***');
  });

  it('hides no common word', () =>
    expect(withoutSecrets('services and webhooks', secretsOf(new URL(slack)))).toBe('services and webhooks'));
});

it.each([
  ['hooks.slack.com', true],
  ['hooks.slack-gov.com', true],
  ['hooks.slack.com.evil.example', false],
  ['notslack.com', false],
])('%s is Slack: %s', (host, is) => expect(isSlack(host)).toBe(is));

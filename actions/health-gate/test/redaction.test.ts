import { expect, it } from '@jest/globals';
import type { Sample } from '@lockkeeper/probe';
import { shownUrl, withoutSecrets } from '../src/redaction.ts';

const secrets = ['tok-5f2b7c1e', 'p@ss word/1'];
const probed = { at: 0, ms: 1, address: '192.0.2.1:80' };

it.each<[string, Sample]>([
  [
    'an answer, its headers and body',
    {
      ...probed,
      answered: true,
      status: 200,
      headers: { 'x-echo': 'tok-5f2b7c1e', location: '/login?key=tok-5f2b7c1e' },
      body: '{"authorization":"Bearer tok-5f2b7c1e tok-5f2b7c1e"}',
      truncated: false,
    },
  ],
  [
    'what a failed connection says',
    { ...probed, answered: false, kind: 'protocol', code: 'X', message: 'unexpected tok-5f2b7c1e' },
  ],
])('leaves secrets out of %s', (_, sample) => {
  const text = JSON.stringify(withoutSecrets(sample, secrets));
  expect(text).not.toContain('tok-5f2b7c1e');
  expect(text).toContain('***');
});

it.each([
  ['https://app.example/h?token=tok-5f2b7c1e&page=2', 'https://app.example/h?token=***&page=2'],
  ['https://app.example/h?key=p%40ss%20word%2F1', 'https://app.example/h?key=***'],
])('shows %s as %s', (url, shown) => expect(shownUrl(new URL(url), secrets)).toBe(shown));

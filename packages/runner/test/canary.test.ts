import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { leakedForms } from '../src/canary.ts';

const secret = 'correct?>?>?>horse/battery';

describe('a canary', () => {
  it.each([
    ['plain', `x ${secret} y`],
    ['hex', `x${Buffer.from(secret).toString('hex').toUpperCase()}`],
    ['base64', Buffer.from(`user:${secret}\n`).toString('base64')],
    ['base64', Buffer.from(`a${secret}`).toString('base64')],
    ['base64', Buffer.from(`ab${secret}c`).toString('base64').replace(/.{16}/g, '$&\n')],
    ['base64url', Buffer.from(secret).toString('base64url')],
    ['URL', `https://x/?t=${encodeURIComponent(secret)}`],
    ['gzip', gzipSync(`{"a":"${secret}"}`).toString('base64')],
  ])('is found as %s in %j', (form, text) => {
    expect(leakedForms(text, secret)).toContain(form);
  });

  it('is not seen where it is not', () => {
    expect(leakedForms('correct?>', secret)).toEqual([]);
    expect(leakedForms('anything', '')).toEqual([]);
    expect(leakedForms(`H4sI${'A'.repeat(40)}`, secret)).toEqual([]);
  });
});

import { describe, expect, it } from '@jest/globals';
import { encodings, SecretMasker } from '../src/mask.ts';

function masker(...values: string[]): SecretMasker {
  const result = new SecretMasker();
  for (const value of values) result.addValue(value);
  return result;
}

describe('a masked value', () => {
  const secret = `p@ss'w"rd&x1`;
  it.each([
    ['as it is', secret],
    ['base64', 'cEBzcyd3InJkJngx'],
    ['base64 from the second byte', 'QHNzJ3cicmQmeDE='],
    ['base64 from the third byte', 'c3MndyJyZCZ4MQ=='],
    ['command line', `p@ss'w\\"rd&x1`],
    ['expression', `p@ss''w"rd&x1`],
    ['URI data', 'p%40ss%27w%22rd%26x1'],
    ['XML', 'p@ss&apos;w&quot;rd&amp;x1'],
    ['PowerShell before the ampersand', `p@ss'w"rd&`],
  ])('is hidden in its form: %s', (_form, text) => {
    expect(masker(secret).mask(`before ${text} after`)).toBe('before *** after');
    expect(encodings(secret)).toContain(text);
  });

  it.each([
    ['JSON', 'a"b\\c\td\u001be', 'a\\"b\\\\c\\td\\u001be'],
    ['JSON line separators', 'a\u2028b\u0085c', 'a\\u2028b\\u0085c'],
    ['the inside of double quotes', '"longer-than-8"', 'longer-than-8'],
    ['PowerShell, both sides of &+', 'secret1&+xsecret2&rest', 'secret1&+'],
    ['PowerShell, behind the letter after &+', 'secret1&+xsecret2&rest', 'secret2&rest'],
    ['PowerShell after the last ampersand', 'one&second-part', 'second-part'],
    ['URI data of what encodeURIComponent leaves', "a(b)!*'c", 'a%28b%29%21%2A%27c'],
  ])('is hidden in the form %s', (_form, value, form) => {
    expect(masker(value).mask(`<${form}>`)).toBe('<***>');
  });

  it.each([
    ['hex', Buffer.from('hunter22').toString('hex')],
    ['reversed', '22retnuh'],
    ['other case', 'HUNTER22'],
    ['a part of it', 'hunter2'],
    ['base64 of it and a line end', Buffer.from('hunter22\n').toString('base64')],
    ['short quoted inside', 'b'],
  ])('is not hidden as %s', (_form, text) => {
    expect(masker('hunter22', '"b"').mask(text)).toBe(text);
  });

  it('has no minimum length', () => {
    expect(masker('1').mask('2100')).toBe('2***00');
  });

  it('is ignored when empty', () => {
    expect(masker('').mask('text')).toBe('text');
  });
});

describe('masking', () => {
  it('makes overlapping and touching values one', () => {
    expect(masker('abcdef', 'defghi').mask('x abcdefghi y')).toBe('x *** y');
    expect(masker('abc', 'def').mask('x abcdef y')).toBe('x *** y');
    expect(masker('aba').mask('ababa!')).toBe('***!');
    expect(masker('abc', 'def').mask('abc def')).toBe('*** ***');
  });

  it('hides a secret of several lines line by line, trimmed', () => {
    const result = new SecretMasker();
    result.addSecret('  first line \r\n\r\n second line\n');
    expect(result.mask('a first line b')).toBe('a *** b');
    expect(result.mask('second line')).toBe('***');
    expect(result.mask(' ')).toBe(' ');
  });

  it('hides what add-mask was given whole and line by line, untrimmed', () => {
    const result = new SecretMasker();
    result.addMask('one \ntwo');
    expect(result.mask('one two')).toBe('***');
    expect(result.mask('one|two')).toBe('one|***');
  });
});

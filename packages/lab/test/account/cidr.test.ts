import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { cidrContains, parseCidr } from '../../src/account/cidr.ts';

describe('a CIDR block', () => {
  it.each([
    '203.0.113.7',
    '203.0.113.7/33',
    '203.0.113.7/-1',
    '203.0.113/24',
    '203.0.113.256/32',
    '2001:db8::7/129',
    '2001:db8::7::1/64',
    'fe80::1%eth0/64',
    '/32',
    'pl-12345',
    '',
  ])('is not "%s"', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it.each([
    ['203.0.113.7/32', '203.0.113.7', true],
    ['203.0.113.7/32', '::ffff:203.0.113.7', true],
    ['203.0.113.7/32', '203.0.113.8', false],
    ['203.0.113.0/24', '203.0.113.255', true],
    ['203.0.113.0/24', '203.0.114.0', false],
    ['0.0.0.0/0', '198.51.100.1', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '198.51.100.1', false],
    ['2001:db8::/64', '2001:db8::ffff', true],
    ['2001:db8::/64', '2001:db8:0:1::1', false],
  ])('%s holds %s: %s', (cidr, address, inside) => {
    expect(cidrContains(cidr, address)).toBe(inside);
  });

  it('holds the address that it was made from, and is canonical when it is read again', () => {
    const address = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
      fc.tuple(
        // A mapped IPv4 address counts as IPv4.
        fc.ipV6().filter((host) => !/^::ffff:\d+\./i.test(host)),
        fc.integer({ min: 0, max: 128 }),
      ),
    );
    fc.assert(
      fc.property(address, ([host, length]) => {
        const block = parseCidr(`${host}/${length}`)!;
        expect(cidrContains(block.text, host)).toBe(true);
        expect(parseCidr(block.text)).toEqual(block);
      }),
    );
  });
});

import { describe, expect, it } from '@jest/globals';
import { InputError, inputsOf } from '@lockkeeper/action';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { parseInputs } from '../src/inputs.ts';

const { inputs: defaults } = contractOf(actions().find(({ name }) => name === 'ephemeral-ssh-ingress')!);
const needed = { 'security-group-id': 'sg-0123456789abcdef0', region: 'ap-northeast-2' };
const given = (values: Record<string, string>, env = {}) =>
  parseInputs(inputsOf({ ...needed, ...values }, defaults), env);
const problems = (values: Record<string, string>, env = {}): string[] => {
  try {
    given(values, env);
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
};

describe('inputs', () => {
  it('are refused all at once', () =>
    expect(
      problems({
        'security-group-id': ' ',
        port: '0, 65536, 22-80',
        cidr: '0.0.0.0/0\n10.0.0.0/8\n203.0.113. 7',
        ttl: '2',
        region: ' ',
      }),
    ).toEqual([
      'security-group-id: is required; expected one or several, such as sg-0123456789abcdef0',
      'port: "0" is not valid; expected a whole number from 1 to 65535',
      'port: "65536" is not valid; expected a whole number from 1 to 65535',
      'port: "22-80" is not valid; expected a whole number from 1 to 65535',
      'cidr: "0.0.0.0/0" is wider than one address (/0, not /32); expected one address such as 203.0.113.7/32 or 2001:db8::7/128',
      'cidr: "10.0.0.0/8" is wider than one address (/8, not /32); expected one address such as 203.0.113.7/32 or 2001:db8::7/128',
      'cidr: "203.0.113. 7" is not an IPv4 or IPv6 address; expected one address such as 203.0.113.7/32 or 2001:db8::7/128',
      'ttl: "2" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
      'region: is required; expected a region such as ap-northeast-2, here or in AWS_REGION of the environment',
    ]));

  it.each([
    ['203.0.113.7', '203.0.113.7/32'],
    ['10.0.0.5/32', '10.0.0.5/32'],
    ['2001:DB8:0:0::0007', '2001:db8::7/128'],
  ])('take cidr %s as %s', (cidr, expected) => expect(given({ cidr }).cidrs).toEqual([expected]));

  it.each([
    ['two of a kind', '203.0.113.7, 203.0.113.8'],
    ['a short IPv4', '10.1'],
    ['octal', '010.0.0.1'],
    ['a zone', 'fe80::1%eth0'],
    ['IPv4 in IPv6', '::ffff:203.0.113.7'],
    ['two slashes', '203.0.113.7/32/32'],
    ['a longer prefix', '203.0.113.7/33'],
    ['::/0', '::/0'],
  ])('refuse as cidr %s', (_, cidr) => expect(problems({ cidr })).toHaveLength(1));

  it.each([
    ['sg-123', false],
    ['sg-0123456789', false],
    ['vpc-0123456789abcdef0', false],
    ['sg-01234567', true],
    ['sg-0123456789abcdef0\nsg-0123456789abcdef1', true],
  ])('take security-group-id %j: %s', (id, taken) =>
    expect(problems({ 'security-group-id': id }).length === 0).toBe(taken),
  );

  it('need no group to close', () =>
    expect(given({ mode: 'close', 'security-group-id': '' }).groupIds).toEqual([]));
  it('need a group to sweep', () =>
    expect(problems({ mode: 'sweep', 'security-group-id': '' })).toHaveLength(1));

  it.each([
    ['https://ip.example', true],
    ['http://127.0.0.1:8080/ip', true],
    ['http://[::1]:8080/ip', true],
    ['http://ip.example', false],
    ['http://127.0.0.1.evil.example/', false],
    ['ip.example', false],
  ])('take ip-lookup-url %s: %s', (url, taken) =>
    expect(problems({ 'ip-lookup-url': url }).length === 0).toBe(taken),
  );

  it('let one service decide when one is given', () =>
    expect(given({ 'ip-lookup-url': 'https://ip.example' }).lookupQuorum).toBe(1));
  it('refuse a quorum that cannot be', () =>
    expect(problems({ 'ip-lookup-quorum': '4' })[0]).toMatch(/^ip-lookup-quorum: 4 services cannot agree/));

  it.each([
    ['web.example:22', { host: 'web.example', port: 22 }],
    ['203.0.113.20:2222', { host: '203.0.113.20', port: 2222 }],
    ['[2001:db8::20]:22', { host: '2001:db8::20', port: 22 }],
  ])('take probe %s', (probe, expected) => expect(given({ probe }).probes).toEqual([expected]));
  it.each(['web.example', 'web.example:0', 'web:70000', '2001:db8::20:22', 'a b:22'])(
    'refuse probe %s',
    (probe) => expect(problems({ probe })).toHaveLength(1),
  );

  it('refuse what has no meaning in a mode', () =>
    expect(
      problems({ mode: 'sweep', probe: 'web:22', cidr: '203.0.113.7' }).map((line) => line.split(':')[0]),
    ).toEqual(['cidr', 'probe']));

  it.each([{ AWS_REGION: 'eu-west-1' }, { AWS_DEFAULT_REGION: 'eu-west-1' }])(
    'take the region of the environment: %j',
    (env) => expect(given({ region: '' }, env).region).toBe('eu-west-1'),
  );
  it('refuse a role that is none', () =>
    expect(problems({ 'role-to-assume': 'deploy' })[0]).toMatch(/^role-to-assume: "deploy"/));
});

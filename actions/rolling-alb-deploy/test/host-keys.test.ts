import { describe, expect, it } from '@jest/globals';
import { AwsCallError } from '@lockkeeper/aws';
import { fingerprintsIn, withHostKeys } from '../src/hosts/host-keys.ts';
import type { FleetMember } from '../src/plan/members.ts';

const key = (letter: string) => `SHA256:${letter.repeat(43)}`;
const block = (prefix: string, ...fingerprints: string[]) =>
  [
    `${prefix}#############################################################`,
    `${prefix}-----BEGIN SSH HOST KEY FINGERPRINTS-----`,
    ...fingerprints.map((one) => `${prefix}256 ${one} root@ip-10-0-0-5 (ED25519)`),
    `${prefix}-----END SSH HOST KEY FINGERPRINTS-----`,
  ].join('\r\n');

describe('fingerprints in a console output', () => {
  it.each([
    ['Amazon Linux', block('ec2: ', key('a'), key('b')), [key('a'), key('b')]],
    ['Ubuntu', block('<14>Nov 26 13:31:36 ec2: ', key('a')), [key('a')]],
    ['no prefix', block('', key('a')), [key('a')]],
    [
      'a start before, with other keys',
      `${block('ec2: ', key('a'))}\r\nrebooting\r\n${block('ec2: ', key('b'))}`,
      [key('b')],
    ],
    [
      'a block that is still being printed',
      `${block('ec2: ', key('a'))}\n-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 ${key('b')} x (RSA)`,
      [key('a')],
    ],
    ['a block whose beginning is cut off', block('', key('a')).split('\r\n').slice(2).join('\n'), []],
    ['a fingerprint outside of the block', `${block('', key('a'))}\n256 ${key('b')} evil (RSA)`, [key('a')]],
    [
      'kernel messages in between',
      block('', key('a')).replace('-----\r\n256', '-----\r\n[   12.3] eth0: up\r\n256'),
      [key('a')],
    ],
    [
      'a block that was broken off, and one after it',
      `-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 ${key('b')} x (RSA)\nreset\n${block('', key('a'))}`,
      [key('a')],
    ],
    ['MD5 alone', block('', '2048 aa:bb:cc:dd'), []],
    ['nothing', '', []],
  ])('%s', (_, console, found) => expect(fingerprintsIn(console)).toEqual(found));
});

describe('host keys from the console', () => {
  const member = (id: string, change: Partial<FleetMember['address']> = {}) =>
    ({ id, address: { host: 'h', ...change } }) as FleetMember;
  const consoles = (kept: Record<string, string>, latest: Record<string, string> = {}) => ({
    console: async (id: string, when: 'kept' | 'latest') => {
      if (when === 'kept') return kept[id] ?? '';
      if (latest[id] === undefined) throw new AwsCallError('refused', 'UnsupportedOperation', 'not here');
      return latest[id];
    },
  });

  it('are those of the first start, or of the latest output', async () => {
    const instances = consoles({ 'i-a': block('', key('a')) }, { 'i-b': block('', key('b')) });
    const { members, problems } = await withHostKeys(instances, [member('i-a'), member('i-b')]);
    expect(problems).toEqual([]);
    expect(members.map(({ address }) => address.fingerprints)).toEqual([[key('a')], [key('b')]]);
  });

  it('are refused by name where there are none, with the way to print them', async () => {
    const { problems } = await withHostKeys(consoles({ 'i-a': 'login: ' }), [
      member('i-a'),
      member('10.0.0.5'),
    ]);
    expect(problems.sort()).toEqual([
      expect.stringMatching(/^host-keys: .* 10\.0\.0\.5 is registered by its address/),
      expect.stringMatching(/^the console of i-a shows no SSH host keys: .*sudo cloud-init single/),
    ]);
  });

  it('are not asked for twice', async () => {
    const instances = { console: () => Promise.reject(new Error('asked')) };
    const known = member('i-a', { fingerprints: [key('a')] });
    expect((await withHostKeys(instances, [known])).members).toEqual([known]);
  });
});

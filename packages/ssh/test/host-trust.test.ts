import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { generateKeyPair } from '@lockkeeper/lab';
import ssh2 from 'ssh2';
import { fingerprintOf, judgeHostKey, offeredAlgorithms, parseHostTrust } from '../src/host-trust.ts';

function key(type: 'ed25519' | 'rsa' | 'ecdsa'): { blob: Buffer; text: string } {
  const pair =
    type === 'rsa'
      ? ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 })
      : type === 'ecdsa'
        ? ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 })
        : generateKeyPair();
  const [name, base64] = pair.public.split(' ');
  return { blob: Buffer.from(base64!, 'base64'), text: `${name} ${base64}` };
}

const [ed25519, other, rsa, ecdsa] = [key('ed25519'), key('ed25519'), key('rsa'), key('ecdsa')];

function hashed(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
}

describe('known_hosts', () => {
  it.each([
    ['the plain name', 'example.com', 'example.com', 22, true],
    ['a name in upper case', 'example.com', 'EXAMPLE.com', 22, true],
    ['one of several names', 'a.example,10.0.0.5', '10.0.0.5', 22, true],
    ['another name', 'example.com', 'example.org', 22, false],
    ['a name on another port', 'example.com', 'example.com', 2222, false],
    ['a name with its port', '[example.com]:2222', 'example.com', 2222, true],
    ['a hashed name', hashed('example.com'), 'example.com', 22, true],
    ['a hashed name with its port', hashed('[example.com]:2222'), 'example.com', 2222, true],
    ['another hashed name', hashed('example.org'), 'example.com', 22, false],
    ['a wildcard', '*.example.com', 'web.example.com', 22, true],
    ['a wildcard that is a dot, not any character', '*.example.com', 'webxexample.com', 22, false],
    ['a question mark', 'web?.example.com', 'web1.example.com', 22, true],
    ['a name that is excluded', '*.example.com,!db.example.com', 'db.example.com', 22, false],
    ['an IPv6 address', '2001:db8::5', '2001:db8::5', 22, true],
  ])('believes %s only where it matches', (_what, pattern, host, port, trusted) => {
    const trust = parseHostTrust({ knownHosts: `# hosts\n\n${pattern} ${ed25519.text} a comment\r\n` });
    expect(judgeHostKey(trust, host, port, ed25519.blob).trusted).toBe(trusted);
  });

  it('tells a changed key from one of a type that is not pinned', () => {
    const trust = parseHostTrust({ knownHosts: `h ${ed25519.text}` });
    expect(judgeHostKey(trust, 'h', 22, other.blob)).toEqual({ trusted: false, why: 'changed' });
    expect(judgeHostKey(trust, 'h', 22, rsa.blob)).toEqual({ trusted: false, why: 'unknown' });
  });

  it('refuses a revoked key even when a fingerprint vouches for it', () => {
    const trust = parseHostTrust({
      knownHosts: `@revoked * ${ed25519.text}\nh ${ed25519.text}`,
      fingerprints: [fingerprintOf(ed25519.blob)],
    });
    expect(judgeHostKey(trust, 'h', 22, ed25519.blob)).toEqual({ trusted: false, why: 'revoked' });
  });

  it('asks the server for no key type but the pinned ones, and never for SHA-1', () => {
    const trust = parseHostTrust({ knownHosts: `h ${rsa.text}\nh ${ecdsa.text}\nelse ${ed25519.text}` });
    expect(offeredAlgorithms(trust, 'h', 22)).toEqual([
      'ecdsa-sha2-nistp256',
      'rsa-sha2-512',
      'rsa-sha2-256',
    ]);
    expect(offeredAlgorithms(trust, 'nobody', 22)).toEqual([]);
  });

  it.each([
    ['@cert-authority * ssh-ed25519 AAAA', /host certificates are not supported/],
    ['@other * ssh-ed25519 AAAA', /unknown marker @other/],
    ['example.com', /is not "host key-type key"/],
    [`h ssh-dss ${ed25519.text.split(' ')[1]}`, /key type "ssh-dss"/],
    [`h ${ed25519.text.slice(0, 40)}`, /cut or damaged/],
    [`h ssh-rsa ${ed25519.text.split(' ')[1]}`, /holds no ssh-rsa key/],
    [`|2|x|y ${ed25519.text}`, /hashed name of an unknown form/],
  ])('refuses the line %s by its number', (line, problem) => {
    expect(() => parseHostTrust({ knownHosts: `# first\n${line}` })).toThrow(problem);
    expect(() => parseHostTrust({ knownHosts: `# first\n${line}` })).toThrow('line 2');
  });
});

describe('fingerprints', () => {
  it('believes any of several, with or without padding, whatever the host', () => {
    const trust = parseHostTrust({
      fingerprints: [fingerprintOf(other.blob), `${fingerprintOf(rsa.blob)}=`],
    });
    expect(judgeHostKey(trust, 'h', 22, rsa.blob).trusted).toBe(true);
    expect(judgeHostKey(trust, 'h', 22, ed25519.blob)).toEqual({ trusted: false, why: 'changed' });
  });

  it.each(['SHA256:short', 'MD5:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff', 'hello'])(
    'refuses %s',
    (value) => {
      expect(() => parseHostTrust({ fingerprints: [value] })).toThrow(/expected SHA256:/);
    },
  );
});

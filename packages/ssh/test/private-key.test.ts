import { createPublicKey, generateKeyPairSync, type KeyExportOptions, type KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { generateKeyPair } from '@lockkeeper/lab';
import ssh2 from 'ssh2';
import { parsePrivateKey } from '../src/private-key.ts';

const openssh = generateKeyPair();
/** One pair of 256 that ssh2 makes cannot be read again; see generateKeyPair of the lab. */
function encryptedPair(): ReturnType<typeof generateKeyPair> {
  const passphrase = 'open sesame';
  const pair = ssh2.utils.generateKeyPairSync('ed25519', { passphrase, cipher: 'aes256-ctr', rounds: 4 });
  return ssh2.utils.parseKey(pair.private, passphrase) instanceof Error ? encryptedPair() : pair;
}
const encrypted = encryptedPair();
const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
  type: 'pkcs1',
  format: 'pem',
}) as string;
/** As openssl genpkey writes keys, and as ssh-keygen -m PEM encrypts them. */
const pairs = {
  ed25519: generateKeyPairSync('ed25519'),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ecdsa: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const passphrase = 'open sesame';
const aes = { cipher: 'aes-256-cbc', passphrase } as const;
const exported = (key: KeyObject, type: 'pkcs8' | 'pkcs1', encryption: object = {}) =>
  String(key.export({ type, format: 'pem', ...encryption } as KeyExportOptions<'pem'>));
const x25519 = exported(generateKeyPairSync('x25519').privateKey, 'pkcs8');

function publicOf(text: string, passphrase?: string): string {
  const key = ssh2.utils.parseKey(parsePrivateKey(text, passphrase), passphrase);
  if (key instanceof Error) throw key;
  return (Array.isArray(key) ? key[0]! : key).getPublicSSH().toString('base64');
}

describe('a private key', () => {
  it.each([
    ['as it is', (key: string) => key],
    ['with CRLF', (key: string) => key.replaceAll('\n', '\r\n')],
    ['without its last line end', (key: string) => key.trimEnd()],
    ['with spaces around its lines', (key: string) => `\n  ${key.replaceAll('\n', ' \n  ')}`],
    ['with literal \\n', (key: string) => key.replaceAll('\n', '\\n')],
    ['as base64', (key: string) => Buffer.from(key).toString('base64')],
    ['as wrapped base64', (key: string) => Buffer.from(key).toString('base64').replace(/.{76}/g, '$&\n')],
    ['on one line', (key: string) => key.trim().replaceAll('\n', ' ')],
    ['with a byte order mark', (key: string) => `\uFEFF${key}`],
  ])('is read %s', (_how, change) => {
    expect(publicOf(change(openssh.private))).toBe(openssh.public.split(' ')[1]);
    expect(publicOf(change(pem))).toBe(publicOf(pem));
  });

  it('is read with its passphrase', () => {
    expect(publicOf(encrypted.private, 'open sesame')).toBe(encrypted.public.split(' ')[1]);
  });

  it.each(Object.entries(pairs))('is read in PKCS#8 form: %s', (_kind, { privateKey, publicKey }) => {
    const signed = Buffer.from('a challenge');
    for (const [text, secret] of [
      [exported(privateKey, 'pkcs8'), undefined],
      [exported(privateKey, 'pkcs8').trim().replaceAll('\n', '\\n'), undefined],
      [exported(privateKey, 'pkcs8', aes), passphrase],
    ] as const) {
      const key = ssh2.utils.parseKey(parsePrivateKey(text, secret), secret);
      if (key instanceof Error || Array.isArray(key)) throw new Error('not one key');
      expect(key.verify(signed, key.sign(signed) as Buffer)).toBe(true);
      expect(createPublicKey(key.getPublicPEM()).equals(publicKey)).toBe(true);
    }
  });

  it('is read in PEM form with a passphrase', () => {
    const text = exported(pairs.rsa.privateKey, 'pkcs1', aes);
    expect(text).toContain('Proc-Type: 4,ENCRYPTED');
    expect(publicOf(text, passphrase)).toBe(publicOf(exported(pairs.rsa.privateKey, 'pkcs1')));
  });

  it.each([
    ['no key at all', 'hunter2', undefined, /is not a private key/],
    ['the public key', openssh.public, undefined, /is a public key/],
    ['a PuTTY key', 'PuTTY-User-Key-File-3: ssh-ed25519', undefined, /PPK/],
    ['half a key', openssh.private.slice(0, 200), undefined, /END line is missing/],
    ['an encrypted key without passphrase', encrypted.private, undefined, /is encrypted/],
    ['an encrypted key with another passphrase', encrypted.private, 'wrong', /cannot be opened/],
    [
      'encrypted PKCS#8 without passphrase',
      exported(pairs.rsa.privateKey, 'pkcs8', aes),
      undefined,
      /is encrypted/,
    ],
    [
      'encrypted PKCS#8 with another',
      exported(pairs.rsa.privateKey, 'pkcs8', aes),
      'wrong',
      /cannot be opened/,
    ],
    ['of no use to SSH', x25519, undefined, /of the kind x25519/],
    ['damaged PKCS#8', x25519.replace(/\n.{20}/, '\nAAAA'), undefined, /damaged/],
    ['a damaged key', openssh.private.replace(/\n.{20}/, '\nAAAA'), undefined, /damaged/],
  ])('that is %s is refused by name, without a byte of it', (_what, text, passphrase, problem) => {
    let message = '';
    try {
      parsePrivateKey(text, passphrase);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(problem);
    for (const line of text.split('\n')) if (line.length > 30) expect(message).not.toContain(line);
  });
});

import { describe, expect, it } from '@jest/globals';
import { generateKeyPair } from '@lockkeeper/lab';
import { explain } from '../src/dial.ts';
import { parseHostTrust } from '../src/host-trust.ts';
import type { SshTarget } from '../src/target.ts';

const [type = '', key = ''] = generateKeyPair().public.split(' ');
const stranger = Buffer.from(generateKeyPair().public.split(' ')[1]!, 'base64');
const target: SshTarget = {
  host: 'app.example',
  port: 22,
  username: 'deploy',
  privateKey: '',
  trust: parseHostTrust({ knownHosts: `app.example ${type} ${key}` }),
  connectTimeout: 30_000,
};
const failure = (message: string, more: { code?: string; level?: string } = {}) =>
  Object.assign(new Error(message), more);

describe('a failed attempt to connect', () => {
  it.each([
    [failure('getaddrinfo', { code: 'EAI_AGAIN' }), false, /DNS does not answer for app\.example/],
    [failure('connect', { code: 'ECONNREFUSED' }), false, /no SSH server listens there/],
    [failure('connect', { code: 'ETIMEDOUT' }), false, /security group does not let this runner in/],
    [failure('connect', { code: 'EHOSTUNREACH' }), false, /does not answer/],
    [failure('read', { code: 'ECONNRESET' }), true, /dropped the connection during the handshake/],
    [failure('Timed out', { level: 'client-timeout' }), true, /did not finish the SSH handshake/],
    [failure('Timed out', { level: 'client-timeout' }), false, /does not answer/],
    // sshd at its MaxStartups.
    [failure('Connection lost before handshake'), true, /Connection lost before handshake/],
  ])('that may pass by itself is tried again: %s', (error, connected, message) => {
    const { retry, error: told } = explain(target, error, undefined, connected);
    expect(told.message).toMatch(message);
    expect(retry).toBe(true);
  });

  it.each([
    [failure('getaddrinfo', { code: 'ENOTFOUND' }), undefined, /app\.example is unknown to DNS/],
    [
      failure('All configured authentication methods failed', { level: 'client-authentication' }),
      undefined,
      /refused the key for user "deploy"/,
    ],
    [failure('Handshake failed: no matching host key format'), undefined, /no host key of the pinned type/],
    [failure('Handshake failed: no matching key exchange algorithm'), undefined, /no matching key exchange/],
    [failure('Host denied (verification failed)'), stranger, /is not the pinned one/],
  ])('that stays is not: %s', (error, shown, message) => {
    const { retry, error: told } = explain(target, error, shown, true);
    expect(told.message).toMatch(message);
    expect(retry).toBe(false);
  });
});

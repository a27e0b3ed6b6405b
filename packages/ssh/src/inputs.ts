import { isIP } from 'node:net';
import { type Inputs, UserError } from '@lockkeeper/action';
import { type HostTrust, parseHostTrust } from './host-trust.ts';
import { parsePrivateKey } from './private-key.ts';
import type { SshTarget } from './target.ts';

const hostName =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;

/** A host name by RFC 1123 or an IP address; nothing that another program could take for an option or a command. */
export function isHostName(text: string): boolean {
  return isIP(text) !== 0 || hostName.test(text);
}

/** Reports a host that is no name or address as a problem of the input. */
export function checkHostName(inputs: Inputs, name: string, host: string): void {
  if (!isHostName(host)) inputs.reject(name, host, 'a host name or an IP address, without user or port');
}

/**
 * The SSH inputs that every deploying action shares. Problems are collected in `inputs`; the result is of
 * use only after `inputs.done()`. Without `needsTrust` the caller learns the hosts' keys by another way.
 */
export function readSshInputs(inputs: Inputs, { needsTrust = true } = {}): Omit<SshTarget, 'host'> {
  const username = readUser(inputs, 'username', true);
  const passphrase = inputs.secret('passphrase').replace(/[\r\n]+$/, '') || undefined;
  const privateKey = readKey(inputs, 'private-key', passphrase, true);
  const port = inputs.integer('port', { min: 1, max: 65535 });
  const knownHosts = inputs.raw('known-hosts');
  const trust = readTrust(inputs, {
    'known-hosts': () => parseHostTrust({ knownHosts }),
    'host-fingerprint': () => parseHostTrust({ fingerprints: inputs.list('host-fingerprint') }),
  });
  if (needsTrust && trust.knownHosts.length + trust.fingerprints.length === 0 && !knownHosts.trim())
    if (inputs.list('host-fingerprint').length === 0)
      inputs.problem(
        'host-fingerprint',
        'is required, or known-hosts: no host is trusted unseen. On the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub',
      );
  const connectTimeout = inputs.duration('connect-timeout', { min: 1000, max: 600_000 });
  const target: Omit<SshTarget, 'host'> = { port, username, privateKey, passphrase, trust, connectTimeout };

  const jumpHost = inputs.text('jump-host');
  const jumpPort = inputs.integer('jump-port', { min: 1, max: 65535 });
  const jumpUser = readUser(inputs, 'jump-username', false);
  const jumpKey = readKey(inputs, 'jump-private-key', passphrase, false);
  const jumpFingerprints = inputs.list('jump-host-fingerprint');
  const jumpTrust = readTrust(inputs, {
    'jump-host-fingerprint': () => parseHostTrust({ fingerprints: jumpFingerprints }),
  });
  if (!jumpHost) {
    for (const name of ['jump-username', 'jump-private-key', 'jump-host-fingerprint'])
      if (inputs.text(name)) inputs.problem(name, 'is of use only with jump-host');
    return target;
  }
  checkHostName(inputs, 'jump-host', jumpHost);
  if (jumpFingerprints.length === 0 && trust.knownHosts.length === 0)
    inputs.problem('jump-host-fingerprint', 'is required with jump-host, or a known-hosts line for it');
  target.jump = {
    host: jumpHost,
    port: jumpPort,
    username: jumpUser || username,
    privateKey: jumpKey || privateKey,
    passphrase,
    trust: { knownHosts: trust.knownHosts, fingerprints: jumpTrust.fingerprints },
    connectTimeout,
  };
  return target;
}

function readUser(inputs: Inputs, name: string, needed: boolean): string {
  const user = needed ? inputs.required(name, 'the user to log in as') : inputs.text(name);
  if (user && !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(user))
    inputs.reject(name, user, 'a user name of letters, digits, dot, dash and underscore');
  return user;
}

function readKey(inputs: Inputs, name: string, passphrase: string | undefined, needed: boolean): string {
  const text = inputs.secret(name);
  if (!text.trim()) {
    if (needed)
      inputs.problem(name, 'is required; a secret is empty in runs of forks and where its name is misspelt');
    return '';
  }
  try {
    return parsePrivateKey(text, passphrase);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    inputs.problem(name, error.next ? `${error.message}. Next: ${error.next}` : error.message);
    return '';
  }
}

function readTrust(inputs: Inputs, parts: Record<string, () => HostTrust>): HostTrust {
  const trust: HostTrust = { knownHosts: [], fingerprints: [] };
  for (const [name, parse] of Object.entries(parts)) {
    try {
      const part = parse();
      trust.knownHosts.push(...part.knownHosts);
      trust.fingerprints.push(...part.fingerprints);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      inputs.problem(name, `${error.message}. Next: ${error.next}`);
    }
  }
  return trust;
}

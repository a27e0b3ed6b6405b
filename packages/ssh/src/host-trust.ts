import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { UserError } from '@lockkeeper/action';

/** One line of known_hosts. */
interface KnownHost {
  revoked: boolean;
  /** `host`, `[host]:port`, patterns with `*` and `?`, `!` in front excludes; or one `|1|salt|hash`. */
  patterns: string[];
  type: string;
  /** The public key blob, base64. */
  key: string;
}

/** Which host keys are believed. Made by `parseHostTrust`; there is no trust on first use. */
export interface HostTrust {
  knownHosts: KnownHost[];
  /** `SHA256:…` without padding. */
  fingerprints: string[];
}

const keyTypes = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
] as const;

/** Signature algorithms to offer for a key type, best first. An RSA key signs with SHA-2; SHA-1 is not offered. */
const algorithmsOf: Record<string, string[]> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

/** Reads known_hosts lines and fingerprints. Throws UserError with every line that is not understood. */
export function parseHostTrust({
  knownHosts = '',
  fingerprints = [],
}: {
  knownHosts?: string;
  fingerprints?: readonly string[];
}): HostTrust {
  const problems: string[] = [];
  const trust: HostTrust = { knownHosts: [], fingerprints: [] };
  knownHosts.split(/\r\n|\n|\\n/).forEach((text, index) => {
    const line = text.trim();
    if (!line || line.startsWith('#')) return;
    const parsed = parseKnownHost(line);
    if (typeof parsed === 'string') problems.push(`line ${index + 1} ${parsed}`);
    else trust.knownHosts.push(parsed);
  });
  for (const given of fingerprints) {
    const value = given.trim().replace(/=+$/, '');
    if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(value)) trust.fingerprints.push(value);
    else if (/^(MD5:)?([0-9a-f]{2}:){15}[0-9a-f]{2}$/i.test(value))
      problems.push(`"${value}" is an MD5 fingerprint, which proves nothing today; expected SHA256:…`);
    else
      problems.push(
        `"${value.slice(0, 80)}" is not a fingerprint; expected SHA256: and 43 base64 characters`,
      );
  }
  if (problems.length > 0)
    throw new UserError(problems.join('; '), {
      next: 'ssh-keyscan HOST | ssh-keygen -lf -   (from a place you trust; compare with the console output)',
    });
  return trust;
}

function parseKnownHost(line: string): KnownHost | string {
  const words = line.split(/\s+/);
  const marker = words[0]?.startsWith('@') ? words.shift() : undefined;
  if (marker === '@cert-authority')
    return 'is a @cert-authority line: host certificates are not supported; give the host key itself';
  if (marker && marker !== '@revoked') return `has the unknown marker ${marker}`;
  const [hosts, type, key] = words;
  if (!hosts || !type || !key) return 'is not "host key-type key"';
  if (hosts.startsWith('SHA256:')) return 'is a fingerprint; give it as host-fingerprint';
  if (type.endsWith('-cert-v01@openssh.com'))
    return 'is a host certificate, which is not supported; give the host key itself';
  if (!keyTypes.includes(type as (typeof keyTypes)[number]))
    return `has the key type "${type.slice(0, 40)}"; expected one of ${keyTypes.join(', ')}`;
  if (!/^[A-Za-z0-9+/]+=*$/.test(key) || !isKey(Buffer.from(key, 'base64'), type))
    return `holds no ${type} key: it is cut or damaged`;
  if (hosts.startsWith('|') && !/^\|1\|[A-Za-z0-9+/]+=*\|[A-Za-z0-9+/]+=*$/.test(hosts))
    return 'has a hashed name of an unknown form; expected |1|salt|hash';
  return { revoked: marker === '@revoked', patterns: hosts.split(','), type, key };
}

/** The type that an SSH public key blob states about itself. */
export function keyTypeOf(blob: Buffer): string | undefined {
  if (blob.length < 4) return undefined;
  const length = blob.readUInt32BE(0);
  return length <= blob.length - 4 ? blob.toString('latin1', 4, 4 + length) : undefined;
}

/** Whether a blob is a whole public key of the type: length-prefixed fields that end where it ends. */
function isKey(blob: Buffer, type: string): boolean {
  let fields = 0;
  let at = 0;
  while (at + 4 <= blob.length) {
    at += 4 + blob.readUInt32BE(at);
    fields++;
  }
  return keyTypeOf(blob) === type && at === blob.length && fields === (type === 'ssh-ed25519' ? 2 : 3);
}

/** As `ssh-keygen -l` prints it. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** The name under which known_hosts keeps a host: the port belongs to it unless it is 22. */
export function knownHostName(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`;
}

function matches(entry: KnownHost, host: string, port: number): boolean {
  const name = knownHostName(host.toLowerCase(), port);
  const [first = ''] = entry.patterns;
  if (first.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = first.split('|');
    const expected = Buffer.from(hash, 'base64');
    const actual = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
    return expected.length === actual.length && timingSafeEqual(expected, actual);
  }
  let found = false;
  for (const pattern of entry.patterns) {
    const excludes = pattern.startsWith('!');
    if (!wildcard(excludes ? pattern.slice(1) : pattern).test(name)) continue;
    if (excludes) return false;
    found = true;
  }
  return found;
}

function wildcard(pattern: string): RegExp {
  const source = pattern
    .toLowerCase()
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    // `*` many times in a row would make matching slow.
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}

/**
 * The host key algorithms to offer to a server, so that it shows a key that is pinned: a server with an
 * Ed25519 and an RSA key, pinned by RSA only, would else show the other one. Undefined where fingerprints
 * are given, which do not tell their type. An empty list: nothing is pinned for this host.
 */
export function offeredAlgorithms(trust: HostTrust, host: string, port: number): string[] | undefined {
  if (trust.fingerprints.length > 0) return undefined;
  const pinned = new Set(
    trust.knownHosts
      .filter((entry) => !entry.revoked && matches(entry, host, port))
      .map((entry) => entry.type),
  );
  return keyTypes.filter((type) => pinned.has(type)).flatMap((type) => algorithmsOf[type] ?? []);
}

/** The algorithms that remain when a server's key of this type was not the pinned one. */
export function withoutType(algorithms: readonly string[] | undefined, type: string): string[] {
  const all = algorithms ?? keyTypes.flatMap((known) => algorithmsOf[known] ?? []);
  const gone = new Set(algorithmsOf[type] ?? [type]);
  return all.filter((algorithm) => !gone.has(algorithm));
}

export type KeyJudgement = { trusted: true } | { trusted: false; why: 'revoked' | 'changed' | 'unknown' };

/** Whether the key that a server shows is one that was pinned for it. A revoked key is refused whoever vouches for it. */
export function judgeHostKey(trust: HostTrust, host: string, port: number, blob: Buffer): KeyJudgement {
  const key = blob.toString('base64');
  const same = (entry: KnownHost) => Buffer.from(entry.key, 'base64').toString('base64') === key;
  const entries = trust.knownHosts.filter((entry) => matches(entry, host, port));
  if (entries.some((entry) => entry.revoked && same(entry))) return { trusted: false, why: 'revoked' };
  if (entries.some((entry) => !entry.revoked && same(entry))) return { trusted: true };
  if (trust.fingerprints.includes(fingerprintOf(blob))) return { trusted: true };
  const type = keyTypeOf(blob);
  const pinnedType = entries.some((entry) => entry.type === type) || trust.fingerprints.length > 0;
  return { trusted: false, why: pinnedType ? 'changed' : 'unknown' };
}

/** What is pinned for a host, for a message: fingerprints with their types where known. */
export function pinnedFor(trust: HostTrust, host: string, port: number): string[] {
  return [
    ...trust.knownHosts
      .filter((entry) => !entry.revoked && matches(entry, host, port))
      .map((entry) => `${fingerprintOf(Buffer.from(entry.key, 'base64'))} (${entry.type})`),
    ...trust.fingerprints,
  ];
}

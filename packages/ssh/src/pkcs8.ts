import { createPrivateKey, type KeyObject } from 'node:crypto';
import { UserError } from '@lockkeeper/action';

/** Whether a key is in the form that `openssl genpkey` writes, which ssh2 does not read. */
export function isPkcs8(key: string): boolean {
  return /-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.test(key);
}

/** A PKCS#8 key in a form that ssh2 reads, without its passphrase. Throws UserError that names what is wrong. */
export function fromPkcs8(key: string, passphrase: string | undefined): string {
  const opened = open(key, passphrase);
  switch (opened.asymmetricKeyType) {
    case 'rsa':
      return String(opened.export({ type: 'pkcs1', format: 'pem' }));
    case 'ec':
      return String(opened.export({ type: 'sec1', format: 'pem' }));
    case 'ed25519':
      return opensshEd25519(opened);
    default:
      throw new UserError(
        `is of the kind ${opened.asymmetricKeyType}, which SSH has no use for; expected Ed25519, ECDSA or RSA`,
      );
  }
}

function open(key: string, passphrase: string | undefined): KeyObject {
  const encrypted = key.includes('BEGIN ENCRYPTED');
  if (encrypted && passphrase === undefined)
    throw new UserError('is encrypted; give its passphrase, or a key without one for this deploy only');
  try {
    return createPrivateKey({ key, passphrase });
  } catch {
    if (encrypted) throw new UserError('cannot be opened with this passphrase');
    throw new UserError('cannot be read: it is damaged or of an unsupported kind', {
      next: 'openssl pkey -in key -noout   (says nothing when the file is whole)',
    });
  }
}

/** OpenSSH's own form (PROTOCOL.key), not encrypted: Node cannot write it. */
function opensshEd25519(key: KeyObject): string {
  const { d = '', x = '' } = key.export({ format: 'jwk' });
  const [seed, publicKey] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')];
  const type = field('ssh-ed25519');
  const check = Buffer.from('lock');
  const secret = Buffer.concat([
    ...[check, check, type, field(publicKey), field(Buffer.concat([seed, publicKey])), field('')],
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (secret.length % 8)) % 8));
  const whole = Buffer.concat([
    ...[Buffer.from('openssh-key-v1\0'), field('none'), field('none'), field(''), Buffer.from([0, 0, 0, 1])],
    ...[field(Buffer.concat([type, field(publicKey)])), field(Buffer.concat([secret, padding]))],
  ]);
  const lines = whole.toString('base64').replace(/.{70}/g, '$&\n').trimEnd();
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

/** A string as SSH writes it: its length before it. */
function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

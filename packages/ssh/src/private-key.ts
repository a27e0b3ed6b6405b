import { UserError } from '@lockkeeper/action';
import ssh2 from 'ssh2';
import { fromPkcs8, isPkcs8 } from './pkcs8.ts';

/**
 * Makes of a key as people paste it (CRLF, literal `\n`, base64 of the file, no last newline, lines joined
 * by spaces) the text that ssh2 reads, and proves that it can be read. Throws UserError that names what is
 * wrong; no byte of the key is in it.
 */
export function parsePrivateKey(text: string, passphrase?: string): string {
  let key = normalised(text);
  if (/^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-)/.test(key))
    throw new UserError('is a public key; expected the private one, the file without .pub');
  if (key.startsWith('PuTTY-User-Key-File'))
    throw new UserError('is a PuTTY key (PPK)', { next: 'puttygen key.ppk -O private-openssh -o key' });
  if (!/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(key))
    throw new UserError('is not a private key; expected text that starts with -----BEGIN … PRIVATE KEY-----');
  if (!/-----END [A-Z0-9 ]*PRIVATE KEY-----/.test(key))
    throw new UserError('is cut: its END line is missing');
  if (isPkcs8(key)) key = fromPkcs8(key, passphrase);
  const parsed = ssh2.utils.parseKey(key, passphrase);
  if (!(parsed instanceof Error)) return key;
  const message = parsed.message.toLowerCase();
  if (message.includes('no passphrase given'))
    throw new UserError('is encrypted; give its passphrase, or a key without one for this deploy only');
  if (passphrase !== undefined && /bad decrypt|bad passphrase|integrity|malformed|decrypt/.test(message))
    throw new UserError('cannot be opened with this passphrase');
  throw new UserError('cannot be read: it is damaged or of an unsupported kind', {
    next: 'ssh-keygen -y -f key   (prints the public key when the file is whole)',
  });
}

function normalised(text: string): string {
  let key = text.replace(/^\uFEFF/, '').trim();
  // A secret saved through JSON or an .env file has the two characters \ and n for each line end.
  if (!key.includes('\n') && key.includes('\\n')) key = key.replaceAll('\\n', '\n');
  if (!key.includes('-----BEGIN') && /^[A-Za-z0-9+/=\s]+$/.test(key) && key.length > 60) {
    const decoded = Buffer.from(key.replace(/\s+/g, ''), 'base64').toString('utf8');
    if (decoded.includes('-----BEGIN')) key = decoded.trim();
  }
  key = key
    .replaceAll('\r\n', '\n')
    .replaceAll('\r', '\n')
    .split('\n')
    .map((line) => line.trim())
    .join('\n');
  // Line ends that became spaces: only OpenSSH's and headerless PEM bodies can be put right.
  const [, begin, body, end] =
    /^(-----BEGIN [A-Z0-9 ]+-----) +([A-Za-z0-9+/= ]+?) +(-----END [A-Z0-9 ]+-----)$/.exec(key) ?? [];
  if (begin && body && end) key = [begin, ...body.split(/ +/), end].join('\n');
  return `${key}\n`;
}

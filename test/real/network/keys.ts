import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './command.ts';

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa';

export interface SshKey {
  /** OpenSSH's own format. */
  private: string;
  /** `ssh-ed25519 AAAA…`, without a comment. */
  public: string;
  /** `SHA256:…` */
  fingerprint: string;
}

/** A key pair from ssh-keygen itself. */
export async function makeKey(type: KeyType = 'ed25519', passphrase = ''): Promise<SshKey> {
  const directory = await mkdtemp(join(tmpdir(), 'lockkeeper-key-'));
  const file = join(directory, 'key');
  try {
    const bits = type === 'rsa' ? ['-b', '2048'] : [];
    await run('ssh-keygen', ['-q', '-t', type, ...bits, '-N', passphrase, '-C', '', '-f', file]);
    const listed = await run('ssh-keygen', ['-lf', `${file}.pub`]);
    return {
      private: await readFile(file, 'utf8'),
      public: (await readFile(`${file}.pub`, 'utf8')).trim(),
      fingerprint: listed.split(' ')[1]!,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

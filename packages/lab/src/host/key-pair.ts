import ssh2 from 'ssh2';

export interface KeyPair {
  /** OpenSSH private key. */
  private: string;
  /** authorized_keys line. */
  public: string;
}

/**
 * A fresh ed25519 key pair. ssh2 1.17 drops leading zero bytes of the public half (lib/keygen.js), so that one pair
 * of 256 cannot be read again: such a one is thrown away. `generate` is where pairs come from.
 */
export function generateKeyPair(
  comment = '',
  generate: () => KeyPair = () => ssh2.utils.generateKeyPairSync('ed25519', { comment }),
): KeyPair {
  for (;;) {
    const pair = generate();
    if (ssh2.utils.parseKey(pair.private) instanceof Error) continue;
    if (ssh2.utils.parseKey(pair.public) instanceof Error) continue;
    return pair;
  }
}

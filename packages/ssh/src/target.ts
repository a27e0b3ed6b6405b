import type { HostTrust } from './host-trust.ts';

/** Where to connect, as whom, and which host keys are believed. */
export interface SshTarget {
  host: string;
  port: number;
  username: string;
  /** As `parsePrivateKey` returns it. */
  privateKey: string;
  passphrase?: string;
  trust: HostTrust;
  /** Milliseconds for the whole connect phase, retries included. */
  connectTimeout: number;
  /** The bastion to go through; it sees only the encrypted connection to the host behind it. */
  jump?: SshTarget;
}

/** What one probe saw. `at` is epoch milliseconds, `ms` the time it took. */
export type Sample = Answer | NoAnswer;

/** An address of the host that took no connection, so that the next one was asked. */
export interface PassedOver {
  address: string;
  /** The system's code, such as ECONNREFUSED; ETIMEDOUT when the attempt took too long. */
  code: string;
}

interface Probed {
  at: number;
  ms: number;
  /** Milliseconds of `ms` until the connection stood: name, TCP and TLS. */
  connectMs?: number;
  /** The address that answered, as the socket knows it. */
  address: string;
  passedOver?: PassedOver[];
}

export interface Answer extends Probed {
  answered: true;
  /** 0 for a plain TCP connect, which has no status. */
  status: number;
  headers: Record<string, string>;
  body: string;
  /** The body was longer than the limit and is cut. */
  truncated: boolean;
}

/** An answer without time and address. */
export type Answered = Pick<Answer, 'status' | 'headers' | 'body' | 'truncated'>;

export interface NoAnswer extends Probed {
  answered: false;
  kind: 'dns' | 'connect' | 'tls' | 'timeout' | 'protocol' | 'no-route';
  /** The system's own code, such as ECONNREFUSED or CERT_HAS_EXPIRED. */
  code: string;
  /** In words, with what was tried. */
  message: string;
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
export const endpoint = (address: string, port: number | undefined): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`;

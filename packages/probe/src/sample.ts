/** What one probe saw. `at` is epoch milliseconds, `ms` the time it took. */
export type Sample = Answer | NoAnswer;

export interface Answer {
  answered: true;
  at: number;
  ms: number;
  /** The address that answered, as the socket knows it. */
  address: string;
  /** 0 for a plain TCP connect, which has no status. */
  status: number;
  headers: Record<string, string>;
  body: string;
  /** The body was longer than the limit and is cut. */
  truncated: boolean;
}

export interface NoAnswer {
  answered: false;
  at: number;
  ms: number;
  address: string;
  kind: 'dns' | 'connect' | 'tls' | 'timeout' | 'protocol';
  /** The system's own code, such as ECONNREFUSED or CERT_HAS_EXPIRED. */
  code: string;
  /** In words, with what was tried. */
  message: string;
}

import { isIPv6 } from 'node:net';
import { endpoint, type NoAnswer } from './sample.ts';

const words: Record<string, string> = {
  EAI_AGAIN: 'the name server did not answer',
  ECONNREFUSED: 'connection refused: nothing listens there',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  EADDRNOTAVAIL: 'no route to the network',
  ETIMEDOUT: 'the connection timed out',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed; give its issuer in ca-certificates',
  SELF_SIGNED_CERT_IN_CHAIN: 'the chain ends in an unknown root; give it in ca-certificates',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'the server does not send its intermediate certificate, or its root is unknown; give that in ca-certificates',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the issuer of the certificate is unknown; give it in ca-certificates',
  EPROTO: 'no TLS is spoken there',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS is spoken there; is it http on this port?',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no TLS is spoken there; is it http on this port?',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the server asks for a client certificate, which a gate has not',
  ERR_TLS_CLOSED: 'the other side closed the connection during the TLS handshake',
  HPE_HEADER_OVERFLOW: 'the headers of its answer are longer than 16 KiB',
  Z_DATA_ERROR: 'the body is not packed as its Content-Encoding says',
  Z_BUF_ERROR: 'the body is cut short',
};

const tlsCode = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO)/;
/** Codes that tell of the machine that asks, not of the one that is asked. */
export const noRoute: readonly string[] = ['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'];

type Cause = NodeJS.ErrnoException & {
  address?: string;
  port?: number;
  hostname?: string;
  reason?: string;
  rawPacket?: Buffer;
};

/** Sorts what a failed request threw, and says it in words. A name with several addresses throws one error for each. */
export function explainNoAnswer(error: unknown): Pick<NoAnswer, 'kind' | 'code' | 'message'> {
  const causes = (error instanceof AggregateError ? error.errors : [error]) as Cause[];
  // What an address said that could be reached tells more than that another could not.
  const telling =
    causes.find(({ code }) => code && !noRoute.includes(code)) ??
    causes.find(({ code }) => code) ??
    (error as Cause);
  const code = String(telling.code ?? telling.name ?? 'unknown');
  if (noRoute.includes(code) && causes.every(({ address }) => address && isIPv6(address)))
    return {
      kind: 'no-route',
      code,
      message: `this machine has no route to IPv6 (${where(causes)}), and nothing was asked over IPv4`,
    };
  const inTurn = [...new Set(causes.map((cause) => sayCause(cause)))];
  const message = inTurn
    .map((text) => {
      const at = where(causes.filter((cause) => sayCause(cause) === text));
      return at ? `${text} (${at})` : text;
    })
    .join('; ');
  return { kind: kindOf(telling, code), code, message };
}

const where = (causes: Cause[]) =>
  causes
    .flatMap(({ address, port }) => (address && port !== undefined ? [endpoint(address, port)] : []))
    .join(', ');

function kindOf(cause: Cause, code: string): NoAnswer['kind'] {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'dns';
  if (tlsCode.test(code) || closedInHandshake(cause)) return 'tls';
  if (code === 'ETIMEDOUT') return 'timeout';
  if (code.startsWith('HPE_') || code.startsWith('Z_')) return 'protocol';
  return 'connect';
}

function sayCause(cause: Cause): string {
  const { message } = cause;
  const code = String(cause.code ?? cause.name ?? 'unknown');
  if (code === 'ENOTFOUND') return `the name ${cause.hostname ?? ''} does not resolve`.replace('  ', ' ');
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the certificate is for another name: ${cause.reason ?? message}`;
  if (closedInHandshake(cause)) return words.ERR_TLS_CLOSED!;
  if (message === 'socket hang up') return 'the other side closed the connection without an answer';
  if (message === 'aborted') return 'the connection was reset in the middle of the answer';
  if (code === 'HPE_INVALID_CONSTANT') {
    // A TLS alert (RFC 8446, 5.1) is what a TLS server says to a plain request.
    if (cause.rawPacket?.[0] === 0x15) return 'TLS is spoken there; write https (or wss) in url';
    return `no HTTP is spoken there: ${message}`;
  }
  if (code.startsWith('HPE_') && !words[code]) return `its answer is not valid HTTP: ${message}`;
  // OpenSSL's own message is a line of its source.
  return (
    words[code] ??
    (code.startsWith('ERR_SSL_') ? `the TLS handshake failed: ${cause.reason}` : message || code)
  );
}

const closedInHandshake = ({ message }: Cause) => /before secure TLS connection/.test(message ?? '');

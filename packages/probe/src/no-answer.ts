import type { NoAnswer } from './sample.ts';

const words: Record<string, string> = {
  ENOTFOUND: 'the name does not resolve',
  EAI_AGAIN: 'the name server did not answer',
  ECONNREFUSED: 'connection refused: nothing listens there',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_SOCKET: 'the other side closed the connection',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed; give its issuer in ca-certificates',
  SELF_SIGNED_CERT_IN_CHAIN: 'the chain ends in an unknown root; give it in ca-certificates',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'the server does not send its intermediate certificate, or its root is unknown',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the issuer of the certificate is unknown; give it in ca-certificates',
  EPROTO: 'no TLS is spoken there',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS is spoken there; is it http on this port?',
};

const tlsCode = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO)/;

/** Sorts what a failed request threw, and says it in words. Happy eyeballs throw one error an address. */
export function explainNoAnswer(error: unknown): Pick<NoAnswer, 'kind' | 'code' | 'message'> {
  const causes = error instanceof AggregateError ? error.errors : [error];
  const first = (causes.find((cause) => cause?.code) ?? error) as NodeJS.ErrnoException & { reason?: string };
  const code = String(first.code ?? first.name ?? 'unknown');
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return {
      kind: 'tls',
      code,
      message: `the certificate is for another name: ${first.reason ?? first.message}`,
    };
  const addresses = causes
    .filter((cause) => cause?.address)
    .map((cause) => `${cause.address}:${cause.port}`)
    .join(', ');
  const text = words[code] ?? first.message ?? code;
  const message = `${text}${addresses ? ` (${addresses})` : ''}`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return { kind: 'dns', code, message };
  if (tlsCode.test(code)) return { kind: 'tls', code, message };
  if (code === 'ETIMEDOUT') return { kind: 'timeout', code, message };
  if (code.startsWith('HPE_'))
    return { kind: 'protocol', code, message: `no HTTP is spoken there: ${first.message}` };
  return { kind: 'connect', code, message };
}

import { expect, it } from '@jest/globals';
import { explainNoAnswer } from '../src/index.ts';

const failed = (code: string, address: string, port = 443) =>
  Object.assign(new Error(`connect ${code} ${address}:${port}`), { code, address, port });

it.each<[string, Error, string, string]>([
  [
    'one address that refuses',
    failed('ECONNREFUSED', '192.0.2.1'),
    'connect',
    'connection refused: nothing listens there (192.0.2.1:443)',
  ],
  [
    'every address that refuses',
    new AggregateError([failed('ECONNREFUSED', '2001:db8::1'), failed('ECONNREFUSED', '192.0.2.1')]),
    'connect',
    'connection refused: nothing listens there ([2001:db8::1]:443, 192.0.2.1:443)',
  ],
  [
    'an IPv6 address out of reach and an IPv4 address that refuses',
    new AggregateError([failed('ENETUNREACH', '2001:db8::1'), failed('ECONNREFUSED', '192.0.2.1')]),
    'connect',
    'no route to the network ([2001:db8::1]:443); connection refused: nothing listens there (192.0.2.1:443)',
  ],
  [
    'IPv6 addresses alone, all out of reach',
    new AggregateError([failed('ENETUNREACH', '2001:db8::1'), failed('EHOSTUNREACH', '2001:db8::2')]),
    'no-route',
    'this machine has no route to IPv6 ([2001:db8::1]:443, [2001:db8::2]:443), and nothing was asked over IPv4',
  ],
  [
    'an IPv4 network out of reach',
    failed('ENETUNREACH', '192.0.2.1'),
    'connect',
    'no route to the network (192.0.2.1:443)',
  ],
  [
    'a name without an address',
    Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND', hostname: 'app.example' }),
    'dns',
    'the name app.example does not resolve',
  ],
  [
    "OpenSSL's own words",
    Object.assign(new Error('40CD6718C37F0000:error:0A00042E:SSL routines:../rec_layer_s3.c:918'), {
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
      reason: 'tlsv1 alert protocol version',
    }),
    'tls',
    'the TLS handshake failed: tlsv1 alert protocol version',
  ],
])('explains %s', (_, error, kind, message) =>
  expect(explainNoAnswer(error)).toMatchObject({ kind, message }),
);

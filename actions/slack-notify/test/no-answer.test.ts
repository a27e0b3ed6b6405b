import { describe, expect, it } from '@jest/globals';
import { explainNoAnswer } from '../src/no-answer.ts';

/** An error as fetch throws it: the truth is among the causes. */
const thrown = (cause: { code?: string; message: string }) =>
  new TypeError('fetch failed', { cause: Object.assign(new Error(cause.message), cause) });

describe('a fetch that failed', () => {
  it.each([
    ['ENOTFOUND', 'getaddrinfo ENOTFOUND hooks.example', 'its name does not resolve'],
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'self-signed certificate',
      'its certificate is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT self-signed certificate); name its authority in NODE_EXTRA_CA_CERTS',
    ],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version number', 'no TLS is spoken there'],
    ['UND_ERR_ABORTED', 'Proxy response (407) !== 200 when HTTP Tunneling', 'the proxy refuses it with 407'],
    ['UND_ERR_HEADERS_OVERFLOW', 'Headers Overflow Error', 'no HTTP is spoken there'],
  ])('with %s (%s) is not tried again', (code, message, words) =>
    expect(explainNoAnswer(thrown({ code, message }), undefined)).toEqual({
      reason: `it could not be reached: ${words}`,
      again: false,
    }),
  );

  it.each([
    ['EAI_AGAIN', 'getaddrinfo EAI_AGAIN hooks.example'],
    ['ECONNREFUSED', 'connect ECONNREFUSED 192.0.2.1:443'],
    ['ECONNRESET', 'read ECONNRESET'],
    ['UND_ERR_CONNECT_TIMEOUT', 'Connect Timeout Error'],
    ['UND_ERR_SOCKET', 'other side closed'],
  ])('with %s (%s) is', (code, message) =>
    expect(explainNoAnswer(thrown({ code, message }), undefined)).toEqual({
      reason: `it could not be reached: ${code} ${message}`,
      again: true,
    }),
  );

  it('because the time was up is, whatever else it says', () =>
    expect(explainNoAnswer(thrown({ message: 'aborted' }), 10_000)).toEqual({
      reason: 'no answer within 10 s',
      again: true,
    }));

  it.each([['a word'], [undefined], [{}], [new Error('')]])('with %s is told as it is', (error) =>
    expect(explainNoAnswer(error, undefined).reason).toMatch(/^it could not be reached: ./),
  );
});

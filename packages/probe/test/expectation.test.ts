import { describe, expect, it } from '@jest/globals';
import {
  type Answer,
  type Expectation,
  observe,
  parseStatus,
  parseVersionSource,
  sameVersion,
} from '../src/index.ts';

const ok: Expectation = { status: [[200, 200]] };
const answer = (part: Partial<Answer>): Answer => ({
  answered: true,
  at: 0,
  ms: 5,
  address: '127.0.0.1:80',
  status: 200,
  headers: {},
  body: '',
  truncated: false,
  ...part,
});

it.each([
  ['200', [[200, 200]]],
  [
    '200-299, 301',
    [
      [200, 299],
      [301, 301],
    ],
  ],
  ['20', undefined],
  ['200-', undefined],
  ['ok', undefined],
])('reads the status %j', (text, ranges) => expect(parseStatus(text)).toEqual(ranges));

it.each([
  ['json:build.commit', { kind: 'json', path: 'build.commit' }],
  ['header:X-Version', { kind: 'header', name: 'x-version' }],
  ['body:v(\\d+)', { kind: 'body', pattern: /v(\d+)/ }],
  ['body:(', undefined],
  ['version', undefined],
])('reads the version source %j', (text, source) => expect(parseVersionSource(text)).toEqual(source));

it.each([
  ['a1b2c3d', 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678', true],
  ['a1b2c3d4e5f60718293a4b5c6d7e8f9012345678', 'a1b2c3d', true],
  ['1.2', '1.2.3', false],
  ['abc', 'abcdef0123456789abcdef0123456789abcdef01', false],
  ['v2', 'v2', true],
  ['a1b2c3d', 'A1B2C3D4E5F6', true],
  ['20261126', '2026112601', false],
  ['a1b2c3d', 'b1b2c3d4e5f60718293a4b5c6d7e8f9012345678', false],
  ['', 'a1b2c3d4e5f60718293a4b5c6d7e8f9012345678', false],
])('takes %s and %s for the same version: %s', (a, b, same) => expect(sameVersion(a, b)).toBe(same));

describe('observe', () => {
  it.each<[string, Partial<Answer>, Partial<Expectation>, string | undefined]>([
    ['the right status', {}, {}, undefined],
    ['another status', { status: 503 }, {}, 'answered 503, expected 200'],
    [
      'a redirect',
      { status: 302, headers: { location: 'https://x/home' } },
      {},
      'answered 302, expected 200: redirected to https://x/home; redirects are not followed',
    ],
    [
      'a login page',
      { status: 302, headers: { location: 'https://x/login?next=/' } },
      {},
      'answered 302, expected 200: redirected to a login page (https://x/login)',
    ],
    [
      'a Cloudflare challenge',
      { status: 403, headers: { 'cf-mitigated': 'challenge' } },
      {},
      'answered 403, expected 200: Cloudflare challenges this client; allow the runner, or ask the origin with resolve',
    ],
    [
      'an empty load balancer',
      { status: 503, headers: { server: 'awselb/2.0' } },
      {},
      'answered 503, expected 200: the load balancer has no target to ask',
    ],
    [
      'a refused Host',
      { status: 400, body: 'DisallowedHost at /health' },
      {},
      "answered 400, expected 200: the app refuses this Host (Django's ALLOWED_HOSTS?)",
    ],
    [
      'the right JSON',
      { body: '{"database":true,"list":[{"n":1}]}' },
      {
        json: [
          ['database', 'true'],
          ['list[0].n', '1'],
        ],
      },
      undefined,
    ],
    [
      'an expression that would never end',
      { body: `${'a'.repeat(40)}!` },
      { body: /^(a+)+$/ },
      '/^(a+)+$/ was given up after 500 ms: it tries ever more ways to match what was answered; write it without a repetition in a repetition',
    ],
    [
      'an expression for the version that would never end',
      { body: `${'a'.repeat(40)}!` },
      { version: 'v2', versionFrom: { kind: 'body', pattern: /^(a+)+$/ } },
      '/^(a+)+$/ was given up after 500 ms: it tries ever more ways to match what was answered; write it without a repetition in a repetition',
    ],
    [
      'a false database at 200',
      { body: '{"status":"healthy","database":false}' },
      { json: [['database', 'true']] },
      'database is false, expected true',
    ],
    [
      'a missing path',
      { body: '{}' },
      { json: [['database', 'true']] },
      'database is missing, expected true',
    ],
    [
      'a body that is not JSON',
      { body: '<html>' },
      { json: [['a', '1']] },
      expect.stringMatching(/^the body is not JSON \(.*\): "<html>"$/) as never,
    ],
    [
      'a body that does not match',
      { body: 'sorry\n' },
      { body: /fine/ },
      'the body does not match /fine/: "sorry\\n"',
    ],
    [
      'the old version',
      { body: '{"version":"v1"}' },
      { version: 'v2', versionFrom: { kind: 'json', path: 'version' } },
      'serves v1, expected v2',
    ],
    [
      'no version',
      { body: '{}' },
      { version: 'v2', versionFrom: { kind: 'json', path: 'version' } },
      'no version at json:version, expected v2',
    ],
    [
      'JSON that is longer than what is kept',
      { body: '{"database":true', truncated: true },
      { json: [['database', 'true']] },
      'the body is not JSON (it is longer than 64 KiB): "{\\"database\\":true"',
    ],
    [
      'control characters and direction marks, which stay out of what is said',
      { body: 'a\0\u001b[31m\u202eb\r\n##[error]x' },
      { body: /fine/ },
      'the body does not match /fine/: "a\\u0000\\u001b[31m b\\r\\n##[error]x"',
    ],
    [
      'a challenge whose status would do',
      { status: 202, headers: { 'x-amzn-waf-action': 'challenge' } },
      { status: [[200, 299]] },
      'answered 202, expected 200-299: AWS WAF challenges this client; allow the runner, or ask the load balancer with resolve',
    ],
    [
      'the old version out of a cache',
      { body: '{"version":"v1"}', headers: { age: '60' } },
      { version: 'v2', versionFrom: { kind: 'json', path: 'version' } },
      'serves v1, expected v2 (from a cache, age: 60)',
    ],
    [
      'the new version out of a cache, which only the new one can have put there',
      { body: '{"version":"v2"}', headers: { age: '60' } },
      { version: 'v2', versionFrom: { kind: 'json', path: 'version' } },
      undefined,
    ],
    [
      'a good answer out of a cache',
      { headers: { 'cf-cache-status': 'HIT' } },
      {},
      'a cache answered, not the app (cf-cache-status: HIT); keep this path out of the cache, or ask the origin with resolve',
    ],
    [
      'the version in a header',
      { headers: { 'x-version': 'v2' } },
      { version: 'v2', versionFrom: { kind: 'header', name: 'x-version' } },
      undefined,
    ],
  ])('%s', (_, part, expectation, problem) =>
    expect(observe(answer(part), { ...ok, ...expectation }).problem).toEqual(problem),
  );

  it('tells what is not the app from what is', () =>
    expect(
      [
        answer({ status: 403, headers: { 'cf-mitigated': 'challenge' } }),
        answer({ headers: { age: '9' } }),
        answer({ status: 503 }),
      ].map((sample) => observe(sample, ok).unmeasured ?? false),
    ).toEqual([true, true, false]));

  it('names who answered', () =>
    expect(
      observe(answer({ headers: { 'x-served-by': ' i-1 ' } }), { ...ok, servedBy: 'x-served-by' }),
    ).toMatchObject({
      servedBy: 'i-1',
    }));

  it('keeps the version of a bad answer too', () =>
    expect(
      observe(answer({ status: 503, body: '{"version":"v2"}' }), {
        ...ok,
        version: 'v2',
        versionFrom: { kind: 'json', path: 'version' },
      }),
    ).toMatchObject({ outcome: 'bad', version: 'v2', rightVersion: true }));
});

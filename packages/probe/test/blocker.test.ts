import { describe, expect, it } from '@jest/globals';
import { blockerOf, cacheOf } from '../src/blocker.ts';

const answer = (status: number, headers: Record<string, string> = {}, body = '') => ({
  status,
  headers,
  body,
});

describe('what stands in front of the app', () => {
  it.each<[string, ReturnType<typeof answer>, string, boolean?]>([
    ['a Cloudflare challenge', answer(403, { 'cf-mitigated': 'challenge' }), 'Cloudflare challenges', true],
    ['one with another status', answer(429, { 'cf-mitigated': 'challenge' }), 'Cloudflare challenges', true],
    [
      'an AWS WAF challenge, though it is a 202',
      answer(202, { 'x-amzn-waf-action': 'challenge' }),
      'AWS WAF',
      true,
    ],
    ['an AWS WAF captcha', answer(405, { 'x-amzn-waf-action': 'captcha' }), 'AWS WAF', true],
    ['a refusal of AWS WAF', answer(403, { server: 'awselb/2.0' }), 'refuses this client (AWS WAF)', true],
    ['a 403 through Cloudflare', answer(403, { server: 'cloudflare' }), 'from Cloudflare, which may refuse'],
    [
      'an Access login',
      answer(302, { location: 'https://x.cloudflareaccess.com/cdn-cgi/a?kid=1' }),
      'a login page (https://x.cloudflareaccess.com/cdn-cgi/a)',
    ],
    [
      'a login page',
      answer(302, { location: '/accounts/login/?next=/health/' }),
      'a login page (/accounts/login/)',
    ],
    [
      'a redirect to an author page',
      answer(301, { location: '/authors/' }),
      'redirected to /authors/; redirects are not followed',
    ],
    [
      'a redirect to the metadata service',
      answer(302, { location: 'http://169.254.169.254/latest/' }),
      'redirected to http://169.254.169.254/latest/; redirects are not followed',
    ],
    ['a rate limit', answer(429), 'limits how often', true],
    ['a login prompt', answer(401, { 'www-authenticate': 'Basic' }), 'asks for a login'],
    [
      'plain HTTP at a TLS port',
      answer(400, {}, '400 The plain HTTP request was sent to HTTPS port'),
      'write https',
    ],
    ['ALLOWED_HOSTS', answer(400, {}, '<h1>Bad Request (400)</h1>'), 'ALLOWED_HOSTS'],
    ['a balancer without targets', answer(503, { server: 'awselb/2.0' }), 'no target'],
    ['a target that hangs up', answer(502, { server: 'awselb/2.0' }), 'closed the connection'],
    ['a target that is slow', answer(504, { server: 'awselb/2.0' }), 'in time'],
    [
      'an origin that Cloudflare cannot reach',
      answer(522, { server: 'cloudflare' }),
      'does not answer Cloudflare',
    ],
    ['the page of a fresh nginx', answer(200, {}, '<title>Welcome to nginx!</title>'), 'welcome page'],
  ])('%s', (_, seen, words, inFront = false) => {
    const blocker = blockerOf(seen);
    expect(blocker?.words).toContain(words);
    expect(blocker?.inFront ?? false).toBe(inFront);
  });

  it.each([
    answer(200),
    answer(503),
    answer(403, { server: 'nginx' }),
    answer(304),
    answer(502, { server: 'nginx' }),
  ])('nothing known: %j', (seen) => expect(blockerOf(seen)).toBeUndefined());
});

describe('a cache that answered by itself', () => {
  it.each<[Record<string, string>, string | undefined]>([
    [{ 'cf-cache-status': 'HIT' }, 'cf-cache-status: HIT'],
    [{ 'cf-cache-status': 'STALE' }, 'cf-cache-status: STALE'],
    [{ 'x-cache': 'Hit from cloudfront', age: '9' }, 'x-cache: Hit from cloudfront, age: 9'],
    [{ 'x-cache': 'MISS, HIT' }, 'x-cache: MISS, HIT'],
    [{ 'x-cache': 'TCP_HIT from a1.example' }, 'x-cache: TCP_HIT from a1.example'],
    [{ 'cache-status': 'Edge; hit; ttl=30' }, 'cache-status: Edge; hit; ttl=30'],
    [{ age: '3' }, 'age: 3'],
    [{ age: '0' }, undefined],
    [{ 'cf-cache-status': 'DYNAMIC' }, undefined],
    [{ 'cf-cache-status': 'REVALIDATED' }, undefined],
    [{ 'x-cache': 'Miss from cloudfront' }, undefined],
    [{ 'x-cache': 'RefreshHit from cloudfront' }, undefined],
    [{}, undefined],
  ])('%j', (headers, cache) => expect(cacheOf(headers)).toBe(cache));
});

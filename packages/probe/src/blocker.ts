import type { Answer } from './sample.ts';

/** What stands between the question and the app. */
export interface Blocker {
  words: string;
  /** It answered in place of the app, so that the app was not measured. */
  inFront?: boolean;
}

type Seen = Pick<Answer, 'status' | 'headers' | 'body'>;

const fromServer = ({ headers }: Seen, name: RegExp) => name.test(headers.server ?? '');

/** developers.cloudflare.com, Cloudflare 5xx errors: what it could not get from the origin. */
const cloudflareOrigin: Record<number, string> = {
  520: 'the origin gave Cloudflare an answer that it does not understand',
  521: 'the origin refuses connections from Cloudflare',
  522: 'the origin does not answer Cloudflare at all (a firewall or security group?)',
  523: 'Cloudflare has no route to the origin',
  524: 'the origin took too long for Cloudflare',
  525: 'the TLS handshake of Cloudflare with the origin failed',
  526: "the origin's certificate is not valid for Cloudflare (Full (strict))",
};

/** docs.aws.amazon.com, Application Load Balancer troubleshooting: what its own answers mean. */
const balancer: Record<number, string> = {
  502: 'the target closed the connection on the load balancer, or spoke no HTTP',
  503: 'the load balancer has no target to ask',
  504: 'the target did not answer the load balancer in time (its security group, or a slow app)',
};

const known: Array<(seen: Seen) => Blocker | undefined> = [
  // Whatever its status: a bot challenge is not the app.
  ({ headers }) =>
    headers['cf-mitigated'] === 'challenge'
      ? {
          words: 'Cloudflare challenges this client; allow the runner, or ask the origin with resolve',
          inFront: true,
        }
      : undefined,
  ({ headers }) =>
    /^(challenge|captcha)$/.test(headers['x-amzn-waf-action'] ?? '')
      ? {
          words: 'AWS WAF challenges this client; allow the runner, or ask the load balancer with resolve',
          inFront: true,
        }
      : undefined,
  (seen) =>
    seen.status === 403 && fromServer(seen, /cloudflare/i)
      ? { words: 'from Cloudflare, which may refuse this client (WAF); ask the origin with resolve to tell' }
      : undefined,
  (seen) =>
    seen.status === 403 && fromServer(seen, /awselb/i)
      ? { words: 'the load balancer refuses this client (AWS WAF)', inFront: true }
      : undefined,
  ({ status }) =>
    status === 429
      ? {
          words: 'it limits how often it may be asked; lengthen interval, or let the runner through',
          inFront: true,
        }
      : undefined,
  redirect,
  ({ status, headers }) =>
    status === 401 && headers['www-authenticate']
      ? { words: 'it asks for a login; give headers' }
      : undefined,
  ({ status, body }) =>
    status === 400 && /plain HTTP request was sent to HTTPS port/.test(body)
      ? { words: 'TLS is spoken on this port; write https in url' }
      : undefined,
  ({ status, body }) =>
    status === 400 && /DisallowedHost|ALLOWED_HOSTS|Bad Request \(400\)/.test(body)
      ? { words: "the app refuses this Host (Django's ALLOWED_HOSTS?)" }
      : undefined,
  (seen) =>
    fromServer(seen, /awselb/i) && balancer[seen.status] ? { words: balancer[seen.status]! } : undefined,
  (seen) =>
    fromServer(seen, /cloudflare/i) && cloudflareOrigin[seen.status]
      ? { words: cloudflareOrigin[seen.status]! }
      : undefined,
  ({ body }) =>
    /<title>Welcome to nginx!<\/title>/.test(body)
      ? { words: "nginx's own welcome page: no site is set up for this name" }
      : undefined,
];

/** Names what commonly stands between a runner and the app; undefined where nothing known does. Pure. */
export function blockerOf(seen: Seen): Blocker | undefined {
  for (const look of known) {
    const blocker = look(seen);
    if (blocker) return blocker;
  }
  return undefined;
}

const loginPage = /(^|[/._-])(log-?in|sign-?in|sso|oauth2?|saml|auth|cloudflareaccess)([/._?-]|$)/i;

function redirect({ status, headers: { location } }: Seen): Blocker | undefined {
  if (status < 300 || status > 399 || !location) return undefined;
  const to = location.split(/[?#]/)[0]!.slice(0, 200);
  return {
    words: loginPage.test(to)
      ? `redirected to a login page (${to})`
      : `redirected to ${to}; redirects are not followed`,
  };
}

/**
 * Where a cache says that it answered by itself: `x-cache: Hit from cloudfront`. Undefined for what came from
 * the app, or was checked with it. Pure.
 */
export function cacheOf(headers: Readonly<Record<string, string>>): string | undefined {
  const named = ['cf-cache-status', 'x-cache', 'x-vercel-cache', 'x-proxy-cache', 'cache-status'].find(
    (name) => /\b(tcp_)?(mem_)?hit\b|^stale\b|^updating\b/i.test(headers[name] ?? ''),
  );
  // RFC 9111, 5.1: an Age is there when the answer was not made or checked for this question.
  const age = Number(headers.age) > 0 ? `age: ${headers.age}` : undefined;
  if (named) return [`${named}: ${headers[named]!.slice(0, 60)}`, ...(age ? [age] : [])].join(', ');
  return age;
}

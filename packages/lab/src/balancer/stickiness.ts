import type { OutgoingHttpHeaders } from 'node:http';

const marks = { lb_cookie: 'AWSALB', app_cookie: 'AWSALBAPP-0' };

/** How a group binds a client to a target; undefined when it does not. */
export interface Stickiness {
  /** Which target (its key) a request asks for. */
  wanted(cookieHeader: string | undefined): string | undefined;
  /** The answer's headers with the cookie that binds the client to `key`, if this answer binds it. */
  bind(headers: OutgoingHttpHeaders, key: string): OutgoingHttpHeaders;
}

/** Reads the stickiness.* attributes of a target group. */
export function stickiness(attributes: ReadonlyMap<string, string>): Stickiness | undefined {
  if (attributes.get('stickiness.enabled') !== 'true') return undefined;
  const type = attributes.get('stickiness.type') === 'app_cookie' ? 'app_cookie' : 'lb_cookie';
  const name = marks[type];
  const seconds = attributes.get(`stickiness.${type}.duration_seconds`) ?? '86400';
  const appCookie = attributes.get('stickiness.app_cookie.cookie_name') ?? '';
  return {
    wanted(cookieHeader) {
      const value = cookieHeader
        ?.split(';')
        .map((pair) => pair.trim())
        .find((pair) => pair.startsWith(`${name}=`))
        ?.slice(name.length + 1);
      return value === undefined ? undefined : Buffer.from(value, 'base64url').toString();
    },
    bind(headers, key) {
      const theirs = [headers['set-cookie'] ?? []].flat().map(String);
      // An application cookie binds only from the answer that sets it.
      if (type === 'app_cookie' && !theirs.some((cookie) => cookie.startsWith(`${appCookie}=`)))
        return headers;
      const mine = `${name}=${Buffer.from(key).toString('base64url')}; Max-Age=${seconds}; Path=/`;
      return { ...headers, 'set-cookie': [...theirs, mine] };
    },
  };
}

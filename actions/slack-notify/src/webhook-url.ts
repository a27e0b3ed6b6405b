import { isLoopback } from '@lockkeeper/action';

/** An incoming webhook's address. Whoever has it can post: no message, error or log repeats it. */
export type WebhookUrl = { url: URL } | { problem: string };

/** Judges the `webhook-url` input. The problem is said without a piece of the value. */
export function readWebhookUrl(text: string): WebhookUrl {
  const url = /\s/.test(text) ? null : URL.parse(text);
  const whole = 'expected the whole address, such as https://hooks.slack.com/services/…';
  if (url?.protocol === 'http:' && !isLoopback(url.hostname))
    return {
      problem: 'is plain http to another host, which would show the secret to the network; expected https://',
    };
  if (!url || !/^https?:$/.test(url.protocol))
    return { problem: `is not a URL that can be posted to; ${whole}` };
  if (url.username || url.password)
    return { problem: `holds a user name or password, which a webhook does not have; ${whole}` };
  if (isSlack(url.hostname) && !/^\/services\/./.test(url.pathname))
    return {
      problem: /^\/(triggers|workflows)\//.test(url.pathname)
        ? "starts a Slack workflow, which takes no message; expected an app's incoming webhook, https://hooks.slack.com/services/…"
        : `is at Slack, but not an incoming webhook; ${whole}`,
    };
  return { url };
}

export const isSlack = (host: string) => /(^|\.)slack(-gov)?\.com$/.test(host);

/**
 * Every form in which a server or an error may repeat the secret: the address, its path, the parts of the path
 * that are long enough to be random, and the values of its query. Longest first.
 */
export function secretsOf({ href, pathname, search }: URL): string[] {
  const parts = [
    href,
    `${pathname}${search}`,
    // Slack's token has 24 characters, Mattermost's 26; `services` and ids such as T012AB3CD4E are no secret.
    ...[pathname, ...pathname.split('/')].filter((part) => part.length >= 16),
    ...search
      .slice(1)
      .split('&')
      .map((pair) => pair.slice(pair.indexOf('=') + 1)),
  ];
  return [...new Set(parts.flatMap((part) => [part, decoded(part)]))]
    .filter((part) => part.length >= 8)
    .sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The text with every form of the secret as `***`. */
export const withoutSecrets = (text: string, secrets: readonly string[]) =>
  secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);

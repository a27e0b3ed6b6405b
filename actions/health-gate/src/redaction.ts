import type { Sample } from '@lockkeeper/probe';

/**
 * What a server said, without the secrets it was told: debug pages repeat a request's headers, and what is seen
 * goes on to the log, the summary, outputs and the report file, of which the runner masks the log alone.
 */
export function withoutSecrets<S extends Sample>(sample: S, secrets: readonly string[]): S {
  if (!sample.answered) return { ...sample, message: redact(sample.message, secrets) };
  const headers = Object.entries(sample.headers).map(([name, value]) => [name, redact(value, secrets)]);
  return { ...sample, headers: Object.fromEntries(headers), body: redact(sample.body, secrets) };
}

/** A URL for people: a token in its query is not for them. */
export const shownUrl = (url: URL, secrets: readonly string[]): string =>
  redact(url.href, [...secrets, ...secrets.map(encodeURIComponent)]);

/** Text from elsewhere, with *** for each secret. */
export const redact = (text: string, secrets: readonly string[]) =>
  secrets.reduce((left, secret) => left.replaceAll(secret, '***'), text);

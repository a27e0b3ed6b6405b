import type { Sample } from '@lockkeeper/probe';

/**
 * What a server said, without the secrets it was told: debug pages repeat a request's headers, and what is seen
 * goes on to the log, the summary, outputs and the report file, of which the runner masks the log alone.
 */
export function withoutSecrets<S extends Sample>(sample: S, secrets: readonly string[]): S {
  if (!sample.answered) return sample;
  const redact = (text: string) => secrets.reduce((left, secret) => left.replaceAll(secret, '***'), text);
  const headers = Object.entries(sample.headers).map(([name, value]) => [name, redact(value)]);
  return { ...sample, headers: Object.fromEntries(headers), body: redact(sample.body) };
}

import type { Sample } from './sample.ts';

export type VersionSource =
  | { kind: 'json'; path: string }
  | { kind: 'header'; name: string }
  | { kind: 'body'; pattern: RegExp };

/** What a good answer looks like. */
export interface Expectation {
  /** Inclusive ranges. */
  status: Array<[number, number]>;
  body?: RegExp;
  /** Path and the value it must have, compared as text. */
  json?: Array<[string, string]>;
  version?: string;
  versionFrom?: VersionSource;
}

/** One sample, held against the expectation. */
export interface Observation {
  at: number;
  ms: number;
  address: string;
  outcome: 'good' | 'bad' | 'no-answer';
  /** Why it is not good, in words. */
  problem?: string;
  /** The version the answer carried, whichever it is. */
  version?: string;
  /** Whether that is the expected one; undefined where none is expected. */
  rightVersion?: boolean;
}

/** Reads `200`, `200-299` or `200,301` as ranges; undefined for anything else. */
export function parseStatus(text: string): Array<[number, number]> | undefined {
  const ranges = text.split(',').map((part) => /^\s*([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?\s*$/.exec(part));
  if (ranges.some((range) => !range)) return undefined;
  return ranges.map((range) => [Number(range![1]), Number(range![2] ?? range![1])] as [number, number]);
}

/** Reads `json:path`, `header:Name` or `body:regex`; undefined for anything else. */
export function parseVersionSource(text: string): VersionSource | undefined {
  const [, kind, rest] = /^(json|header|body):(.+)$/s.exec(text) ?? [];
  if (!rest) return undefined;
  if (kind === 'json') return { kind, path: rest };
  if (kind === 'header') return { kind, name: rest.toLowerCase() };
  try {
    return { kind: 'body', pattern: new RegExp(rest) };
  } catch {
    return undefined;
  }
}

/** The value at `a.b[0].c` in parsed JSON; undefined where the path leads nowhere. */
export function atPath(json: unknown, path: string): unknown {
  let value = json;
  for (const key of path
    .replace(/\[(\d+)\]/g, '.$1')
    .split('.')
    .filter(Boolean)) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** Whether what is served is what was shipped: equal, or one is a commit hash that begins with the other. */
export function sameVersion(expected: string, served: string): boolean {
  if (expected === served) return true;
  const [short, long] = [expected, served]
    .map((v) => v.toLowerCase())
    .sort((a, b) => a.length - b.length) as [string, string];
  return /^[0-9a-f]{7,40}$/.test(short) && /^[0-9a-f]{40}$/.test(long) && long.startsWith(short);
}

/** Holds a sample against the expectation. */
export function observe(sample: Sample, expectation: Expectation): Observation {
  const { at, ms, address } = sample;
  const seen = { at, ms, address };
  if (!sample.answered) return { ...seen, outcome: 'no-answer', problem: sample.message };
  if (sample.status === 0) return { ...seen, outcome: 'good' };

  const parsed = lazily(() => JSON.parse(sample.body) as unknown);
  const version =
    expectation.versionFrom && versionIn(sample.body, sample.headers, parsed, expectation.versionFrom);
  const found = {
    ...seen,
    ...(version === undefined ? {} : { version }),
    ...(expectation.version === undefined
      ? {}
      : { rightVersion: version !== undefined && sameVersion(expectation.version, version) }),
  };
  const bad = (problem: string): Observation => ({ ...found, outcome: 'bad', problem });

  if (!expectation.status.some(([from, to]) => sample.status >= from && sample.status <= to)) {
    const wanted = expectation.status.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(', ');
    const blocker = blockerIn(sample.status, sample.headers, sample.body);
    return bad(`answered ${sample.status}, expected ${wanted}${blocker ? `: ${blocker}` : ''}`);
  }
  if (expectation.body && !expectation.body.test(sample.body))
    return bad(`the body does not match ${expectation.body}: ${excerpt(sample.body)}`);
  for (const [path, wanted] of expectation.json ?? []) {
    const document = parsed();
    if ('error' in document) return bad(`the body is not JSON (${document.error}): ${excerpt(sample.body)}`);
    const value = atPath(document.value, path);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (text !== wanted) return bad(`${path} is ${text ?? 'missing'}, expected ${wanted}`);
  }
  if (found.rightVersion === false) {
    const what =
      version === undefined
        ? `no version at ${describeSource(expectation.versionFrom!)}`
        : `serves ${version}`;
    return bad(`${what}, expected ${expectation.version}`);
  }
  return { ...found, outcome: 'good' };
}

export const describeSource = (source: VersionSource): string =>
  source.kind === 'json'
    ? `json:${source.path}`
    : source.kind === 'header'
      ? `header:${source.name}`
      : `body:${source.pattern.source}`;

type Parsed = { value: unknown } | { error: string };

function lazily(parse: () => unknown): () => Parsed {
  let result: Parsed | undefined;
  return () => {
    try {
      result ??= { value: parse() };
    } catch (error) {
      result = { error: (error as Error).message };
    }
    return result;
  };
}

function versionIn(
  body: string,
  headers: Record<string, string>,
  parsed: () => Parsed,
  source: VersionSource,
): string | undefined {
  if (source.kind === 'header') return headers[source.name]?.trim() || undefined;
  if (source.kind === 'body') {
    const match = source.pattern.exec(body);
    return match ? (match[1] ?? match[0]) : undefined;
  }
  const document = parsed();
  const value = 'value' in document ? atPath(document.value, source.path) : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/** Names what commonly stands between a runner and the app. */
function blockerIn(status: number, headers: Record<string, string>, body: string): string | undefined {
  if (headers['cf-mitigated'])
    return 'Cloudflare challenges this client; allow the runner, or ask the origin with resolve';
  const location = headers.location;
  if (status >= 300 && status < 400 && location) {
    const to = location.split('?')[0];
    return /login|signin|sso|auth|access/i.test(location)
      ? `redirected to a login page (${to})`
      : `redirected to ${to}; redirects are not followed`;
  }
  if (status === 403 && /cloudflare/i.test(headers.server ?? '')) return 'Cloudflare refuses this client';
  if (status === 400 && /DisallowedHost|ALLOWED_HOSTS|Bad Request \(400\)/.test(body))
    return "the app refuses this Host (Django's ALLOWED_HOSTS?)";
  if (status === 503 && /awselb/i.test(headers.server ?? '')) return 'the load balancer has no target to ask';
  if (status === 502 && /awselb/i.test(headers.server ?? ''))
    return 'the target closed the connection on the load balancer';
  return undefined;
}

// What a server says is data: one line, short, no control characters.
const excerpt = (body: string) => JSON.stringify(body.slice(0, 80));

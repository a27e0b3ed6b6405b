import { blockerOf, cacheOf } from './blocker.ts';
import { bodyLimit } from './body.ts';
import { find, Runaway } from './pattern.ts';
import type { Answer, PassedOver, Sample } from './sample.ts';

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
  /** The header, in lower case, that names who answered. */
  servedBy?: string;
}

/** One sample, held against the expectation. */
export interface Observation {
  at: number;
  ms: number;
  /** Milliseconds of `ms` until the connection stood. */
  connectMs?: number;
  address: string;
  passedOver?: PassedOver[];
  outcome: 'good' | 'bad' | 'no-answer';
  /** Why it is not good, in words. */
  problem?: string;
  /** The version the answer carried, whichever it is. */
  version?: string;
  /** Whether that is the expected one; undefined where none is expected. */
  rightVersion?: boolean;
  /** Something in front answered, or nothing could be asked: the app was not measured. */
  unmeasured?: boolean;
  servedBy?: string;
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

/**
 * Whether what is served is what was shipped: equal, or both are commit hashes of which one begins with the
 * other. Digits alone are no short hash: build 20261126 is not build 2026112601.
 */
export function sameVersion(expected: string, served: string): boolean {
  if (expected === served) return true;
  const [short, long] = [expected, served]
    .map((v) => v.toLowerCase())
    .sort((a, b) => a.length - b.length) as [string, string];
  const whole = long.length === 40 || long.length === 64 || /[a-f]/.test(short);
  return whole && isHash(short) && isHash(long) && long.startsWith(short);
}

/** Whether a version looks like a commit hash, short or whole. */
export const isHash = (version: string) => /^[0-9a-f]{7,64}$/i.test(version);

/** Holds a sample against the expectation. Pure. */
export function observe(sample: Sample, expectation: Expectation): Observation {
  const { at, ms, connectMs, address, passedOver } = sample;
  const seen = {
    at,
    ms,
    ...(connectMs === undefined ? {} : { connectMs }),
    address,
    ...(passedOver ? { passedOver } : {}),
  };
  if (!sample.answered)
    return {
      ...seen,
      outcome: 'no-answer',
      problem: oneLine(sample.message),
      ...(sample.kind === 'no-route' ? { unmeasured: true } : {}),
    };
  if (sample.status === 0) return { ...seen, outcome: 'good' };
  try {
    return observeAnswer(sample, seen, expectation);
  } catch (error) {
    if (!(error instanceof Runaway)) throw error;
    return { ...seen, outcome: 'bad', problem: oneLine(error.message) };
  }
}

function observeAnswer(
  sample: Answer,
  seen: Omit<Observation, 'outcome'>,
  expectation: Expectation,
): Observation {
  const parsed = lazily(() => {
    if (sample.truncated) throw new Error(`it is longer than ${bodyLimit / 1024} KiB`);
    return JSON.parse(sample.body) as unknown;
  });
  const version =
    expectation.versionFrom && versionIn(sample.body, sample.headers, parsed, expectation.versionFrom);
  const servedBy = expectation.servedBy && plain(sample.headers[expectation.servedBy] ?? '');
  const found = {
    ...seen,
    ...(version === undefined ? {} : { version }),
    ...(expectation.version === undefined
      ? {}
      : { rightVersion: version !== undefined && sameVersion(expectation.version, version) }),
    ...(servedBy ? { servedBy } : {}),
  };
  const blocker = blockerOf(sample);
  const cache = cacheOf(sample.headers);
  const bad = (problem: string): Observation => ({
    ...found,
    outcome: 'bad',
    problem: oneLine(problem),
    ...(blocker?.inFront ? { unmeasured: true } : {}),
  });

  if (
    blocker?.inFront ||
    !expectation.status.some(([from, to]) => sample.status >= from && sample.status <= to)
  ) {
    const wanted = expectation.status.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(', ');
    return bad(`answered ${sample.status}, expected ${wanted}${blocker ? `: ${blocker.words}` : ''}`);
  }
  const named = blocker ? ` (${blocker.words})` : '';
  if (expectation.body && !find(expectation.body, sample.body))
    return bad(`the body does not match ${expectation.body}: ${excerpt(sample.body)}${named}`);
  for (const [path, wanted] of expectation.json ?? []) {
    const document = parsed();
    if ('error' in document)
      return bad(`the body is not JSON (${document.error}): ${excerpt(sample.body)}${named}`);
    const value = atPath(document.value, path);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    if (text !== wanted)
      return bad(`${path} is ${text === undefined ? 'missing' : short(text)}, expected ${wanted}`);
  }
  if (found.rightVersion === false) {
    const what =
      version === undefined
        ? `no version at ${describeSource(expectation.versionFrom!)}`
        : `serves ${version}`;
    return bad(`${what}, expected ${expectation.version}${cache ? ` (from a cache, ${cache})` : ''}${named}`);
  }
  // What a cache answers tells nothing of the app, but that it once served the version expected.
  if (cache && found.rightVersion === undefined)
    return {
      ...bad(
        `a cache answered, not the app (${cache}); keep this path out of the cache, or ask the origin with resolve`,
      ),
      unmeasured: true,
    };
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
  if (source.kind === 'header') return plain(headers[source.name] ?? '');
  if (source.kind === 'body') {
    const match = find(source.pattern, body);
    return match ? plain(match[1] ?? match[0]) : undefined;
  }
  const document = parsed();
  const value = 'value' in document ? atPath(document.value, source.path) : undefined;
  return typeof value === 'string' || typeof value === 'number' ? plain(String(value)) : undefined;
}

// What a server says is data: one line, short, no control characters.
const short = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
const oneLine = (text: string) => text.replace(/[\p{C}\s]+/gu, ' ').slice(0, 500);
const excerpt = (body: string) => JSON.stringify(body.slice(0, 80));
/** A version or a name; undefined when nothing of it can be printed. */
const plain = (text: string) => short(oneLine(text).trim()) || undefined;

import { isIP } from 'node:net';
import type { Inputs } from '@lockkeeper/action';
import {
  type Criteria,
  type Expectation,
  neededInARow,
  parseStatus,
  parseVersionSource,
  type SoakLimits,
} from '@lockkeeper/probe';
import { formatDuration } from '@lockkeeper/wait';

export interface Soak {
  ms: number;
  concurrency: number;
  limits: Omit<SoakLimits, 'maxConnectionErrors' | 'version'>;
}

export interface GateInputs {
  urls: URL[];
  expectation: Expectation;
  criteria: Criteria;
  method: string;
  headers: Record<string, string>;
  /** What of the headers and URLs only the app may see. */
  secrets: string[];
  /** Host name → the addresses to ask in its place, by turns. */
  resolve: Map<string, string[]>;
  interval: number;
  probeTimeout: number;
  timeout: number;
  soak?: Soak;
  /** Milliseconds that a WebSocket must stay open; 0 for the handshake alone. */
  hold: number;
  tls: { verify: boolean; ca?: string };
  dryRun: boolean;
}

/** From one question of a prober to its next in a soak: kind to the app, and a bound for what can still come. */
export const soakGap = 50;

const schemes = ['http:', 'https:', 'tcp:', 'ws:', 'wss:'];
const expectedUrl = 'https://…, http://…, tcp://host:port, wss://… or ws://…';
const expectedSource = 'json:path, header:Name or body:regex';
const token = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Of a header or a query parameter whose value only the app may see. */
export const isSecretName = (name: string) =>
  /auth|token|secret|key|cookie|pass|signature|credential/i.test(name);

export const isWebSocket = (url: URL) => url.protocol === 'ws:' || url.protocol === 'wss:';
export const isHttp = (url: URL) => url.protocol === 'http:' || url.protocol === 'https:';

/** Reads and checks every input; throws one InputError with all problems. */
export function parseInputs(inputs: Inputs): GateInputs {
  const urls = parseUrls(inputs);
  const expectation = parseExpectation(inputs);
  const headers = parseHeaders(inputs);
  const resolve = parseResolve(inputs, urls);

  const ca = inputs.text('ca-certificates');
  if (ca && !ca.includes('-----BEGIN CERTIFICATE-----'))
    inputs.problem('ca-certificates', 'is no PEM certificate; expected -----BEGIN CERTIFICATE-----');
  const secrets = [
    ...headers.filter(([name]) => isSecretName(name)).flatMap(([, value]) => secretsIn(value)),
    ...urls.flatMap((url) =>
      [...url.searchParams].flatMap(([name, value]) => (isSecretName(name) ? secretsIn(value) : [])),
    ),
  ];
  const parsed: GateInputs = {
    urls,
    expectation,
    criteria: {
      consecutiveSuccesses: inputs.integer('consecutive-successes', { min: 1 }),
      versionSuccesses: inputs.integer('version-successes', { min: 1 }),
      maxConnectionErrors: inputs.integer('max-connection-errors'),
    },
    method: inputs.matching('method', /^[A-Z]+$/, 'a method such as GET or HEAD'),
    headers: Object.fromEntries(headers),
    secrets: [...new Set(secrets)],
    resolve,
    interval: inputs.duration('interval', { min: 100 }),
    probeTimeout: inputs.duration('probe-timeout', { min: 100 }),
    timeout: inputs.duration('timeout', { min: 1000 }),
    hold: inputs.duration('hold'),
    tls: { verify: inputs.boolean('tls-verify'), ...(ca ? { ca } : {}) },
    dryRun: inputs.boolean('dry-run'),
  };
  const soak = parseSoak(inputs);
  refuseIdleExpectations(inputs, parsed);
  refuseImpossible(inputs, parsed, soak);
  inputs.done();
  return soak.ms > 0 ? { ...parsed, soak } : parsed;
}

function parseUrls(inputs: Inputs): URL[] {
  const given = inputs.list('url');
  if (given.length === 0) inputs.problem('url', `is required; expected ${expectedUrl}`);
  const urls = given.flatMap((text) => parseUrl(inputs, text));
  return [...new Map(urls.map((url) => [url.href, url])).values()];
}

function parseUrl(inputs: Inputs, text: string): URL[] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.password || url?.username) {
    inputs.problem(
      'url',
      `${url.protocol}//…@${url.host} carries credentials; give them in headers, which are masked`,
    );
    return [];
  }
  const known = url && schemes.includes(url.protocol) && url.hostname !== '' && url.port !== '0';
  if (!known || (url.protocol === 'tcp:' && !url.port)) {
    inputs.reject('url', text.replace(/\/\/[^/]*@/, '//…@'), expectedUrl);
    return [];
  }
  url.hash = '';
  // Of tcp, which is no scheme of the web, the parser keeps the case.
  url.hostname = url.hostname.toLowerCase();
  for (const [name, value] of url.searchParams) if (isSecretName(name)) inputs.mask(value);
  return [url];
}

function parseExpectation(inputs: Inputs): Expectation {
  const status = parseStatus(inputs.text('expected-status'));
  if (!status)
    inputs.reject(
      'expected-status',
      inputs.text('expected-status'),
      'codes or ranges, such as 200 or 200-299,301',
    );
  const version = inputs.text('expected-version');
  const source = inputs.text('version-from');
  const versionFrom = source ? parseVersionSource(source) : undefined;
  if (source && !versionFrom) inputs.reject('version-from', source, expectedSource);
  if (version && !source)
    inputs.problem('version-from', `is required with expected-version; expected ${expectedSource}`);
  const body = parsePattern(inputs, 'expected-body');
  const json = inputs.pairs('expected-json');
  const [, servedBy] = /^header:(.+)$/.exec(inputs.text('served-by')) ?? [];
  if (inputs.text('served-by') && !(servedBy && token.test(servedBy)))
    inputs.reject('served-by', inputs.text('served-by'), 'header:Name');
  return {
    status: status ?? [],
    ...(body ? { body } : {}),
    ...(json.length > 0 ? { json } : {}),
    ...(version ? { version } : {}),
    ...(versionFrom ? { versionFrom } : {}),
    ...(servedBy ? { servedBy: servedBy.toLowerCase() } : {}),
  };
}

function parsePattern(inputs: Inputs, name: string): RegExp | undefined {
  const text = inputs.text(name);
  if (!text) return undefined;
  try {
    return new RegExp(text);
  } catch (error) {
    inputs.reject(name, text, `a regular expression (${(error as Error).message})`);
    return undefined;
  }
}

function parseHeaders(inputs: Inputs): Array<[string, string]> {
  const headers = inputs.pairs('headers', { separator: ':', key: token });
  for (const [name, value] of headers) {
    // Not all of them: masking `https` or the host's name would blacken the whole log.
    if (isSecretName(name)) inputs.mask(value);
    // RFC 9110, 5.5. The value may be a secret, so it is not shown.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
      inputs.problem('headers', `the value of ${name} holds characters that no header can carry`);
  }
  return headers;
}

/** A header's value and the credential in it, `Bearer abc` or `sid=abc; lang=en`; what is short is no secret. */
function secretsIn(value: string): string[] {
  const credentials = value.split(/[\s;,]+/).map((part) => part.replace(/^[\w.-]+=(?!=*$)/, ''));
  return [value, ...credentials].filter((part) => part.length >= 8);
}

function parseResolve(inputs: Inputs, urls: URL[]): Map<string, string[]> {
  const hosts = new Set(urls.map(({ hostname }) => hostname));
  const resolve = new Map<string, string[]>();
  for (const [name, given] of inputs.pairs('resolve')) {
    const host = name.toLowerCase();
    const address = given.replace(/^\[|\]$/g, '');
    if (!isIP(address) && !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(address))
      inputs.reject('resolve', `${name}=${given}`, 'host=address or host=other-name, without a port');
    else if (urls.length > 0 && !hosts.has(host))
      inputs.problem('resolve', `${name} is the host of no url; expected one of ${[...hosts].join(', ')}`);
    else resolve.set(host, [...(resolve.get(host) ?? []), address]);
  }
  return resolve;
}

const soakInputs = ['concurrency', 'max-error-rate', 'max-p95', 'min-rps', 'min-samples'] as const;

function parseSoak(inputs: Inputs): Soak {
  const ms = inputs.duration('soak');
  const rate = inputs.text('max-error-rate');
  const [, percent] = /^(\d{1,3}(?:\.\d+)?)\s?%$/.exec(rate) ?? [];
  if (percent === undefined || Number(percent) > 100)
    inputs.reject('max-error-rate', rate, 'a percentage from 0% to 100%, such as 1% or 0.5%');
  const rps = inputs.text('min-rps');
  if (!/^\d+(\.\d+)?$/.test(rps)) inputs.reject('min-rps', rps, 'a number from 0, such as 10');
  const soak = {
    ms,
    concurrency: inputs.integer('concurrency', { min: 1, max: 100 }),
    limits: {
      maxErrorRate: Number(percent ?? 0) / 100,
      maxP95: inputs.duration('max-p95', { min: 1 }),
      minRps: Number(rps) || 0,
      minSamples: inputs.integer('min-samples', { min: 1 }),
    },
  };
  if (!inputs.isSet('soak'))
    for (const name of soakInputs)
      if (inputs.isSet(name))
        inputs.problem(name, 'holds during soak alone; give soak, such as 1m, or leave it out');
  return soak;
}

/** An expectation that no answer is held against would be a check that cannot fail. */
function refuseIdleExpectations(inputs: Inputs, { urls, expectation, method, hold }: GateInputs): void {
  if (urls.length === 0) return;
  const http = urls.some(isHttp);
  const answers = http || urls.some(isWebSocket);
  const bodyless = http
    ? method === 'HEAD'
      ? 'the answer to HEAD has no body; use GET'
      : undefined
    : 'no url is http or https, and nothing else has a body';
  if (bodyless && expectation.body) inputs.problem('expected-body', bodyless);
  if (bodyless && expectation.json) inputs.problem('expected-json', bodyless);
  if (bodyless && expectation.versionFrom && expectation.versionFrom.kind !== 'header')
    inputs.problem('version-from', `${bodyless}; or read it from header:Name`);
  const headerless = 'a tcp url answers with nothing that could be read';
  if (!answers && expectation.versionFrom?.kind === 'header') inputs.problem('version-from', headerless);
  if (!answers && expectation.servedBy) inputs.problem('served-by', headerless);
  if (!http && inputs.isSet('expected-status'))
    inputs.problem('expected-status', 'no url is http or https; a WebSocket must answer 101');
  if (hold > 0 && !urls.some(isWebSocket)) inputs.problem('hold', 'no url is ws or wss; leave it out');
}

/** What could only ever end red is said before anything is asked. A part that is itself wrong counts as 0 here. */
function refuseImpossible(inputs: Inputs, parsed: GateInputs, soak: Soak): void {
  const { interval, timeout, probeTimeout, criteria, expectation } = parsed;
  const needed = neededInARow(criteria, expectation);
  const least = (needed - 1) * interval;
  if (interval > 0 && timeout > 0 && least > timeout)
    inputs.problem(
      'timeout',
      `${formatDuration(timeout)} is too short for ${needed} answers in a row, one every ${formatDuration(interval)}; expected at least ${formatDuration(least)}`,
    );
  const { ms, concurrency, limits } = soak;
  if (ms === 0) return;
  if (probeTimeout > 0 && limits.maxP95 > probeTimeout)
    inputs.problem(
      'max-p95',
      `${formatDuration(limits.maxP95)} is more than probe-timeout (${formatDuration(probeTimeout)}), so no answer could break it`,
    );
  const most = (concurrency * 1000) / soakGap;
  if (limits.minRps > most)
    inputs.problem(
      'min-rps',
      `${limits.minRps} a second cannot be reached: concurrency ${concurrency} asks at most ${most} times a second; give concurrency ${Math.ceil((limits.minRps * soakGap) / 1000)} or more`,
    );
  const samples = Math.floor((most * ms) / 1000);
  if (limits.minSamples > samples)
    inputs.problem(
      'min-samples',
      `${limits.minSamples} cannot be reached: ${formatDuration(ms)} of soak with concurrency ${concurrency} makes at most ${samples}`,
    );
}

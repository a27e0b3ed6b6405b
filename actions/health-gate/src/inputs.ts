import { isIP } from 'node:net';
import type { Inputs } from '@lockkeeper/action';
import { type Criteria, type Expectation, parseStatus, parseVersionSource } from '@lockkeeper/probe';

export interface GateInputs {
  urls: URL[];
  expectation: Expectation;
  criteria: Criteria;
  method: string;
  headers: Record<string, string>;
  /** What of the headers only the app may see. */
  secrets: string[];
  resolve: Map<string, string>;
  interval: number;
  probeTimeout: number;
  timeout: number;
  tls: { verify: boolean; ca?: string };
  dryRun: boolean;
}

/** Reads and checks every input; throws one InputError with all problems. */
export function parseInputs(inputs: Inputs): GateInputs {
  const urls = inputs.list('url').flatMap((text) => parseUrl(inputs, text));
  if (inputs.list('url').length === 0)
    inputs.problem('url', 'is required; expected https://…, http://… or tcp://host:port');

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
  if (source && !versionFrom) inputs.reject('version-from', source, 'json:path, header:Name or body:regex');
  if (version && !source)
    inputs.problem(
      'version-from',
      'is required with expected-version; expected json:path, header:Name or body:regex',
    );

  const headers = inputs.pairs('headers', { separator: ':', key: /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/ });
  // Not all of them: masking `https` or the host's name would blacken the whole log.
  const secret = headers.filter(([name]) => /auth|token|secret|key|cookie|pass/i.test(name));
  for (const [, value] of secret) inputs.mask(value);

  const resolve = inputs.pairs('resolve');
  for (const [host, address] of resolve)
    if (!isIP(address) && !/^[A-Za-z0-9.-]+$/.test(address))
      inputs.reject('resolve', `${host}=${address}`, 'host=address or host=other-name');

  const body = parsePattern(inputs, 'expected-body');
  const json = inputs.pairs('expected-json');
  const ca = inputs.text('ca-certificates');
  if (ca && !ca.includes('-----BEGIN CERTIFICATE-----'))
    inputs.problem('ca-certificates', 'is no PEM certificate; expected -----BEGIN CERTIFICATE-----');

  const parsed: GateInputs = {
    urls,
    expectation: {
      status: status ?? [],
      ...(body ? { body } : {}),
      ...(json.length > 0 ? { json } : {}),
      ...(version ? { version } : {}),
      ...(versionFrom ? { versionFrom } : {}),
    },
    criteria: {
      consecutiveSuccesses: inputs.integer('consecutive-successes', { min: 1 }),
      versionSuccesses: inputs.integer('version-successes', { min: 1 }),
      maxConnectionErrors: inputs.integer('max-connection-errors'),
    },
    method: inputs.matching('method', /^[A-Z]+$/, 'a method such as GET or HEAD'),
    headers: Object.fromEntries(headers),
    secrets: secret.flatMap(([, value]) => secretsIn(value)),
    resolve: new Map(resolve),
    interval: inputs.duration('interval', { min: 100 }),
    probeTimeout: inputs.duration('probe-timeout', { min: 100 }),
    timeout: inputs.duration('timeout', { min: 1000 }),
    tls: { verify: inputs.boolean('tls-verify'), ...(ca ? { ca } : {}) },
    dryRun: inputs.boolean('dry-run'),
  };
  for (const name of [
    'soak',
    'concurrency',
    'max-error-rate',
    'max-p95',
    'min-rps',
    'min-samples',
    'served-by',
    'hold',
  ])
    inputs.notYet(name);
  inputs.done();
  return parsed;
}

/** A header's value and the credential in it, `Bearer abc` or `sid=abc; lang=en`; what is short is no secret. */
function secretsIn(value: string): string[] {
  const credentials = value.split(/[\s;,]+/).map((part) => part.replace(/^[\w.-]+=(?!=*$)/, ''));
  return [value, ...credentials].filter((part) => part.length >= 8);
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
  if (url?.protocol === 'ws:' || url?.protocol === 'wss:') {
    inputs.problem('url', `"${text}": WebSockets are not supported by this version yet; leave it out`);
    return [];
  }
  const known = url && ['http:', 'https:', 'tcp:'].includes(url.protocol) && url.hostname !== '';
  if (!known || (url.protocol === 'tcp:' && !url.port)) {
    inputs.reject('url', text, 'https://…, http://… or tcp://host:port');
    return [];
  }
  return [url];
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

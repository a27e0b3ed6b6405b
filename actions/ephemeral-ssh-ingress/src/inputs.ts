import { type Inputs, isLoopback } from '@lockkeeper/action';
import { type AwsSettings, readAwsInputs } from '@lockkeeper/aws';
import { readCidr } from './address.ts';
import type { HostPort } from './reach.ts';

export interface IngressInputs extends AwsSettings {
  mode: 'open' | 'close' | 'sweep';
  groupIds: string[];
  ports: number[];
  /** Empty: to be detected. */
  cidrs: string[];
  lookupUrls: string[];
  lookupQuorum: number;
  ttlMs: number;
  probes: HostPort[];
  probeTimeoutMs: number;
  dryRun: boolean;
}

/** Reads and judges every input; throws all problems at once, before anything is contacted. */
export function parseInputs(inputs: Inputs, env: Record<string, string | undefined> = {}): IngressInputs {
  const mode = inputs.choice('mode', ['open', 'close', 'sweep']);
  const groupIds = [...new Set(inputs.list('security-group-id'))];
  for (const id of groupIds)
    if (!/^sg-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id))
      inputs.reject('security-group-id', id, 'the id of a security group, such as sg-0123456789abcdef0');
  if (groupIds.length === 0 && mode !== 'close')
    inputs.problem('security-group-id', 'is required; expected one or several, such as sg-0123456789abcdef0');

  const settings: IngressInputs = {
    mode,
    groupIds,
    ports: [...new Set(inputs.integers('port', { min: 1, max: 65_535 }))],
    cidrs: readCidrs(inputs),
    lookupUrls: readLookupUrls(inputs),
    lookupQuorum: inputs.integer('ip-lookup-quorum', { min: 1 }),
    ttlMs: inputs.duration('ttl', { min: 1_000, max: 7 * 86_400_000 }),
    probes: readProbes(inputs),
    probeTimeoutMs: inputs.duration('probe-timeout', { min: 1_000, max: 3_600_000 }),
    dryRun: inputs.boolean('dry-run'),
    ...readAwsInputs(inputs, env),
  };
  if (mode !== 'open')
    for (const name of ['cidr', 'probe'])
      if (inputs.isSet(name)) inputs.problem(name, `has no meaning with mode: ${mode}; leave it out`);
  // The default is 2; with one service given, that one decides.
  const services = settings.lookupUrls.length;
  if (settings.lookupQuorum > services && inputs.isSet('ip-lookup-quorum') && services > 0)
    inputs.problem(
      'ip-lookup-quorum',
      `${settings.lookupQuorum} services cannot agree when ip-lookup-url names ${services}; expected at most ${services}`,
    );
  settings.lookupQuorum = Math.min(settings.lookupQuorum, services);
  inputs.done();
  return settings;
}

function readCidrs(inputs: Inputs): string[] {
  const byFamily = new Map<number, string>();
  for (const text of inputs.list('cidr')) {
    const read = readCidr(text);
    if ('problem' in read)
      inputs.problem(
        'cidr',
        `"${text}" is ${read.problem}; expected one address such as 203.0.113.7/32 or 2001:db8::7/128`,
      );
    else if (byFamily.has(read.family) && byFamily.get(read.family) !== read.cidr)
      inputs.problem('cidr', `"${text}" is a second IPv${read.family} address; expected one of each kind`);
    else byFamily.set(read.family, read.cidr);
  }
  return [...byFamily.values()];
}

function readLookupUrls(inputs: Inputs): string[] {
  return [...new Set(inputs.list('ip-lookup-url'))].filter((text) => {
    const url = URL.parse(text);
    if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return true;
    inputs.reject(
      'ip-lookup-url',
      text,
      'an https:// URL (http:// only to a loopback address: an answer that can be forged would open the port to a stranger)',
    );
    return false;
  });
}

function readProbes(inputs: Inputs): HostPort[] {
  return inputs.list('probe').flatMap((text) => {
    const [, bracketed, plain, port] =
      /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text) ?? [];
    const host = bracketed ?? plain;
    if (host === undefined || !(Number(port) >= 1 && Number(port) <= 65_535)) {
      inputs.reject('probe', text, 'host:port, such as 203.0.113.20:22 or [2001:db8::20]:22');
      return [];
    }
    return [{ host, port: Number(port) }];
  });
}

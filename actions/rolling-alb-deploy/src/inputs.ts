import { isIP } from 'node:net';
import type { Inputs } from '@lockkeeper/action';
import { type AwsSettings, readAwsInputs } from '@lockkeeper/aws';
import { type ReleaseSettings, readReleaseInputs } from '@lockkeeper/compose';
import { checkHostName, readSshInputs, type SshTarget } from '@lockkeeper/ssh';
import type { NamedTarget, SshAddress } from './plan/members.ts';
import type { PlanSettings } from './plan/plan-settings.ts';
import type { OnFailure } from './roll/roll.ts';

export interface RollingInputs extends PlanSettings {
  aws: AwsSettings;
  targetGroupArns: string[];
  /** Where host keys come from, besides those that are given. */
  hostKeys: 'inputs' | 'ec2-console';
  onFailure: OnFailure;
  ssh: Omit<SshTarget, 'host'>;
  release: ReleaseSettings;
}

const instanceId = /^i-[0-9a-f]{8}(?:[0-9a-f]{9})?$/;
const groupArn =
  /^arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):\d{12}:targetgroup\/[A-Za-z0-9-]{1,32}\/[0-9a-f]{16}$/;

/** Reads all inputs; throws one InputError with every problem. */
export function parseInputs(inputs: Inputs, env: Record<string, string | undefined>): RollingInputs {
  const groups = readGroups(inputs);
  const aws = readAwsInputs(inputs, env, regionOf(groups));
  for (const [arn, region] of groups)
    if (aws.region && region !== aws.region)
      inputs.problem('target-group-arn', `"${arn}" is in ${region}, but region is ${aws.region}`);
  const targets = readTargets(inputs);
  const hostAddress = inputs.choice('host-address', ['public-ip', 'private-ip', 'public-dns', 'private-dns']);
  const hosts = readHosts(inputs);
  const hostKeys = inputs.choice('host-keys', ['inputs', 'ec2-console']);
  for (const name of ['run', 'run-output']) inputs.notYet(name);
  const batchSize = inputs.countOrPercent('batch-size', { min: 1 });
  const minHealthy = inputs.countOrPercent('min-healthy');
  const kind = inputs.choice('drain', ['idle', 'full']);
  const settle = inputs.duration('drain-settle');
  const timeout = inputs.text('drain-timeout') ? inputs.duration('drain-timeout') : undefined;
  const onFailure = inputs.choice('on-failure', ['rollback-all', 'rollback-failed', 'stop']);
  const release = readReleaseInputs(inputs);
  const parsed: RollingInputs = {
    aws,
    targetGroupArns: [...groups.keys()],
    targets,
    hostAddress,
    hosts,
    hostKeys,
    batchSize,
    minHealthy,
    drain: { kind, settle, ...(timeout !== undefined && { timeout }) },
    healthyTimeout: inputs.duration('healthy-timeout', { min: 1_000 }),
    bakeTime: inputs.duration('bake-time'),
    onFailure,
    stabilityWindow: release.stabilityWindow,
    preDeploy: release.preDeploy.trim() !== '',
    ssh: readSshInputs(inputs, { needsTrust: hostKeys === 'inputs' }),
    release,
  };
  if (!parsed.release.rollback) {
    if (inputs.isSet('on-failure') && onFailure !== 'stop')
      inputs.problem(
        'on-failure',
        `"${onFailure}" and rollback: false contradict each other; leave one of them out`,
      );
    parsed.onFailure = 'stop';
  }
  inputs.done();
  return parsed;
}

/** The groups' ARNs, each with the region that it names. */
function readGroups(inputs: Inputs): Map<string, string> {
  const arns = inputs.list('target-group-arn');
  const expected = 'arn:aws:elasticloadbalancing:<region>:<account>:targetgroup/<name>/<id>';
  if (arns.length === 0) inputs.required('target-group-arn', expected);
  const groups = new Map<string, string>();
  for (const arn of arns) {
    const region = groupArn.exec(arn)?.[1];
    if (region) groups.set(arn, region);
    else inputs.reject('target-group-arn', arn, expected);
  }
  const regions = [...new Set(groups.values())];
  if (regions.length > 1)
    inputs.problem('target-group-arn', `names groups in ${regions.join(' and ')}; expected one region`);
  return groups;
}

/** The one region that all groups are in; '' when there is none. */
function regionOf(groups: ReadonlyMap<string, string>): string {
  const [region = '', ...others] = new Set(groups.values());
  return others.length === 0 ? region : '';
}

const isTarget = (id: string) => instanceId.test(id) || isIP(id) !== 0;

function readTargets(inputs: Inputs): NamedTarget[] {
  return inputs.list('targets').flatMap((item): NamedTarget[] => {
    // An IPv6 address has colons of its own: with a port it stands in brackets.
    const address = isTarget(item) ? { host: item } : readAddress(item);
    if (!address || !isTarget(address.host)) {
      inputs.reject('targets', item, 'i-0123456789abcdef0, 10.0.0.5, or one of them with :8000 behind it');
      return [];
    }
    const { host: id, port } = address;
    return [port === undefined ? { id } : { id, port }];
  });
}

function readHosts(inputs: Inputs): Map<string, SshAddress> {
  const hosts = new Map<string, SshAddress>();
  for (const [id, value] of inputs.pairs('hosts')) {
    const address = readAddress(value);
    if (!isTarget(id) || !address) {
      inputs.reject(
        'hosts',
        `${id}=${value}`,
        'i-0123456789abcdef0=203.0.113.5, i-0123456789abcdef0=203.0.113.5:2222, or the same for the address of an ip target',
      );
      continue;
    }
    checkHostName(inputs, 'hosts', address.host);
    if (hosts.has(id)) inputs.problem('hosts', `names ${id} twice`);
    hosts.set(id, address);
  }
  return hosts;
}

/** `host`, `host:port`, `[v6]:port` or a bare IPv6 address. */
function readAddress(text: string): SshAddress | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined)
    return /^[0-9a-f:]+$/i.test(text) && text.includes('::') ? { host: text } : undefined;
  if (port === undefined) return { host };
  return isPort(port) ? { host, port: Number(port) } : undefined;
}

const isPort = (text: string) => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;

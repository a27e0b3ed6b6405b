import type { Inputs } from '@lockkeeper/action';
import { type ReleaseSettings, readReleaseInputs } from '@lockkeeper/compose';
import { checkHostName, readSshInputs, type SshTarget } from '@lockkeeper/ssh';
import { type Places, placeOf } from './output-file.ts';

export interface DeployInputs {
  hosts: string[];
  onFailure: 'rollback-all' | 'rollback-failed' | 'stop';
  ssh: Omit<SshTarget, 'host'>;
  settings: ReleaseSettings;
  /** Instead of deploying: shell lines, and the file on the runner that takes their stdout, absolute. */
  run?: { lines: string; output?: string };
}

/** What a deploy alone acts on: ignoring it in silence would mislead. */
const ofDeploys = [
  ...['image', 'environment', 'env-file', 'required-env', 'services', 'strategy', 'remove-orphans'],
  ...['registry', 'registry-username', 'registry-password', 'pre-deploy', 'post-deploy'],
];

/** Reads everything once; throws one InputError with every problem, before anything is contacted. */
export function parseInputs(inputs: Inputs, places: Places = { workspace: '', temp: '' }): DeployInputs {
  inputs.required('host', 'the name or address of the host');
  const hosts = [...new Set(inputs.list('host'))];
  for (const host of hosts) checkHostName(inputs, 'host', host);
  const onFailure = inputs.choice('on-failure', ['rollback-all', 'rollback-failed', 'stop']);
  const ssh = readSshInputs(inputs);
  const settings = readReleaseInputs(inputs);
  const run = readRun(inputs, hosts, places);
  inputs.done();
  return { hosts, onFailure, ssh, settings, run };
}

function readRun(inputs: Inputs, hosts: readonly string[], places: Places): DeployInputs['run'] {
  const lines = inputs.raw('run');
  const path = inputs.text('run-output');
  const output = path ? placeOf(path, places) : undefined;
  if (path && !output)
    inputs.reject('run-output', path, 'a file in the workspace or in RUNNER_TEMP of this runner, without ..');
  if (!lines.trim()) {
    if (path) inputs.problem('run-output', 'is of use only with run');
    return undefined;
  }
  for (const name of ['rollback-to', 'dry-run'])
    if (inputs.isSet(name)) inputs.problem(name, 'and run contradict each other; leave one of them out');
  for (const name of ofDeploys)
    if (inputs.isSet(name))
      inputs.problem(name, 'is of no use with run, which deploys nothing; leave it out');
  if (path && hosts.length > 1)
    inputs.problem('run-output', `takes the output of one host; host names ${hosts.length}`);
  return { lines, output };
}

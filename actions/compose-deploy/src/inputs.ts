import type { Inputs } from '@lockkeeper/action';
import { type ReleaseSettings, readReleaseInputs } from '@lockkeeper/compose';
import { checkHostName, readSshInputs, type SshTarget } from '@lockkeeper/ssh';

export interface DeployInputs {
  hosts: string[];
  onFailure: 'rollback-all' | 'rollback-failed' | 'stop';
  ssh: Omit<SshTarget, 'host'>;
  settings: ReleaseSettings;
}

/** Reads everything once; throws one InputError with every problem, before anything is contacted. */
export function parseInputs(inputs: Inputs): DeployInputs {
  inputs.required('host', 'the name or address of the host');
  const hosts = [...new Set(inputs.list('host'))];
  for (const host of hosts) checkHostName(inputs, 'host', host);
  const onFailure = inputs.choice('on-failure', ['rollback-all', 'rollback-failed', 'stop']);
  const ssh = readSshInputs(inputs);
  const settings = readReleaseInputs(inputs);
  inputs.done();
  return { hosts, onFailure, ssh, settings };
}

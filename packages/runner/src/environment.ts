import { delimiter } from 'node:path';
import { inputVariable } from './manifest.ts';

/** What of the github context becomes GITHUB_*; GITHUB_TOKEN is not among it (GitHubContext.cs). */
const githubVariables = [
  'action',
  'action_ref',
  'action_repository',
  'actor',
  'actor_id',
  'api_url',
  'artifacts',
  'artifacts_list',
  'base_ref',
  'env',
  'event_name',
  'event_path',
  'graphql_url',
  'head_ref',
  'job',
  'output',
  'path',
  'ref',
  'ref_name',
  'ref_protected',
  'ref_type',
  'repository',
  'repository_id',
  'repository_owner',
  'repository_owner_id',
  'retention_days',
  'run_attempt',
  'run_id',
  'run_number',
  'server_url',
  'sha',
  'state',
  'step_summary',
  'triggering_actor',
  'workflow',
  'workflow_ref',
  'workflow_sha',
  'workspace',
];

export interface EnvironmentLayers {
  /** The worker's own. */
  worker: Record<string, string>;
  /** Workflow and job env, GITHUB_ENV, step env. */
  env: Record<string, string>;
  state?: Record<string, string>;
  inputs?: Record<string, string>;
  /** What GITHUB_PATH added, first added first. */
  paths: readonly string[];
  github: Record<string, unknown>;
  runner: Record<string, string>;
  /** ACTIONS_*. */
  actions: Record<string, string>;
}

/** Makes the whole environment of a step's process from an empty map; a later layer wins. */
export function stepEnvironment(layers: EnvironmentLayers): Record<string, string> {
  const result: Record<string, string> = { ...layers.worker, ...layers.env };
  for (const [name, value] of Object.entries(layers.state ?? {})) result[`STATE_${name}`] = value;
  for (const [name, value] of Object.entries(layers.inputs ?? {})) result[inputVariable(name)] = value;
  if (layers.paths.length > 0) {
    const original = result.PATH;
    const entries = [...layers.paths].reverse();
    result.PATH = [...entries, ...(original ? [original] : [])].join(delimiter);
  }
  for (const name of githubVariables) {
    const value = layers.github[name];
    if (value !== undefined && value !== null && typeof value !== 'object') {
      result[`GITHUB_${name.toUpperCase()}`] = String(value);
    }
  }
  for (const [name, value] of Object.entries(layers.runner)) result[`RUNNER_${name.toUpperCase()}`] = value;
  Object.assign(result, layers.actions);
  result.GITHUB_ACTIONS = 'true';
  result.CI ??= 'true';
  delete result.NODE_ICU_DATA;
  return result;
}

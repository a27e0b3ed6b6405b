import { describe, expect, it } from '@jest/globals';
import { type EnvironmentLayers, stepEnvironment } from '../src/environment.ts';

const none: EnvironmentLayers = { worker: {}, env: {}, paths: [], github: {}, runner: {}, actions: {} };

/** The value that wins when a variable is in several layers. */
function value(name: string, layers: Partial<EnvironmentLayers>): string | undefined {
  return stepEnvironment({ ...none, ...layers })[name];
}

describe('the layers of an environment', () => {
  it('are closed: nothing but GITHUB_ACTIONS and CI comes from nowhere', () => {
    expect(stepEnvironment(none)).toEqual({ GITHUB_ACTIONS: 'true', CI: 'true' });
  });

  it.each<[string, string, Partial<EnvironmentLayers>]>([
    ['A', 'env', { worker: { A: 'worker' }, env: { A: 'env' } }],
    ['STATE_a', 'state', { env: { STATE_a: 'env' }, state: { a: 'state' } }],
    ['STATE_a', 'env', { env: { STATE_a: 'env' }, state: {} }],
    ['INPUT_A', 'input', { env: { INPUT_A: 'env' }, inputs: { a: 'input' } }],
    ['INPUT_A', '', { env: { INPUT_A: 'env' }, inputs: { a: '' } }],
    ['PATH', '/b:/a:/env', { worker: { PATH: '/worker' }, env: { PATH: '/env' }, paths: ['/a', '/b'] }],
    ['PATH', '/a', { paths: ['/a'] }],
    ['PATH', '/worker', { worker: { PATH: '/worker' } }],
    ['GITHUB_SHA', 'github', { env: { GITHUB_SHA: 'env' }, github: { sha: 'github' } }],
    ['RUNNER_TEMP', '/t', { env: { RUNNER_TEMP: 'env' }, runner: { temp: '/t' } }],
    [
      'ACTIONS_CACHE_URL',
      'actions',
      { env: { ACTIONS_CACHE_URL: 'env' }, actions: { ACTIONS_CACHE_URL: 'actions' } },
    ],
    ['GITHUB_ACTIONS', 'true', { env: { GITHUB_ACTIONS: 'false' } }],
    ['CI', 'mine', { worker: { CI: 'mine' } }],
    ['GITHUB_REF_PROTECTED', 'false', { github: { ref_protected: false } }],
    ['GITHUB_RUN_NUMBER', '7', { github: { run_number: 7 } }],
  ])('give %s the value %j', (name, expected, layers) => {
    expect(value(name, layers)).toBe(expected);
  });

  it.each<[string, Partial<EnvironmentLayers>]>([
    ['GITHUB_TOKEN', { github: { token: 't' } }],
    ['GITHUB_EVENT', { github: { event: { a: 1 } } }],
    ['GITHUB_HEAD_REF', { github: { head_ref: null } }],
    ['GITHUB_ANYTHING', { github: { anything: 'x' } }],
    ['NODE_ICU_DATA', { worker: { NODE_ICU_DATA: '/x' }, env: { NODE_ICU_DATA: '/y' } }],
  ])('never hold %s', (name, layers) => {
    expect(value(name, layers)).toBeUndefined();
  });
});

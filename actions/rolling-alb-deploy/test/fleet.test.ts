import { expect, it } from '@jest/globals';
import { scenario, succeeded } from './fleet-stage.ts';

/** In the lab the whole delay is the shorter drain: its seconds pass faster than ours. */
const quick = { drain: 'full' };

const refusals = scenario(async (stage) => {
  const next = await stage.image('v2');
  const told = async (input: Record<string, string> = {}) => ({
    main: await stage.main({ ...next, ...input }),
    post: await stage.post(),
  });
  stage.deny('elasticloadbalancing:RegisterTargets');
  const register = await told();
  stage.deny('elasticloadbalancing:DeregisterTargets');
  const deregister = await told();
  stage.deny();
  const seen = {
    register,
    deregister,
    tooFew: await told({ 'min-healthy': '2' }),
    dryRun: await told({ 'dry-run': 'true', region: '' }),
  };
  return {
    ...seen,
    versions: await stage.versions(),
    drained: stage.lab.group.history.filter(({ state }) => state === 'draining'),
  };
});

const thereAndBack = scenario(async (stage) => {
  const next = await stage.image('v2');
  const deployed = await stage.main({ ...quick, ...next });
  const post = await stage.post();
  const first = { deployed, post, versions: await stage.versions(), states: stage.states() };
  const again = await stage.main({ ...quick, ...next });
  const back = await stage.main({ ...quick, 'rollback-to': 'previous' });
  return { ...first, again, back, versionsAfter: await stage.versions() };
});

it('brings two hosts to the new release and tells where each stands', async () => {
  const { deployed, post, versions, states } = await thereAndBack();
  succeeded(deployed);
  expect(deployed.outputs).toMatchObject({ result: 'deployed', reason: '' });
  expect(versions).toEqual(['v2', 'v2']);
  expect(states).toEqual(['healthy', 'healthy']);
  const targets = JSON.parse(deployed.outputs.targets!) as Array<{ result: string; seconds: object }>;
  expect(targets.map(({ result }) => result)).toEqual(['deployed', 'deployed']);
  expect(deployed.summary).toContain('gantt');
  expect(post).toMatchObject({ code: 0 });
}, 120_000);

it('leaves the hosts alone the next time', async () => {
  const { again } = await thereAndBack();
  expect(again).toMatchObject({ code: 0, outputs: { result: 'unchanged' } });
  expect(again.log).not.toContain('taking out');
}, 120_000);

it('goes back to the release before by name', async () => {
  const { back, versionsAfter } = await thereAndBack();
  expect(back).toMatchObject({ code: 0, outputs: { result: 'deployed' } });
  expect(versionsAfter).toEqual(['v1', 'v1']);
}, 120_000);

it.each([
  ['register', 'RegisterTargets'],
  ['deregister', 'DeregisterTargets'],
] as const)(
  'takes nobody out when it may not %s, and names what is missing',
  async (which, call) => {
    const { [which]: told, drained } = await refusals();
    expect(told.main.code).toBe(1);
    expect(told.main.log).toContain(`elasticloadbalancing:${call}`);
    expect(told.main.outputs.result).toBe('failed');
    expect(drained).toEqual([]);
  },
  120_000,
);

it('refuses in the plan what would leave too few in service', async () => {
  const { tooFew, versions } = await refusals();
  expect(tooFew.main.code).toBe(1);
  expect(tooFew.main.log).toContain('this can never hold');
  expect(versions).toEqual(['v1', 'v1']);
  expect(tooFew.post).toMatchObject({ code: 0 });
}, 120_000);

it('changes nothing in a dry run and prints the plan, in the region that the ARN names', async () => {
  const { dryRun, versions, drained } = await refusals();
  succeeded(dryRun.main);
  expect(dryRun.main.log).toContain('batch 2:');
  expect(dryRun.main.summary).toContain('batch 1:');
  expect(versions).toEqual(['v1', 'v1']);
  expect(drained).toEqual([]);
}, 120_000);

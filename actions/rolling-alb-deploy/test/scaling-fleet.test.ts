import { describe, expect, it } from '@jest/globals';
import { scenario, succeeded } from './fleet-stage.ts';

// Members of an Auto Scaling group whose health checks are the load balancer's, without mercy: whoever leaves the target
// group in service, or is ill there, is ended. The group is at its minimum, as at night, and nobody knows host keys.

const settings = {
  autoScaling: { minSize: 2, maxSize: 4, healthCheckType: 'ELB' as const, healthCheckGraceMs: 60_000 },
};
const fromConsole = { 'host-keys': 'ec2-console', 'known-hosts': '', drain: 'full' };

const rolled = scenario(async (stage) => {
  const { lab } = stage;
  const next = { ...fromConsole, ...(await stage.image('v2')) };
  const lost = await stage.main(next, (line, kill) => {
    if (line.startsWith('draining i-')) kill('SIGKILL');
  });
  await lab.clock.sleep(60_000);
  const left = { states: stage.states(), scaling: stage.scaling() };
  stage.forget();
  const later = await stage.main(next);
  const afterLater = { versions: await stage.versions(), states: stage.states(), scaling: stage.scaling() };
  const again = await stage.main(next);
  return { lost, left, later, afterLater, again, ended: stage.endedMembers() };
}, settings);

const grown = scenario(async (stage) => {
  const { lab } = stage;
  let grew = false;
  const main = await stage.main({ ...fromConsole, ...(await stage.image('v2')) }, (line) => {
    if (grew || !line.startsWith('draining i-')) return;
    grew = true;
    // What it launches serves v1.
    lab.scaling!.scaleOut();
  });
  return { main, versions: await stage.versions(), states: stage.states(), ended: stage.endedMembers() };
}, settings);

describe('a roll of Auto Scaling members that was lost', () => {
  it('has its member in standby and out of rotation, where nobody ends it', async () => {
    const { lost, left } = await rolled();
    expect(lost.code).toBe(null);
    expect(left.states).toEqual(['healthy']);
    expect(left.scaling).toMatchObject({ minSize: 1, desired: 1 });
    expect(left.scaling?.lifecycles.sort()).toEqual(['InService', 'Standby']);
  }, 240_000);

  it('is put right by the next run: everybody in service, the sizes as they were', async () => {
    const { later, afterLater, ended } = await rolled();
    succeeded(later);
    expect(afterLater).toMatchObject({ versions: ['v2', 'v2'], states: ['healthy', 'healthy'] });
    expect(afterLater.scaling).toEqual({ minSize: 2, desired: 2, lifecycles: ['InService', 'InService'] });
    expect(ended).toEqual([]);
  }, 240_000);

  it('leaves members alone that run the release already', async () => {
    const { again } = await rolled();
    expect(again).toMatchObject({ code: 0, outputs: { result: 'unchanged' } });
    expect(again.log).not.toContain('in standby in');
  }, 240_000);
});

describe('a member that Auto Scaling launches during the roll', () => {
  it('is rolled too', async () => {
    const { main, versions, states, ended } = await grown();
    succeeded(main);
    expect(main.log).toContain('joined the target groups meanwhile');
    expect(versions).toEqual(['v2', 'v2', 'v2']);
    expect(states).toEqual(['healthy', 'healthy', 'healthy']);
    expect(JSON.parse(main.outputs.targets!)).toHaveLength(3);
    expect(ended).toEqual([]);
  }, 240_000);
});

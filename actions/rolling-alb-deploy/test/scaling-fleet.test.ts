import { describe, expect, it } from '@jest/globals';
import { scenario, shippedPolicy, succeeded } from './fleet-stage.ts';

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
  let grew = false;
  const later = await stage.main(next, (line) => {
    if (grew || !line.startsWith('draining i-')) return;
    grew = true;
    // What it launches serves v1.
    lab.scaling!.scaleOut();
  });
  const afterLater = { versions: await stage.versions(), states: stage.states(), scaling: stage.scaling() };
  const again = await stage.main(next);
  const { calls, region, accountId } = lab.account;
  const listed = shippedPolicy({ region, accountId, targetGroupArns: [] }).Statement;
  return { lost, left, later, afterLater, again, ended: stage.endedMembers(), calls: [...calls], listed };
}, settings);

describe('a roll of Auto Scaling members that was lost', () => {
  it('has its member in standby and out of rotation, where nobody ends it', async () => {
    const { lost, left } = await rolled();
    expect(lost.code).toBe(null);
    expect(left.states).toEqual(['healthy']);
    expect(left.scaling).toMatchObject({ minSize: 1, desired: 1 });
    expect(left.scaling?.lifecycles.sort()).toEqual(['InService', 'Standby']);
  }, 120_000);

  it('is put right by the next run: everybody in service, and the minimum as it was', async () => {
    const { later, afterLater, ended } = await rolled();
    succeeded(later);
    expect(afterLater.scaling).toMatchObject({ minSize: 2, lifecycles: Array(3).fill('InService') });
    expect(afterLater.states).toEqual(Array(3).fill('healthy'));
    expect(ended).toEqual([]);
  }, 120_000);

  it('takes along whom Auto Scaling launches meanwhile', async () => {
    const { later, afterLater } = await rolled();
    expect(later.log).toContain('joined the target groups meanwhile');
    expect(afterLater.versions).toEqual(['v2', 'v2', 'v2']);
    expect(JSON.parse(later.outputs.targets!)).toHaveLength(3);
  }, 120_000);

  it('leaves members alone that run the release already: a scheduled run is harmless', async () => {
    const { again } = await rolled();
    expect(again).toMatchObject({ code: 0, outputs: { result: 'unchanged' } });
    expect(again.log).not.toContain('in standby in');
  }, 120_000);

  it('calls what the shipped policy lists, and no more', async () => {
    const { calls, listed } = await rolled();
    const called = calls.filter(({ service }) => service !== 'sts');
    expect([...new Set(called.map(({ service, action }) => `${service}:${action}`))].sort()).toEqual(
      listed.flatMap(({ Action }) => Action).sort(),
    );
    expect(called.filter(({ outcome }) => /Unauthorized|AccessDenied/.test(outcome))).toEqual([]);
  }, 120_000);
});

import { afterEach, describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import { openFleetStage } from './fleet-stage.ts';

let stage: Awaited<ReturnType<typeof openFleetStage>>;
afterEach(() => stage?.close());

const image = async (version: string, sick?: string) => {
  const digest = await stage.lab.pushApp(version, sick);
  return { image: `web=${stage.lab.vars().IMAGE}@${digest}` };
};
/** In the lab the whole delay is the shorter drain: its seconds pass faster than ours. */
const quick = { drain: 'full' };
const load = () => {
  const { balancer } = stage.lab;
  return startLoad({ url: balancer.url, rps: 20, seed: 1, mix: { get: 8, post: 2, slow: 1 }, slowMs: 1000 });
};

describe('the action over SSH and the account API', () => {
  it('rolls two hosts to the new release without losing a request, and leaves them alone the next time', async () => {
    stage = await openFleetStage();
    const users = load();
    const next = await image('v2');
    const main = await stage.main(next);
    const report = await users.stop();
    if (main.code !== 0) throw new Error(main.log);
    expect(main.outputs).toMatchObject({ result: 'deployed', reason: '' });
    expect(await stage.versions()).toEqual(['v2', 'v2']);
    expect(stage.states()).toEqual(['healthy', 'healthy']);
    expect(report.failures).toEqual([]);
    const targets = JSON.parse(main.outputs.targets!) as Array<{ result: string; seconds: object }>;
    expect(targets.map(({ result }) => result)).toEqual(['deployed', 'deployed']);
    expect(main.summary).toContain('gantt');
    expect(await stage.post()).toMatchObject({ code: 0 });

    const again = await stage.main(next);
    expect(again).toMatchObject({ code: 0, outputs: { result: 'unchanged' } });
    expect(again.log).not.toContain('taking out');

    stage.lab.group.setAttributes({ 'deregistration_delay.timeout_seconds': '20' });
    const back = await stage.main({ ...quick, 'rollback-to': 'previous' });
    expect(back).toMatchObject({ code: 0, outputs: { result: 'deployed' } });
    expect(await stage.versions()).toEqual(['v1', 'v1']);
  }, 180_000);

  it.each(['RegisterTargets', 'DeregisterTargets'])(
    'takes nobody out when %s is not allowed, and names it',
    async (call) => {
      stage = await openFleetStage({ deny: [`elasticloadbalancing:${call}`] });
      const main = await stage.main(await image('v2'));
      expect(main.code).toBe(1);
      expect(main.log).toContain(`elasticloadbalancing:${call}`);
      expect(stage.lab.group.history.filter(({ state }) => state === 'draining')).toEqual([]);
      expect(main.outputs.result).toBe('failed');
    },
    60_000,
  );

  it('refuses in the plan what would leave too few in service', async () => {
    stage = await openFleetStage();
    const main = await stage.main({ ...(await image('v2')), 'min-healthy': '2' });
    expect(main.code).toBe(1);
    expect(main.log).toContain('this can never hold');
    expect(await stage.versions()).toEqual(['v1', 'v1']);
    expect(await stage.post()).toMatchObject({ code: 0 });
  }, 60_000);

  it('changes nothing in a dry run and prints the plan', async () => {
    stage = await openFleetStage();
    const main = await stage.main({ ...(await image('v2')), 'dry-run': 'true' });
    if (main.code !== 0) throw new Error(main.log);
    expect(main.log).toContain('batch 2:');
    expect(main.summary).toContain('batch 1:');
    expect(await stage.versions()).toEqual(['v1', 'v1']);
    expect(stage.lab.group.history.filter(({ state }) => state === 'draining')).toEqual([]);
  }, 60_000);
});

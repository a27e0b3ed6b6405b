import { afterEach, describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import { openFleetStage } from './fleet-stage.ts';

let stage: Awaited<ReturnType<typeof openFleetStage>>;
afterEach(() => stage?.close());

const image = async (version: string, sick?: string) => {
  const digest = await stage.lab.pushApp(version, sick);
  return { image: `web=${stage.lab.vars().IMAGE}@${digest}` };
};

describe('the action over SSH and the account API', () => {
  it('rolls two hosts to the new release without losing a request', async () => {
    stage = await openFleetStage();
    const load = startLoad({ url: stage.lab.balancer.url, rps: 20, seed: 1 });
    const main = await stage.main(await image('v2'));
    const report = await load.stop();
    if (main.code !== 0) throw new Error(main.log);
    expect(main.outputs).toMatchObject({ result: 'deployed', reason: '' });
    expect(await stage.versions()).toEqual(['v2', 'v2']);
    expect(stage.states()).toEqual(['healthy', 'healthy']);
    expect(report.failed).toBe(0);
    const targets = JSON.parse(main.outputs.targets!) as Array<{ result: string; seconds: object }>;
    expect(targets.map(({ result }) => result)).toEqual(['deployed', 'deployed']);
    expect(main.summary).toContain('gantt');
    const post = await stage.post();
    expect(post).toMatchObject({ code: 0 });
  }, 90_000);
});

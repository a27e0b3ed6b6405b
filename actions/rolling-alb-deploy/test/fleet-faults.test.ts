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

describe('whatever happens to the action on a fleet', () => {
  it('comes back from a release that fails its check, with everybody in rotation and nobody noticing', async () => {
    stage = await openFleetStage({ delay: 20 });
    const users = load();
    const main = await stage.main({ ...quick, ...(await image('v2', '503')) });
    const report = await users.stop();
    expect(main.code).toBe(1);
    expect(main.outputs).toMatchObject({ result: 'rolled-back' });
    expect(main.outputs.reason).toMatch(/^i-[0-9a-f]+: /);
    expect(await stage.versions()).toEqual(['v1', 'v1']);
    expect(stage.states()).toEqual(['healthy', 'healthy']);
    expect(report.failures).toEqual([]);
    expect(await stage.post()).toMatchObject({ code: 0 });
  }, 120_000);

  it('after kill -9 in the switch, post brings the host back on the old release and into rotation', async () => {
    stage = await openFleetStage({ delay: 20 });
    const users = load();
    const main = await stage.main({ ...quick, ...(await image('v2')) }, (line, kill) => {
      if (line.startsWith('switching i-')) kill('SIGKILL');
    });
    expect(main.code).toBe(null);
    const post = await stage.post(quick);
    const report = await users.stop();
    if (post.code !== 0) throw new Error(post.log);
    expect(await stage.versions()).toEqual(['v1', 'v1']);
    expect(stage.states()).toEqual(['healthy', 'healthy']);
    expect(report.failures).toEqual([]);
    expect(post.log).toContain('Every target is in its target group');
  }, 120_000);

  it('puts back whom a lost runner left out, from the record of the host that stayed', async () => {
    stage = await openFleetStage({ delay: 20 });
    const next = { ...quick, ...(await image('v2')) };
    const lost = await stage.main(next, (line, kill) => {
      if (line.startsWith('draining i-')) kill('SIGKILL');
    });
    expect(lost.code).toBe(null);
    // No post: the machine is gone. The delay passes, and the target is no longer listed.
    await stage.lab.clock.sleep(21_000);
    expect(stage.states()).toEqual(['healthy']);
    stage.forget();
    const later = await stage.main(next);
    if (later.code !== 0) throw new Error(later.log);
    expect(later.log).toContain('was left out of rotation by an interrupted run');
    expect(stage.states()).toEqual(['healthy', 'healthy']);
    expect(await stage.versions()).toEqual(['v2', 'v2']);
  }, 120_000);

  it('stops within seconds when cancelled, and post ends what was begun', async () => {
    stage = await openFleetStage({ delay: 20 });
    let cancelledAt = 0;
    const main = await stage.main({ ...quick, ...(await image('v2')) }, (line, kill) => {
      if (!line.startsWith('switching i-')) return;
      cancelledAt = Date.now();
      kill('SIGINT');
    });
    expect(Date.now() - cancelledAt).toBeLessThan(7_000);
    expect(main.code).toBe(1);
    const post = await stage.post(quick);
    if (post.code !== 0) throw new Error(post.log);
    expect(await stage.versions()).toEqual(['v1', 'v1']);
    expect(stage.states()).toEqual(['healthy', 'healthy']);
  }, 120_000);
});

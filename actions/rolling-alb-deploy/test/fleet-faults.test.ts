import { describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import { scenario, succeeded } from './fleet-stage.ts';

/** In the lab the whole delay is the shorter drain: its seconds pass faster than ours. */
const quick = { drain: 'full' };

const sickThenLost = scenario(async (stage) => {
  const sick = await stage.main({ ...quick, ...(await stage.image('v2', '503')) });
  const afterSick = { versions: await stage.versions(), states: stage.states(), post: await stage.post() };

  const next = { ...quick, ...(await stage.image('v3')) };
  const lost = await stage.main(next, (line, kill) => {
    if (line.startsWith('draining i-')) kill('SIGKILL');
  });
  // No post: the machine is gone. The delay passes, and the target is no longer listed.
  await stage.lab.clock.sleep(21_000);
  const left = stage.states();
  stage.forget();
  const later = await stage.main(next);
  return { sick, afterSick, lost, left, later, states: stage.states(), versions: await stage.versions() };
});

// The load balancer sends new requests for a second after the call; the delay must be longer than that.
const killedThenCancelled = scenario(
  async (stage) => {
    const { url } = stage.lab.balancer;
    const next = { ...quick, ...(await stage.image('v2')) };
    const inTheSwitch = (signal: NodeJS.Signals) => {
      const at = { signalled: 0 };
      const main = stage.main(next, (line, kill) => {
        if (!line.startsWith('switching i-')) return;
        at.signalled = Date.now();
        kill(signal);
      });
      return main.then((outcome) => ({ ...outcome, stoppedAfter: Date.now() - at.signalled }));
    };
    const ended = async () => ({
      post: await stage.post(quick),
      versions: await stage.versions(),
      states: stage.states(),
    });
    const users = startLoad({ url, rps: 20, seed: 1, mix: { get: 8, post: 2, slow: 1 }, slowMs: 1000 });
    const killed = await inTheSwitch('SIGKILL');
    const afterKill = await ended();
    const { failures } = await users.stop();
    stage.forget();
    const cancelled = await inTheSwitch('SIGINT');
    return { killed, afterKill, failures, cancelled, afterCancel: await ended() };
  },
  { delay: 100 },
);

const back = { versions: ['v1', 'v1'], states: ['healthy', 'healthy'] };

describe('whatever happens to the action on a fleet', () => {
  it('comes back from a release that fails its check, with everybody in rotation', async () => {
    const { sick, afterSick } = await sickThenLost();
    expect(sick.code).toBe(1);
    expect(sick.outputs).toMatchObject({ result: 'rolled-back' });
    expect(afterSick).toMatchObject({ ...back, post: { code: 0 } });
  }, 120_000);

  it('names the host of a failure once, and what to type to see more', async () => {
    const { sick } = await sickThenLost();
    expect(sick.outputs.reason).toMatch(/^web is unhealthy on 127\.77\.0\.\d+ \(i-[0-9a-f]+\): /);
    expect(sick.log).toMatch(
      /Next: ssh -p \d+ deploy@127\.77\.0\.\d+ 'cd \S+ && docker compose -p \w+ logs\b[^']* web'/,
    );
  }, 120_000);

  it('after kill -9 in the switch, post brings the host back on the old release and into rotation', async () => {
    const { killed, afterKill, failures } = await killedThenCancelled();
    expect(killed.code).toBe(null);
    succeeded(afterKill.post);
    expect(afterKill).toMatchObject(back);
    expect(failures).toEqual([]);
  }, 120_000);

  it('says on the page what was interrupted, what became of it, what serves and what to type', async () => {
    const { afterKill } = await killedThenCancelled();
    expect(afterKill.post.log).toMatch(
      /^::warning ::The roll was interrupted while i-[0-9a-f]+ was being switched to the new release\. It is back in rotation; 2 of 2 targets are healthy and serve \d{8}-\S+\.%0ANext: gh run rerun 4711 --repo octo\/app$/m,
    );
  }, 120_000);

  it('puts back whom a lost runner left out, from the record of the host that stayed', async () => {
    const { lost, left, later, states, versions } = await sickThenLost();
    expect(lost.code).toBe(null);
    expect(left).toEqual(['healthy']);
    succeeded(later);
    expect(later.log).toContain('was left out of rotation by an interrupted run');
    expect(states).toEqual(['healthy', 'healthy']);
    expect(versions).toEqual(['v3', 'v3']);
  }, 120_000);

  it('stops within seconds when cancelled, and post ends what was begun', async () => {
    const { cancelled, afterCancel } = await killedThenCancelled();
    expect(cancelled.stoppedAfter).toBeLessThan(7_000);
    expect(cancelled.code).toBe(1);
    succeeded(afterCancel.post);
    expect(afterCancel).toMatchObject(back);
  }, 120_000);
});

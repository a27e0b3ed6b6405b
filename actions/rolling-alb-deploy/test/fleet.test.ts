import { describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import { scenario, succeeded } from './fleet-stage.ts';

// The action as processes of its own, over SSH and the account's API. A good roll, a sick release and a kill while a
// target drains are proven under load in test/rehearsal.test.ts, with the committed bundles.

/** In the lab the whole delay is the shorter drain: its seconds pass faster than ours. */
const quick = { drain: 'full' };

const dryRun = scenario(async (stage) => {
  stage.deny('elasticloadbalancing:DescribeLoadBalancerAttributes');
  const main = await stage.main({ ...(await stage.image('v2')), 'dry-run': 'true', region: '' });
  const post = await stage.post();
  const drained = stage.lab.group.history.filter(({ state }) => state === 'draining');
  return { main, post, versions: await stage.versions(), drained };
});

const byAddress = scenario(
  async (stage) => {
    const { lab } = stage;
    const before = stage.membership();
    const users = lab.balancers.map(({ url }, seed) =>
      startLoad({ url, rps: 25, seed, mix: { get: 8, post: 2, slow: 1 }, slowMs: 1000 }),
    );
    const arns = lab.groups.map(({ arn }) => arn).join('\n');
    const main = await stage.main({ ...quick, ...(await stage.image('v2')), 'target-group-arn': arns });
    const reports = await Promise.all(users.map((one) => one.stop()));
    return { main, reports, before, after: stage.membership(), versions: await stage.versions() };
  },
  { delay: 160, targetType: 'ip', morePorts: [8001] },
);

const lostAndBack = scenario(async (stage) => {
  const next = { ...quick, ...(await stage.image('v2')) };
  const lost = await stage.main(next, (line, kill) => {
    if (line.startsWith('draining i-')) kill('SIGKILL');
  });
  // No post: the machine is gone. The delay passes, and the target is no longer listed.
  await stage.lab.clock.sleep(21_000);
  const left = stage.states();
  stage.forget();
  const later = await stage.main(next);
  const afterLater = { states: stage.states(), versions: await stage.versions() };
  const again = await stage.main(next);
  const back = await stage.main({ ...quick, 'rollback-to': 'previous' });
  return { lost, left, later, afterLater, again, back, versions: await stage.versions() };
});

// The load balancer sends new requests for a second after the call; the delay must be longer than that.
const killedThenCancelled = scenario(
  async (stage) => {
    const { url } = stage.lab.balancer;
    const next = { ...quick, ...(await stage.image('v2')) };
    const inTheSwitch = async (signal: NodeJS.Signals) => {
      let signalled = 0;
      const outcome = await stage.main(next, (line, kill) => {
        if (!line.startsWith('switching i-')) return;
        signalled = Date.now();
        kill(signal);
      });
      return { ...outcome, stoppedAfter: Date.now() - signalled };
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
  { delay: 160 },
);

it('changes nothing in a dry run and prints the plan, in the region that the ARN names', async () => {
  const { main, post, versions, drained } = await dryRun();
  succeeded(main);
  succeeded(post);
  expect(main.log).toContain('batch 2:');
  expect(main.log).toContain('could not be read (elasticloadbalancing:DescribeLoadBalancerAttributes)');
  expect(main.summary).toContain('batch 1:');
  expect(versions).toEqual(['v1', 'v1']);
  expect(drained).toEqual([]);
}, 120_000);

it('rolls hosts that are registered by their address, in two groups on two ports, and nobody notices', async () => {
  const { main, reports, before, after, versions } = await byAddress();
  succeeded(main);
  expect(versions).toEqual(['v2', 'v2']);
  expect(before).toHaveLength(4);
  expect(after).toEqual(before);
  for (const { requests, failures } of reports) {
    expect(requests).toBeGreaterThan(50);
    expect(failures).toEqual([]);
  }
}, 120_000);

describe('after a runner that was lost', () => {
  it('the next run puts back who was left out, from the record of the host that stayed', async () => {
    const { lost, left, later } = await lostAndBack();
    expect(lost.code).toBe(null);
    expect(left).toEqual(['healthy']);
    succeeded(later);
    expect(later.log).toContain('was left out of rotation by an interrupted run');
  }, 120_000);

  it('brings all hosts to the new release and tells where each stands', async () => {
    const { later, afterLater } = await lostAndBack();
    expect(afterLater).toEqual({ states: ['healthy', 'healthy'], versions: ['v2', 'v2'] });
    expect(later.outputs).toMatchObject({ result: 'deployed', reason: '' });
    const targets = JSON.parse(later.outputs.targets!) as Array<{ result: string }>;
    expect(targets.map(({ result }) => result)).toEqual(['deployed', 'deployed']);
    expect(later.summary).toContain('gantt');
  }, 120_000);

  it('leaves hosts alone that run the release already', async () => {
    const { again } = await lostAndBack();
    expect(again).toMatchObject({ code: 0, outputs: { result: 'unchanged' } });
    expect(again.log).not.toContain('taking out');
  }, 120_000);

  it('goes back by name to what ran before', async () => {
    const { back, versions } = await lostAndBack();
    expect(back).toMatchObject({ code: 0, outputs: { result: 'deployed' } });
    expect(versions).toEqual(['v1', 'v1']);
  }, 120_000);
});

describe('interrupted in the switch', () => {
  const asBefore = { versions: ['v1', 'v1'], states: ['healthy', 'healthy'] };

  it('by kill -9, post brings the host back on the old release and into rotation, and nobody notices', async () => {
    const { killed, afterKill, failures } = await killedThenCancelled();
    expect(killed.code).toBe(null);
    succeeded(afterKill.post);
    expect(afterKill).toMatchObject(asBefore);
    expect(failures).toEqual([]);
  }, 120_000);

  it('says on the page in what, what became of it, what serves and what to type', async () => {
    const { afterKill } = await killedThenCancelled();
    expect(afterKill.post.log).toMatch(
      /^::warning ::The roll was interrupted while i-[0-9a-f]+ was being switched to the new release\. It is back in rotation; 2 of 2 targets are healthy and serve \d{8}-\S+\.%0ANext: gh run rerun 4711 --repo octo\/app$/m,
    );
  }, 120_000);

  it('by a cancel, it stops within seconds, and post ends what was begun', async () => {
    const { cancelled, afterCancel } = await killedThenCancelled();
    expect(cancelled.stoppedAfter).toBeLessThan(7_000);
    expect(cancelled.code).toBe(1);
    succeeded(afterCancel.post);
    expect(afterCancel).toMatchObject(asBefore);
  }, 120_000);
});

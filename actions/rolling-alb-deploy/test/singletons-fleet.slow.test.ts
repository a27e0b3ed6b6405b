import { describe, expect, it } from '@jest/globals';
import { type Stage, scenario, succeeded } from './fleet-stage.ts';

// The sample project's worker is the service of which only one may run; at the start every host has one.

const inputs = { drain: 'full', 'singleton-services': 'worker' };

/** The hosts that a worker runs on, once for each. */
const workersOf = ({ lab }: Stage) =>
  lab.hosts.flatMap(({ instanceId, host }) =>
    host.engine
      .containers()
      .filter(({ service, status }) => service === 'worker' && status === 'running')
      .map(() => instanceId),
  );

const killed = scenario(async (stage) => {
  const before = workersOf(stage);
  const first = await stage.main({ ...inputs, ...(await stage.image('v2')) });
  const adopted = workersOf(stage);
  const next = { ...inputs, ...(await stage.image('v3')) };
  const lost = await stage.main(next, (line, kill) => {
    if (line.startsWith('switching i-') && !line.includes(adopted[0]!)) kill('SIGKILL');
  });
  const post = await stage.post(inputs);
  const afterPost = workersOf(stage);
  stage.forget();
  const again = await stage.main(next);
  return { before, first, adopted, lost, post, afterPost, again, after: workersOf(stage) };
});

const left = scenario(
  async (stage) => {
    succeeded(await stage.main({ ...inputs, ...(await stage.image('v2')) }));
    const [holder = ''] = workersOf(stage);
    const next = { ...inputs, ...(await stage.image('v3')) };
    let gone = false;
    const main = await stage.main(next, (line) => {
      if (gone || !line.startsWith('switching i-') || line.includes(holder)) return;
      gone = true;
      stage.lab.scaling!.scaleIn(holder);
    });
    const after = workersOf(stage);
    const again = await stage.main(next);
    return { holder, main, after, again, versions: await stage.versions(), states: stage.states() };
  },
  { hosts: 3, autoScaling: { minSize: 1, maxSize: 4, healthCheckType: 'EC2' } },
);

describe('a singleton service', () => {
  it('that ran on every host runs on one of them after the deploy', async () => {
    const { before, first, adopted } = await killed();
    succeeded(first);
    expect(before).toHaveLength(2);
    expect(adopted).toHaveLength(1);
    expect(first.log).toContain(`worker runs on ${adopted[0]} alone`);
  }, 240_000);

  it('stays where it is, and alone, when the deploy is killed and post goes back, and with the next release', async () => {
    const { adopted, lost, post, afterPost, again, after } = await killed();
    expect(lost.code).toBe(null);
    succeeded(post);
    expect(afterPost).toEqual(adopted);
    succeeded(again);
    expect(after).toEqual(adopted);
  }, 240_000);

  it('moves to another host when its own leaves in mid-roll, and stays there', async () => {
    const { holder, main, after, again, versions, states } = await left();
    succeeded(main);
    expect(main.log).toContain(`${holder}, which was to run worker, left meanwhile`);
    expect(after).toHaveLength(1);
    expect(after).not.toContain(holder);
    expect(again).toMatchObject({ code: 0, outputs: { result: 'unchanged' } });
    expect(versions).toEqual(['v3', 'v3']);
    expect(states).toEqual(['healthy', 'healthy']);
  }, 240_000);
});

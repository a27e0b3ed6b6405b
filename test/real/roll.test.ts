import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ActionResult, ActionRun } from '@lockkeeper/runner';
import { type Fleet, openFleet } from './fleet.ts';
import { waitFor } from './wait-for.ts';

describe('a roll over two real hosts behind a load balancer, under load', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await openFleet({ hosts: 2, delay: 20 });
  });
  afterAll(() => fleet?.close());

  /** What is done while users ask; then both are in rotation, and no user noticed. */
  async function unnoticed<T>(work: () => Promise<T>): Promise<T> {
    const load = fleet.users(50);
    let done: T;
    try {
      done = await work();
    } finally {
      await load.stop();
    }
    const { requests, failed, failures, versions, byKind } = load.snapshot();
    console.log(
      `${requests} requests, ${byKind.slow.requests} of them of 2 to 10 s, ${failed} failed; ${JSON.stringify(versions)}`,
    );
    expect({ failed, failures: failures.slice(0, 5) }).toEqual({ failed: 0, failures: [] });
    await waitFor('the first health checks of all targets', () =>
      fleet.members().every((member) => !member.endsWith('initial')),
    );
    expect(fleet.members()).toEqual(['web-1:80 healthy', 'web-2:80 healthy']);
    return done;
  }
  /** Rolls to a tag; tests run in any order. */
  const roll = (tag: string, values: Record<string, string> = {}, run?: Partial<ActionRun>) =>
    fleet.roll({ environment: `TAG=${tag}`, ...values }, run);
  const other = async () => ((await fleet.versions())[0] === 'v2' ? 'v3' : 'v2');
  const outcomeOf = ({ main }: ActionResult) => ({ ...main?.outputs, log: main?.log });

  it('ends on the new release on both', async () => {
    const tag = await other();
    const result = await unnoticed(() => roll(tag));
    expect(outcomeOf(result)).toMatchObject({ result: 'deployed' });
    expect(await fleet.versions()).toEqual([tag, tag]);
  });

  it('goes back on both when the second one fails', async () => {
    const [before] = await fleet.versions();
    const tag = await other();
    const result = await unnoticed(() =>
      roll(tag, { 'post-deploy': 'if [ "$(hostname)" = web-2 ]; then echo no room; exit 1; fi' }),
    );
    expect(outcomeOf(result)).toMatchObject({
      result: 'rolled-back',
      reason: expect.stringMatching(/no room/),
    });
    expect(await fleet.versions()).toEqual([before, before]);
  });

  it('keeps a release that does not start away from users', async () => {
    const [before] = await fleet.versions();
    const result = await unnoticed(() => roll('v2-crash'));
    expect(outcomeOf(result)).toMatchObject({ result: 'rolled-back' });
    expect(await fleet.versions()).toEqual([before, before]);
  });

  it.each([
    ['is out of rotation', /^switching i-/],
    ['runs the new release', /healthy; watching it/],
  ])('that is killed while a host %s is put in order by post', async (_when, line) => {
    const [before] = await fleet.versions();
    const tag = await other();
    const { main, post } = await unnoticed(() => roll(tag, {}, { signalAt: { line, signal: 'SIGKILL' } }));
    expect(main?.signal).toBe('SIGKILL');
    expect(post?.annotations.map(({ message }) => message).join('\n')).toMatch(
      /^The roll was interrupted while i-\w+ was .*It is back in rotation; 2 of 2 targets are healthy and serve /m,
    );
    expect(await fleet.versions()).toEqual([before, before]);
  });

  it('whose runner is lost in the middle is put in order by the next run', async () => {
    const tag = await other();
    const next = await unnoticed(async () => {
      const lost = await roll(tag, {}, { loseAt: { line: /^switching i-/ } });
      expect(lost.post).toBeUndefined();
      for (const shop of fleet.shops) await shop.ageLocks();
      return roll(tag);
    });
    expect(outcomeOf(next)).toMatchObject({ result: 'deployed' });
    expect(await fleet.versions()).toEqual([tag, tag]);
  });
});

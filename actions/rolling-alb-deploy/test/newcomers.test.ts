import { describe, expect, it } from '@jest/globals';
import type { TargetHealth } from '@lockkeeper/aws';
import { fakeClock } from '@lockkeeper/wait';
import { findNewcomers } from '../src/plan/newcomers.ts';
import { group, health } from './stand.ts';

interface Seen {
  targets?: TargetHealth[];
  /** Of the Auto Scaling group, by instance. */
  members?: Record<string, string>;
}

/** Looks around an account that changes: what it shows from which second on. */
async function find(story: Array<[number, Seen]>, { asg = true, patience = 300_000 } = {}) {
  const clock = fakeClock(0);
  const now = () => story.findLast(([from]) => clock.now() >= from * 1_000)![1];
  const { ids } = await findNewcomers(
    {
      gate: { health: async () => now().targets ?? [] },
      scaling: {
        describe: async () => {
          const list = Object.entries(now().members ?? {});
          const members = list.map(([id, lifecycle]) => ({ id, zone: 'a', lifecycle }));
          return new Map([['web', { members }]]);
        },
      },
      clock,
      signal: new AbortController().signal,
    } as unknown as Parameters<typeof findNewcomers>[0],
    {
      groups: [{ group: group(), health: [] }],
      known: new Set(['i-a']),
      scaling: asg ? ['web'] : [],
      patience,
    },
  );
  return { ids, seconds: clock.now() / 1_000 };
}

describe('who joined while the others were rolled', () => {
  const known = health('i-a');

  it('is nobody, and nothing is waited for', async () =>
    expect(await find([[0, { targets: [known], members: { 'i-a': 'InService' } }]])).toEqual({
      ids: [],
      seconds: 0,
    }));

  it('is waited for until its first health check is over, well or ill', async () => {
    for (const state of ['healthy', 'unhealthy'] as const) {
      const { ids, seconds } = await find([
        [0, { targets: [known, health('i-b', { state: 'initial' })] }],
        [20, { targets: [known, health('i-b', { state })] }],
      ]);
      expect(ids).toEqual(['i-b']);
      expect(seconds).toBeGreaterThanOrEqual(20);
      expect(seconds).toBeLessThan(25);
    }
  });

  it.each(['Pending', 'Pending:Wait', 'Pending:Proceed'])('is waited for while it is %s', async (lifecycle) =>
    expect(
      await find([
        [0, { targets: [known], members: { 'i-a': 'InService', 'i-b': lifecycle } }],
        [30, { targets: [known, health('i-b')], members: { 'i-b': 'InService' } }],
      ]),
    ).toMatchObject({ ids: ['i-b'] }),
  );

  it('is not waited for without end: who is being launched then is left to the next run', async () =>
    expect(
      await find([[0, { targets: [known], members: { 'i-b': 'Pending:Wait' } }]], { patience: 60_000 }),
    ).toEqual({ ids: [], seconds: 60 }));

  it('is not one that leaves again, nor a known one that returns from standby', async () =>
    expect(
      await find([
        [0, { targets: [known, health('i-b', { state: 'draining' })], members: { 'i-a': 'Pending' } }],
      ]),
    ).toEqual({ ids: [], seconds: 0 }));

  it('may have been registered by hand, where there is no Auto Scaling group', async () =>
    expect(await find([[0, { targets: [known, health('i-b')] }]], { asg: false })).toEqual({
      ids: ['i-b'],
      seconds: 0,
    }));
});

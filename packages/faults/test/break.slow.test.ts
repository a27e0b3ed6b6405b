import { expect, it } from '@jest/globals';
import { nameOf, turnsOf } from '../src/plan.ts';
import { play } from '../src/play.ts';
import { table } from '../src/table.ts';
import { breaks, withBroken } from './break.ts';

// The proof can fail: with a guarantee broken on purpose in a copy of a bundle, its row turns red, and no other.

it.each(breaks)(
  '$guarantee turns red, and nothing else, when $what',
  async (one) => {
    const { id, disturbance, phase } = turnsOf(table).find((turn) => nameOf(turn) === one.shownBy)!;
    const [first] = await withBroken(one, (actions) =>
      play(id, disturbance, phase, { seed: 1, actions, reRun: false }),
    );
    expect(first!.guarantees.filter(({ held }) => !held).map(({ name }) => name)).toEqual([one.guarantee]);
  },
  120_000,
);

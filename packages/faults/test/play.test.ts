import { expect, it } from '@jest/globals';
import { held } from '../src/judgement.ts';
import { turnsOf } from '../src/plan.ts';
import { play } from '../src/play.ts';
import { table } from '../src/table.ts';
import { actions } from './break.ts';

// One of the whole: `pnpm faults` plays all, and `pnpm test --slow` does.

it('a deploy that is killed when the switch begins holds every guarantee, and so does its re-run', async () => {
  const { id, disturbance, phase } = turnsOf(table, { pattern: 'F04 killed when the switch begins' })[0]!;
  const trials = await play(id, disturbance, phase, { seed: 1, actions });
  expect(trials.filter((trial) => !held(trial))).toEqual([]);
  expect(trials.map(({ run, conclusion, serves }) => `${run}: ${conclusion}, ${serves}`)).toEqual([
    'first: failure, v1',
    're-run: success, v2',
  ]);
}, 90_000);

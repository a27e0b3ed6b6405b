import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Bench } from './bench.ts';
import { aftermaths, killEverywhere, type SceneName } from './killing.ts';

// Beside killed.test.ts: what takes longer, and every scene with other chances and other delays of AWS's reads.

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

const table: Array<[SceneName, number, number]> = [
  ['two ports are to be opened', 16, 300],
  ['a run was killed that was about to close the rule of another', 18, 0],
  ['nothing is open', 12, 1_500],
  ['another run holds the rule', 15, 0],
  ['a human made the same rule', 12, 1_500],
  ['the same rule has expired', 20, 0],
];
const seeds = aftermaths.flatMap((aftermath, index) =>
  [815, 915].map((first) => [aftermath, first + index] as const),
);

describe.each(table)(
  'when %s and main is killed at each of %d points or more',
  (scene, points, readLagMs) => {
    it.each(seeds)(
      '%s leaves nothing of ours open and nothing of others touched (seed %d)',
      async (aftermath, seed) => {
        const { cases, wrong } = await killEverywhere(bench, scene, aftermath, { seed, readLagMs });
        expect(wrong).toEqual([]);
        expect(cases).toBeGreaterThanOrEqual(points);
      },
      240_000,
    );
  },
);

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Bench } from './bench.ts';
import { aftermaths, killEverywhere, type SceneName } from './killing.ts';

// kill -9 of main at every point from before its first call to after its last, against the lab's HTTP endpoint. What
// chance decides (the kind of VPC, whether post is killed too, when a call on its way arrives) comes from the seed.

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.open();
});
afterAll(() => bench.close());

const table: Array<[SceneName, number, number]> = [
  ['nothing is open', 12, 0],
  ['another run holds the rule', 15, 1_500],
  ['a human made the same rule', 12, 0],
  ['the same rule has expired', 20, 300],
];

describe.each(table)(
  'when %s and main is killed at each of %d points or more',
  (scene, points, readLagMs) => {
    it.each(aftermaths.map((aftermath, index) => [aftermath, 4711 + index] as const))(
      '%s leaves nothing of ours open and nothing of others touched (seed %d)',
      async (aftermath, seed) => {
        const { cases, wrong } = await killEverywhere(bench, scene, aftermath, { seed, readLagMs });
        expect(wrong).toEqual([]);
        expect(cases).toBeGreaterThanOrEqual(points);
      },
      120_000,
    );
  },
);

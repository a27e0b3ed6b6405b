import { expect, it } from '@jest/globals';
import { count, percentile, ranked, sayShares } from '../src/index.ts';

it.each([
  [[], 95, 0],
  [[10], 95, 10],
  [Array.from({ length: 20 }, (_, i) => i + 1), 95, 19],
  [Array.from({ length: 19 }, (_, i) => i + 1), 95, 19],
  [[1, 2, 3, 4], 50, 2],
  [[1, 2, 3, 4], 0, 1],
])('takes the nearest rank of %j at %d', (values, p, result) => expect(percentile(values, p)).toBe(result));

it('tells shares, the most frequent first and equals by name', () => {
  const counts = new Map<string, number>();
  for (const value of ['v2', 'v1', 'v3', 'v3']) count(counts, value);
  expect(ranked(counts)).toEqual([
    ['v3', 2],
    ['v1', 1],
    ['v2', 1],
  ]);
  expect(sayShares(counts)).toBe('v3 2 of 4, v1 1 of 4, v2 1 of 4');
});

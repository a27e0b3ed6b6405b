/** Nearest rank over sorted values, as given; 0 when there are none. */
export function percentile(sorted: readonly number[], p: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.max(1, Math.ceil((p * sorted.length) / 100)) - 1]!;
}

/** How often each value occurred. */
export type Counts = Map<string, number>;

export function count(counts: Counts, value: string): void {
  counts.set(value, (counts.get(value) ?? 0) + 1);
}

/** The most frequent first, equals by name. */
export const ranked = (counts: Counts): Array<[string, number]> =>
  [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));

/** `v1 5 of 10, v2 5 of 10`. */
export function sayShares(counts: Counts): string {
  const all = ranked(counts);
  const total = all.reduce((sum, [, often]) => sum + often, 0);
  return all.map(([value, often]) => `${value} ${often} of ${total}`).join(', ');
}

const step = Math.log(1.01);

/** Keeps any number of latencies in steps of one per cent, so that a report costs the same after a minute and a day. */
export class Latencies {
  readonly #counts: number[] = [];
  #total = 0;
  #max = 0;

  /** Adds one, in milliseconds. */
  add(ms: number): void {
    const index = Math.max(0, Math.ceil(Math.log(Math.max(ms, 0.01) / 0.01) / step));
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#total += 1;
    this.#max = Math.max(this.#max, ms);
  }

  get max(): number {
    return this.#max;
  }

  /** Nearest rank, in milliseconds, at most one per cent too high; 0 when nothing was added. */
  percentile(percent: number): number {
    let left = Math.ceil((percent / 100) * this.#total);
    if (left === 0) return 0;
    for (const [index, count] of this.#counts.entries()) {
      left -= count ?? 0;
      if (left <= 0) return Math.min(this.#max, 0.01 * Math.exp(index * step));
    }
    return this.#max;
  }
}

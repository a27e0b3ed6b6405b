/** Keeps at most so many of a row of unknown length, evenly spread over it. */
export class EvenSample<T> {
  readonly most: number;
  kept: T[] = [];
  /** How many were added in all. */
  added = 0;
  #stride = 1;

  constructor(most: number) {
    this.most = most;
  }

  add(item: T): void {
    if (this.added++ % this.#stride !== 0) return;
    this.kept.push(item);
    if (this.kept.length < this.most) return;
    this.kept = this.kept.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }
}

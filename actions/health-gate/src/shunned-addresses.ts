import type { Sample } from '@lockkeeper/probe';

/**
 * Addresses that never took a connection. After three attempts they are asked last: they are found by then, and
 * to wait for them again and again would count as slowness of the app.
 */
export class ShunnedAddresses {
  readonly all = new Set<string>();
  readonly #failures = new Map<string, number>();

  learn({ answered, address, passedOver = [] }: Sample): void {
    for (const { address: other } of passedOver) {
      const failures = (this.#failures.get(other) ?? 0) + 1;
      this.#failures.set(other, failures);
      if (failures >= 3) this.all.add(other);
    }
    if (!answered) return;
    this.#failures.delete(address);
    this.all.delete(address);
  }
}

import type { HostRecord } from './roll.ts';

/** The records of all hosts; every change is written down at once. */
export class Ledger {
  #hosts: HostRecord[];
  readonly #write: (hosts: readonly HostRecord[]) => void;

  constructor(start: readonly HostRecord[], write: (hosts: readonly HostRecord[]) => void) {
    this.#hosts = [...start];
    this.#write = write;
  }

  get hosts(): HostRecord[] {
    return this.#hosts;
  }

  one(id: string): HostRecord {
    return this.#hosts.find((host) => host.id === id)!;
  }

  set(hosts: ReadonlyArray<Pick<HostRecord, 'id'>>, change: Partial<HostRecord>): void {
    if (hosts.length === 0) return;
    const ids = new Set(hosts.map(({ id }) => id));
    this.replace(this.#hosts.map((host) => (ids.has(host.id) ? { ...host, ...change } : host)));
  }

  replace(hosts: HostRecord[]): void {
    this.#hosts = hosts;
    this.#write(hosts);
  }
}

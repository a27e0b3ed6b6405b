import { formatDuration } from '@lockkeeper/wait';
import { names } from './place.ts';
import type { HostRecord, Round } from './roll.ts';

/** How far a roll has come, told when a batch begins. */
export class Progress {
  readonly #startedAt: number;
  /** Batches that there were to do at the start. */
  readonly #batches: number;

  /** `startedAt` in milliseconds, as `now` below. */
  constructor(hosts: readonly HostRecord[], startedAt: number) {
    this.#startedAt = startedAt;
    this.#batches = batches(hosts).length;
  }

  /** `batch 2 of 5: i-0a, i-0b (2 of 10 hosts done, about 3 min left)`; undefined where no batch begins. */
  line(hosts: readonly HostRecord[], { step, hosts: ids }: Round, now: number): string | undefined {
    if (step !== 'take-out') return undefined;
    const leaving = hosts.filter(({ id }) => ids.includes(id));
    const left = batches(hosts).length;
    if (leaving.every(({ goal }) => goal === 'old'))
      return `taking back ${names(leaving)} (${left} ${left === 1 ? 'batch' : 'batches'} to go)`;
    const over = this.#batches - left;
    const rest = over > 0 ? ((now - this.#startedAt) / over) * left : undefined;
    const done = hosts.filter(({ finished }) => finished).length;
    const eta = rest === undefined ? '' : `, about ${formatDuration(rest)} left`;
    return `batch ${over + 1} of ${this.#batches}: ${names(leaving)} (${done} of ${hosts.length} hosts done${eta})`;
  }
}

/** Those that hold a host with something left to do. */
function batches(hosts: readonly HostRecord[]): number[] {
  return [...new Set(hosts.filter(({ finished }) => !finished).map(({ batch }) => batch))];
}

import type { Clock } from '@lockkeeper/wait';

/** The clock of AWS itself, as the Date of its answers tells it: the clocks of two runners can differ. */
export interface ServiceClock {
  /** Milliseconds since the epoch; this machine's own until AWS has answered. */
  now(): number;
  /** Takes in the Date header of an answer. */
  heard(date: string | undefined): void;
}

/** A service's clock, kept by this machine's between answers. Late by up to a second: HTTP dates have no fractions. */
export function serviceClock(clock: Pick<Clock, 'now'>): ServiceClock {
  let ahead: number | undefined;
  return {
    now: () => clock.now() + (ahead ?? 0),
    heard(date) {
      const at = Date.parse(date ?? '');
      // An answer that was long on its way makes the service look late: the freshest counts.
      if (!Number.isNaN(at)) ahead = Math.max(ahead ?? Number.NEGATIVE_INFINITY, at - clock.now());
    },
  };
}

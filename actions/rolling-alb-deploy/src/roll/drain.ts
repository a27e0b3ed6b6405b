/** Times in milliseconds. */
export interface DrainSettings {
  kind: 'idle' | 'full';
  /** `drain-settle`: never shorter than this after `draining` was seen, unless the delay is shorter. */
  settle: number;
  /** `drain-timeout`; undefined: the group's delay. */
  timeout?: number;
}

export interface DrainFacts {
  /** The group's deregistration delay. */
  delay: number;
  /** Since `draining` was first seen for every place of the host. */
  sinceDraining: number;
  /** How long no connection to the host's ports has been seen; undefined: it cannot be told. */
  idleFor: number | undefined;
  /** Connections at the last look. */
  open: number;
  /** At the last look that found any, where that was just before: the load balancer cuts them a moment before we look again. */
  openLately: number;
  /** No longer listed: the load balancer itself has ended the drain. */
  gone: boolean;
}

export type DrainVerdict =
  | { done: false }
  | { done: true; why: 'idle' | 'delay-over' | 'gone' }
  /** The time is up while connections are open: they are cut now, by AWS or by us. */
  | { done: true; why: 'cut'; open: number };

/** A port without a connection for this long is taken to be idle. */
export const idleWindow = 5_000;

/** Whether a host that is being drained may be touched. The API cannot tell: it shows `draining` for the whole delay. */
export function judgeDrain(settings: DrainSettings, facts: DrainFacts): DrainVerdict {
  const { delay, sinceDraining, idleFor, open, openLately } = facts;
  const settled = sinceDraining >= Math.min(settings.settle, delay);
  if (settings.kind === 'idle' && settled && idleFor !== undefined && idleFor >= idleWindow)
    return { done: true, why: 'idle' };
  const limit = drainLimit(settings, delay, idleFor !== undefined);
  const cut = Math.max(open, openLately);
  if (sinceDraining >= limit) {
    // Before the delay is over nobody but us cuts.
    const now = limit < delay ? open : cut;
    return now > 0 ? { done: true, why: 'cut', open: now } : { done: true, why: 'delay-over' };
  }
  // Shorter than the delay that was read: it was changed meanwhile, or the group has none.
  if (facts.gone && settled)
    return cut > 0 ? { done: true, why: 'cut', open: cut } : { done: true, why: 'gone' };
  return { done: false };
}

/** The longest that a drain can take. What cannot be counted gets the whole delay, whatever `drain-timeout` says. */
export function drainLimit(settings: DrainSettings, delay: number, countable: boolean): number {
  if (settings.kind === 'full' || !countable) return delay;
  return Math.min(settings.timeout ?? delay, delay);
}

import type { IngressRule } from '@lockkeeper/aws';
import { closersOf, isManaged, leaseKey } from './lease.ts';
import type { Patience } from './patience.ts';

/**
 * Coming to hold a rule that other runs may be leaving at this moment. A leaver announces that it closes and then
 * looks for leases; a joiner adds its lease and then looks for announcements. Whoever writes second sees the
 * other, as long as neither acts on a read that does not show its own writing.
 *
 * `decideJoin` and `learnJoin` are all of it: plain data in, plain data out, so that a test can try every order
 * in which several runs act.
 */
export interface Joiner {
  nonce: string;
  /** The rule of our port and address as read last; `unread` once something was written. */
  view: IngressRule | 'none' | 'unread';
  /** The last call found AWS other than the read before it: let some time pass. */
  pause: boolean;
  /** Id of the rule that our lease was added to. */
  written?: string;
  /** Reads since then that do not show it. */
  lateReads: number;
  /** Reads in a row without the `managed-by` tag: a rule just made may be read without its tags. */
  unmanagedReads: number;
  /** Since when a closing has been seen, by our own clock: the closer's proves nothing. */
  waitingSince?: number;
  /** The rule has no room for another tag. */
  full: boolean;
}

export type JoinStep =
  | { kind: 'authorize'; pause: boolean }
  | { kind: 'read'; pause: boolean }
  | { kind: 'add-lease'; rule: IngressRule }
  /** Its closer has been about to revoke for so long that it must be dead. */
  | { kind: 'clear-closing'; rule: IngressRule; keys: string[] }
  /** `created` by this step, `joined`: made by another run of ours, `foreign`: somebody else's, never removed. */
  | { kind: 'hold'; rule: IngressRule; how: 'created' | 'joined' | 'foreign' }
  | { kind: 'full'; rule: IngressRule };

/** What a call said: the rule made or read, or what AWS made of it. */
export type JoinAnswer = IngressRule | 'none' | 'duplicate' | 'tagged' | 'gone' | 'full' | 'cleared';

/** Opens at once: most often there is no such rule, and if there is one AWS says so. */
export function newJoiner(nonce: string): Joiner {
  return { nonce, view: 'none', pause: false, lateReads: 0, unmanagedReads: 0, full: false };
}

/** Whether the joiner waits for a run that closes the rule. */
export const isWaiting = ({ waitingSince }: Joiner) => waitingSince !== undefined;

/** The next call, or the end. */
export function decideJoin(joiner: Joiner, now: number, patience: Patience): JoinStep {
  const { nonce, view, written, pause } = joiner;
  if (view === 'unread') return { kind: 'read', pause };
  if (view === 'none') return { kind: 'authorize', pause };
  if (!isManaged(view))
    return joiner.unmanagedReads < 2
      ? { kind: 'read', pause: true }
      : { kind: 'hold', rule: view, how: 'foreign' };
  if (!(leaseKey(nonce) in view.tags)) {
    if (joiner.full) return { kind: 'full', rule: view };
    return written === view.id && joiner.lateReads < patience.lateReads
      ? { kind: 'read', pause: true }
      : { kind: 'add-lease', rule: view };
  }
  const closers = closersOf(view);
  if (closers.length === 0)
    // With our lease on it that we did not add it is ours: the answer to our request to open was lost.
    return { kind: 'hold', rule: view, how: written === view.id ? 'joined' : 'created' };
  return now - (joiner.waitingSince ?? now) < patience.closerPatience
    ? { kind: 'read', pause: true }
    : { kind: 'clear-closing', rule: view, keys: closers };
}

/** What the joiner knows after a call. */
export function learnJoin(joiner: Joiner, step: JoinStep, answer: JoinAnswer, now: number): Joiner {
  const unread: Joiner = { ...joiner, view: 'unread', pause: false };
  switch (step.kind) {
    case 'authorize':
      if (typeof answer === 'object') return { ...joiner, view: answer };
      return { ...unread, pause: step.pause };
    case 'read':
      return typeof answer === 'object' ? saw(joiner, answer, now) : { ...forget(joiner), pause: true };
    case 'add-lease':
      if (answer === 'full') return { ...joiner, full: true };
      if (answer === 'gone') return { ...unread, pause: true };
      return { ...unread, written: step.rule.id, lateReads: 0 };
    case 'clear-closing':
      return { ...unread, pause: true };
    default:
      return joiner;
  }
}

function saw(joiner: Joiner, rule: IngressRule, now: number): Joiner {
  const ours = leaseKey(joiner.nonce) in rule.tags;
  const late = joiner.written === rule.id && !ours;
  return {
    ...joiner,
    view: rule,
    lateReads: late ? joiner.lateReads + 1 : 0,
    unmanagedReads: isManaged(rule) ? 0 : joiner.unmanagedReads + 1,
    waitingSince: ours && closersOf(rule).length > 0 ? (joiner.waitingSince ?? now) : undefined,
  };
}

function forget(joiner: Joiner): Joiner {
  return { ...joiner, view: 'none', lateReads: 0, unmanagedReads: 0, waitingSince: undefined };
}

import type { IngressRule } from '@lockkeeper/aws';
import { closingKey, expiredKeys, hasLiveLease, isManaged } from './lease.ts';
import type { Patience } from './patience.ts';

/**
 * Giving up leases on a rule, and closing it when nobody else holds one: remove them, announce the closing, read
 * again; revoke when alone, else take the announcement back. The counterpart of joining, and checked with it.
 */
export interface Leaver {
  ruleId: string;
  /** Whose announcement this is: the lease's nonce, or a sweep's own. */
  nonce: string;
  /** Lease keys to remove: the own ones, or those that expired. */
  leases: string[];
  /** This step made the rule itself: it is ours also when somebody stripped its tags. */
  created: boolean;
  /** The rule as read last; `unread` once something was written. */
  view: IngressRule | 'none' | 'unread';
  pause: boolean;
  /** The leases were removed, whether or not a read shows it yet. */
  removed: boolean;
  /** AWS refuses to remove them. */
  stuck: boolean;
  /** When the closing was announced, by our own clock, before the call was sent. */
  announcedAt?: number;
  /** Reads since the last writing. */
  reads: number;
  /** The rule has no room for the announcement. */
  full: boolean;
  outcome?: Left;
}

/** How leaving a rule ended; `full` only when others filled its tags and none of them is a lease. */
export type Left = 'closed' | 'kept' | 'gone' | 'not-ours' | 'full';

export type LeaveStep =
  | { kind: 'read'; pause: boolean }
  | { kind: 'remove'; rule: IngressRule; keys: string[] }
  | { kind: 'announce'; at: number }
  /** Others still need it. */
  | { kind: 'withdraw' }
  | { kind: 'revoke' }
  | { kind: 'end'; outcome: Left };

/** What a call said. */
export type LeaveAnswer =
  | IngressRule
  | 'none'
  | 'removed'
  | 'refused'
  | 'tagged'
  | 'gone'
  | 'full'
  | 'withdrawn'
  | 'revoked';

export function newLeaver(
  rule: IngressRule,
  mine: { nonce: string; leases: string[]; created: boolean },
): Leaver {
  return {
    ...mine,
    ruleId: rule.id,
    view: rule,
    pause: false,
    removed: false,
    stuck: false,
    reads: 0,
    full: false,
  };
}

/** The value of the announcement's tag; it differs from that of an earlier one, which a late read may show. */
export const announcement = (at: number) => String(Math.round(at));

/** The next call on the rule, or the end. `now` is our own clock, `awsNow` the one by which leases expire. */
export function decideLeave(leaver: Leaver, now: number, awsNow: number, patience: Patience): LeaveStep {
  const { view, nonce, leases, announcedAt } = leaver;
  const waitForRead = leaver.reads < patience.lateReads;
  if (leaver.outcome) return { kind: 'end', outcome: leaver.outcome };
  if (view === 'unread') return { kind: 'read', pause: leaver.pause };
  if (view === 'none')
    // What took our announcement was there a moment ago: perhaps the read is late.
    return announcedAt !== undefined && waitForRead
      ? { kind: 'read', pause: true }
      : { kind: 'end', outcome: 'gone' };
  // Nobody can join a rule without the tag, so there is nobody to tell.
  if (!isManaged(view)) return leaver.created ? { kind: 'revoke' } : end('not-ours');

  // A late read may not show our own leases: they are removed all the same, and before anything is announced.
  if (!leaver.removed && !leaver.stuck && leases.length > 0)
    return { kind: 'remove', rule: view, keys: leases };
  if (!leaver.stuck && leases.some((key) => key in view.tags))
    return waitForRead ? { kind: 'read', pause: true } : { kind: 'remove', rule: view, keys: leases };
  const shared = hasLiveLease(view, awsNow, leases);
  if (leaver.stuck && shared) return end('kept');
  if (leaver.full) {
    if (shared) return end('kept');
    if (leaver.stuck) return end('full');
    const expired = expiredKeys(view, awsNow);
    if (expired.length > 0) return { kind: 'remove', rule: view, keys: expired };
    return waitForRead ? { kind: 'read', pause: true } : end('full');
  }
  const announced = announcedAt !== undefined && view.tags[closingKey(nonce)] === announcement(announcedAt);
  if (!announced)
    return announcedAt !== undefined && waitForRead
      ? { kind: 'read', pause: true }
      : { kind: 'announce', at: now };
  if (shared) return { kind: 'withdraw' };
  // A joiner waits only so long for us; too late, and it may hold the rule by now.
  return now - announcedAt > patience.closerLimit ? { kind: 'announce', at: now } : { kind: 'revoke' };
}

const end = (outcome: Left): LeaveStep => ({ kind: 'end', outcome });

/** What the leaver knows after a call. */
export function learnLeave(leaver: Leaver, step: LeaveStep, answer: LeaveAnswer): Leaver {
  switch (step.kind) {
    case 'read':
      return {
        ...leaver,
        view: typeof answer === 'object' ? answer : 'none',
        reads: leaver.reads + 1,
        pause: false,
      };
    case 'remove':
      if (answer === 'refused') return { ...leaver, stuck: true };
      return {
        ...leaver,
        view: withoutTags(step.rule, step.keys),
        removed: true,
        announcedAt: undefined,
        reads: 0,
        full: false,
      };
    case 'announce':
      if (answer === 'gone') return { ...leaver, outcome: 'gone' };
      if (answer === 'full')
        return { ...leaver, view: 'unread', full: true, reads: leaver.full ? leaver.reads : 0, pause: false };
      return { ...leaver, view: 'unread', announcedAt: step.at, reads: 0, pause: false };
    case 'withdraw':
      return { ...leaver, outcome: 'kept' };
    case 'revoke':
      return { ...leaver, outcome: answer === 'gone' ? 'gone' : 'closed' };
    case 'end':
      return leaver;
  }
}

function withoutTags(rule: IngressRule, keys: string[]): IngressRule {
  return {
    ...rule,
    tags: Object.fromEntries(Object.entries(rule.tags).filter(([key]) => !keys.includes(key))),
  };
}

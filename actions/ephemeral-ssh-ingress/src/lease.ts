import { randomBytes } from 'node:crypto';
import type { IngressRule } from '@lockkeeper/aws';

export const managedBy = ['managed-by', 'ephemeral-ssh-ingress'] as const;
const leasePrefix = 'lease-';
const closingPrefix = 'closing-';

/** Whose a lease is. */
export interface Holder {
  repository: string;
  /** `<run id>.<attempt>` */
  run: string;
  /** Tells one job of a run from another, also two of one matrix. */
  job: string;
}

/**
 * The right of one step to keep a rule open. AWS tells rules apart by protocol, ports and source only, so
 * runs behind one address share a rule; it lives until its last lease that has not expired is gone.
 */
export interface Lease extends Holder {
  nonce: string;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

export const newNonce = () => randomBytes(8).toString('hex');

export const leaseKey = (nonce: string) => `${leasePrefix}${nonce}`;
/** One key a closer: with a shared one, a closer that withdraws would hide another that is about to revoke. */
export const closingKey = (nonce: string) => `${closingPrefix}${nonce}`;

/** `2026-11-21T09:00:00Z octo/app 4711.1 0a1b2c3d4e5f`, as the tag `lease-<nonce>` of the rule. */
export function leaseTag(lease: Lease): [key: string, value: string] {
  return [
    leaseKey(lease.nonce),
    `${isoSeconds(lease.expiresAt)} ${lease.repository} ${lease.run} ${lease.job}`.slice(0, 256),
  ];
}

/** `2026-11-21T09:00:00Z`, rounded up to the second. */
export function isoSeconds(ms: number): string {
  return new Date(Math.ceil(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

/** The leases a rule carries. One whose expiry cannot be read counts as expired: nothing may stay open for ever. */
export function leasesOf(rule: IngressRule): Lease[] {
  return Object.entries(rule.tags)
    .filter(([key]) => key.startsWith(leasePrefix))
    .map(([key, value]) => {
      const [expiry = '', repository = '', run = '', job = ''] = value.split(' ');
      return {
        nonce: key.slice(leasePrefix.length),
        expiresAt: Date.parse(expiry) || 0,
        repository,
        run,
        job,
      };
    });
}

/** Whether the rule is one of ours, by any run of any repository. */
export function isManaged(rule: IngressRule): boolean {
  return rule.tags[managedBy[0]] === managedBy[1];
}

/** Keys that say somebody is about to revoke the rule; `closing` alone counts too. */
export function closersOf(rule: IngressRule): string[] {
  return Object.keys(rule.tags).filter((key) => key === 'closing' || key.startsWith(closingPrefix));
}

export function hasLiveLease(rule: IngressRule, now: number): boolean {
  return leasesOf(rule).some((lease) => lease.expiresAt > now);
}

/** Keys of leases that ended by time. */
export function expiredKeys(rule: IngressRule, now: number): string[] {
  return leasesOf(rule)
    .filter((lease) => lease.expiresAt <= now)
    .map((lease) => leaseKey(lease.nonce));
}

export type JoinStep =
  /** Not there (any more): make it. */
  | 'authorize'
  /** Made by somebody else: use it, never remove it. */
  | 'use-foreign'
  | 'add-lease'
  /** What was read is older than what we wrote. */
  | 'read-again'
  /** Somebody is about to revoke it and may not have seen our lease. */
  | 'wait'
  /** That somebody has been about to for so long that it must be dead. */
  | 'clear-closing'
  | 'held';

/**
 * The next step towards holding a rule that exists already. A leaver announces `closing` and then looks for
 * leases; we add our lease and then look for `closing`. Whoever writes second sees the other, as long as
 * neither acts on a read that does not show its own writing.
 */
export function decideJoin(
  rule: IngressRule | undefined,
  mine: {
    nonce: string;
    /** Whether our lease was written to this rule. */
    written: boolean;
    /** How often this rule was read without the `managed-by` tag; a rule just made may be read without. */
    unmanagedReads: number;
    /** How long `closing` has been seen, by our own clock: the closer's clock proves nothing. */
    waitedMs: number;
  },
): JoinStep {
  if (!rule) return 'authorize';
  if (!isManaged(rule)) return mine.unmanagedReads < 2 ? 'read-again' : 'use-foreign';
  if (!(leaseKey(mine.nonce) in rule.tags)) return mine.written ? 'read-again' : 'add-lease';
  if (closersOf(rule).length === 0) return 'held';
  return mine.waitedMs < closerPatience ? 'wait' : 'clear-closing';
}

export type LeaveStep =
  | 'gone'
  /** Not ours, or no longer: leave it alone. */
  | 'not-ours'
  | 'remove-leases'
  | 'announce'
  | 'read-again'
  /** Others still need it: take the announcement back. */
  | 'withdraw'
  | 'revoke';

/**
 * A joiner gives an announced closing this long. A closer begins to revoke within `closerLimit` of its
 * announcement or looks again, and its request, tried six times of ten seconds, has ended before the joiner's patience.
 */
export const closerPatience = 120_000;
export const closerLimit = 20_000;

/** The next step towards leaving a rule: remove the own lease, announce `closing`, read again; revoke if alone, else withdraw. */
export function decideLeave(
  rule: IngressRule | undefined,
  mine: {
    /** Whose announcement this is: the lease's nonce, or a sweep's own. */
    nonce: string;
    /** Lease keys to remove: the own one, or the expired ones. */
    leases: string[];
    /** Whether those were removed, and whether the closing was announced. */
    removed: boolean;
    announced: boolean;
    /** This step made the rule itself: its tags may have been stripped, it is ours all the same. */
    created: boolean;
  },
  now: number,
): LeaveStep {
  if (!rule) return 'gone';
  if (!isManaged(rule) && !mine.created) return 'not-ours';
  if (mine.leases.some((key) => key in rule.tags)) return mine.removed ? 'read-again' : 'remove-leases';
  if (!(closingKey(mine.nonce) in rule.tags)) return mine.announced ? 'read-again' : 'announce';
  return hasLiveLease(rule, now) ? 'withdraw' : 'revoke';
}

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
    `${isoSeconds(lease.expiresAt)} ${lease.repository} ${lease.run} ${lease.job}`,
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

/** Keys that say that somebody is about to revoke the rule; `closing` alone counts too. */
export function closersOf(rule: IngressRule): string[] {
  return Object.keys(rule.tags).filter((key) => key === 'closing' || key.startsWith(closingPrefix));
}

/** Whether somebody other than `except` holds the rule. */
export function hasLiveLease(rule: IngressRule, now: number, except: string[] = []): boolean {
  return leasesOf(rule).some((lease) => lease.expiresAt > now && !except.includes(leaseKey(lease.nonce)));
}

/** Keys of leases that ended by time. */
export function expiredKeys(rule: IngressRule, now: number): string[] {
  return leasesOf(rule)
    .filter((lease) => lease.expiresAt <= now)
    .map((lease) => leaseKey(lease.nonce));
}

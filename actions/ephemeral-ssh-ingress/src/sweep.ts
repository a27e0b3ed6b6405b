import type { IngressRule } from '@lockkeeper/aws';
import { expiredKeys, hasLiveLease, isManaged } from './lease.ts';
import { leaveRule, type Outside } from './rule.ts';

export interface Swept {
  closed: IngressRule[];
  failures: Array<{ rule: IngressRule; error: unknown }>;
}

/** Ends every expired lease in these groups, of whatever repository; closes rules that no live lease holds. */
export async function sweep(groupIds: string[], nonce: string, outside: Outside): Promise<Swept> {
  const swept: Swept = { closed: [], failures: [] };
  for (const groupId of groupIds)
    for (const rule of await outside.groups.rules({ groupId })) {
      const now = outside.clock.now();
      if (!isManaged(rule)) continue;
      const expired = expiredKeys(rule, now);
      try {
        if (hasLiveLease(rule, now)) {
          if (expired.length > 0) await outside.groups.untag(rule.id, expired);
          continue;
        }
        // A rule that somebody is closing right now has no lease either; leaving it twice does no harm.
        if ((await leaveRule(rule, { nonce, leases: expired, created: false }, outside)) === 'closed')
          swept.closed.push(rule);
      } catch (error) {
        outside.signal?.throwIfAborted();
        swept.failures.push({ rule, error });
      }
    }
  return swept;
}

/** Ids of the rules that a sweep would close. */
export async function listExpired(groupIds: string[], { groups, clock }: Outside): Promise<string[]> {
  const rules = (await Promise.all(groupIds.map((groupId) => groups.rules({ groupId })))).flat();
  const now = clock.now();
  return rules
    .filter((rule) => isManaged(rule) && !hasLiveLease(rule, now) && expiredKeys(rule, now).length > 0)
    .map(({ id }) => id);
}

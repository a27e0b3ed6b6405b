import type { IngressRule } from '@lockkeeper/aws';
import { expiredKeys, hasLiveLease, isManaged, newNonce } from './lease.ts';
import { type Ended, leaveAll } from './leave-all.ts';
import type { Outside } from './rule.ts';
import { causeOf } from './still-open.ts';

/** What a sweep does with a group's rules; `now` is AWS's. Those of others are in neither list. */
export interface Due {
  /** No live lease holds them: to be closed. */
  ended: IngressRule[];
  /** Held by somebody, but they carry leases that have expired. */
  littered: IngressRule[];
}

/** Which rules a sweep has to do with. A rule that somebody is closing right now has no lease either; two may close it. */
export function dueOf(rules: IngressRule[], now: number): Due {
  const managed = rules.filter(isManaged);
  return {
    ended: managed.filter((rule) => !hasLiveLease(rule, now)),
    littered: managed.filter((rule) => hasLiveLease(rule, now) && expiredKeys(rule, now).length > 0),
  };
}

/** What a sweep of these groups would do now. */
export async function findDue(groupIds: string[], { groups }: Outside): Promise<Due> {
  const rules = await Promise.all(groupIds.map((groupId) => groups.rules({ groupId })));
  return dueOf(rules.flat(), groups.now());
}

/** Ends every expired lease in these groups, of whatever repository; closes rules that no live lease holds. */
export async function sweep(groupIds: string[], outside: Outside): Promise<Ended> {
  const { groups, log, signal } = outside;
  const { ended, littered } = await findDue(groupIds, outside);
  for (const rule of littered)
    try {
      await groups.untag(rule.id, expiredKeys(rule, groups.now()));
    } catch (error) {
      signal?.throwIfAborted();
      log.warning(`${rule.id} in ${rule.groupId} carries expired leases that stay on it: ${causeOf(error)}`);
    }
  const as = newNonce();
  return leaveAll(
    ended.map((rule) => ({ rule, leases: expiredKeys(rule, groups.now()), as })),
    outside,
  );
}

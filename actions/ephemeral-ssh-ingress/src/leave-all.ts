import type { IngressRule } from '@lockkeeper/aws';
import pLimit from 'p-limit';
import { leaveRule, type Outside } from './rule.ts';

type Leaving = { rule: IngressRule; outcome: Awaited<ReturnType<typeof leaveRule>> };
type Failure = { rule: IngressRule; error: unknown };

/** How ending leases on several rules went. */
export interface Ended {
  rules: Leaving[];
  failures: Failure[];
}

/** Leaves rules a few at a time; one that cannot be closed does not keep the others open. `as` signs the closing. */
export async function leaveAll(
  rules: Array<{ rule: IngressRule; leases: string[]; as: string }>,
  outside: Outside,
): Promise<Ended> {
  const left = await pLimit(4).map(rules, async ({ rule, leases, as }): Promise<Leaving | Failure> => {
    try {
      return { rule, outcome: await leaveRule(rule, { nonce: as, leases, created: false }, outside) };
    } catch (error) {
      outside.signal?.throwIfAborted();
      return { rule, error };
    }
  });
  return {
    rules: left.filter((one) => 'outcome' in one),
    failures: left.filter((one) => 'error' in one),
  };
}

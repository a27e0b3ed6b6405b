import { type Clock, Deadline } from '@lockkeeper/wait';
import type { Account } from '../account.ts';
import type { GroupFacts } from './groups.ts';
import { wantedIds } from './members.ts';
import { lookAgain } from './survey.ts';

const pollEvery = 3_000;

/**
 * Who is registered and not known yet. Waits, as long as there is patience (milliseconds), for members that Auto Scaling
 * is launching, and until the newcomers' first health check is over.
 */
export async function findNewcomers(
  { gate, scaling, clock, signal }: Pick<Account, 'gate' | 'scaling'> & { clock: Clock; signal: AbortSignal },
  wanted: {
    groups: readonly GroupFacts[];
    known: ReadonlySet<string>;
    scaling: readonly string[];
    patience: number;
  },
): Promise<{ groups: GroupFacts[]; ids: string[] }> {
  const deadline = new Deadline(clock, wanted.patience);
  for (;;) {
    const groups = await lookAgain(gate, wanted.groups);
    const ids = wantedIds(groups, { targets: [] }).filter((id) => !wanted.known.has(id));
    const unsettled = groups.some(({ health }) =>
      health.some(({ id, state }) => ids.includes(id) && state === 'initial'),
    );
    const coming =
      wanted.scaling.length > 0 &&
      [...(await scaling.describe(wanted.scaling)).values()].some(({ members }) =>
        members.some(({ id, lifecycle }) => !wanted.known.has(id) && lifecycle.startsWith('Pending')),
      );
    if ((!unsettled && !coming) || deadline.passed()) return { groups, ids };
    await clock.sleep(Math.min(pollEvery, deadline.remaining()), signal);
  }
}

import { messageOf } from '@lockkeeper/action';
import { AwsCallError, type IngressRule, type Opening } from '@lockkeeper/aws';
import { Deadline } from '@lockkeeper/wait';
import { type Holder, isManaged, type Lease, leaseKey, leasesOf, managedBy } from './lease.ts';
import { shortPause } from './patience.ts';
import { findRule, type Held, leaveRule, type Outside, openingName } from './rule.ts';

/** What a step set out to open, as its state says. */
export interface Intent {
  nonce: string;
  openings: Opening[];
  held: Held[];
  /** When this was written, in milliseconds since the epoch. */
  savedAt: number;
}

/** How closing one opening went. */
export type Ending = { opening: Opening; ruleId?: string } & (
  | { outcome: Awaited<ReturnType<typeof leaveRule>> | 'foreign' }
  | { error: unknown }
);

/**
 * Ends this step's leases and closes what nobody else needs: found by lease tag or by saved id, never by address
 * alone. Tries everything, several times, side by side, and then looks again. Running it twice does no harm.
 */
export async function closeAll(
  intent: Intent,
  outside: Outside,
  /** Whether a request to open may still be on its way: its process was killed, or waited in vain for the answer. */
  { inFlight }: { inFlight: boolean },
): Promise<Ending[]> {
  const deadline = new Deadline(outside.clock, 75_000);
  return Promise.all(
    intent.openings.map(async (opening): Promise<Ending> => {
      const held = intent.held.find((one) => sameOpening(one, opening));
      if (held?.how === 'foreign') return { opening, ruleId: held.ruleId, outcome: 'foreign' };
      let ruleId = held?.ruleId;
      for (let attempt = 0; ; attempt++)
        try {
          const rule = await findOwn(opening, held, intent, outside, inFlight);
          ruleId = rule?.id ?? ruleId;
          const outcome = rule ? await leaveOwn(rule, held, intent, outside) : 'gone';
          return { opening, ruleId, outcome };
        } catch (error) {
          // What a person must mend does not mend itself; the SDK has tried everything else several times.
          if (attempt >= 2 || deadline.passed() || outside.signal?.aborted || isHopeless(error))
            return { opening, ruleId, error };
          outside.log.info(
            `closing ${ruleId ?? openingName(opening)} failed and is tried again: ${messageOf(error)}`,
          );
          await outside.clock.sleep(Math.min(2_000 * 2 ** attempt, deadline.remaining()));
        }
    }),
  );
}

/** The rule by its saved id, or by the lease on it; undefined when it is gone or was never made. */
async function findOwn(
  opening: Opening,
  held: Held | undefined,
  { nonce, savedAt }: Intent,
  { groups, clock, signal }: Outside,
  inFlight: boolean,
): Promise<IngressRule | undefined> {
  // A rule just made may not be visible at once.
  const looks = held ? clock.now() - savedAt < 30_000 : inFlight;
  for (let again = looks ? 3 : 0; ; again--) {
    const rule = (await groups.rules({ groupId: opening.groupId })).find(
      (one) =>
        (held && one.id === held.ruleId) ||
        (leaseKey(nonce) in one.tags && findRule([one], opening) !== undefined),
    );
    if (rule || again === 0) return rule;
    await clock.sleep(shortPause, signal);
  }
}

const leaveOwn = (rule: IngressRule, held: Held | undefined, { nonce }: Intent, outside: Outside) =>
  leaveRule(rule, { nonce, leases: [leaseKey(nonce)], created: held?.how === 'created' }, outside);

function isHopeless(error: unknown): boolean {
  return error instanceof AwsCallError && error.kind !== 'unsure';
}

function sameOpening(a: Opening, b: Opening): boolean {
  return a.groupId === b.groupId && a.port === b.port && a.cidr === b.cidr;
}

/** Rules with leases that this job took in earlier steps: every lease that carries the job's mark. */
export async function rulesOfJob(
  groupIds: string[],
  { repository, run, job }: Holder,
  { groups }: Outside,
): Promise<Array<{ rule: IngressRule; leases: Lease[] }>> {
  const rules =
    groupIds.length > 0
      ? (await Promise.all(groupIds.map((groupId) => groups.rules({ groupId })))).flat()
      : await groups.rules({ tag: [...managedBy] });
  return rules
    .filter(isManaged)
    .map((rule) => ({
      rule,
      leases: leasesOf(rule).filter(
        (lease) => lease.repository === repository && lease.run === run && lease.job === job,
      ),
    }))
    .filter(({ leases }) => leases.length > 0);
}

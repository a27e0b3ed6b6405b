import { messageOf, UserError } from '@lockkeeper/action';
import { AwsError, type IngressRule, type Opening } from '@lockkeeper/aws';
import { Deadline } from '@lockkeeper/wait';
import { type Holder, isManaged, leaseKey, leasesOf, managedBy } from './lease.ts';
import { findRule, type Held, type Left, leaveRule, type Outside, openingName, shortPause } from './rule.ts';
import type { Swept } from './sweep.ts';

/** What a step set out to open, as its state says. */
export interface Intent {
  nonce: string;
  openings: Opening[];
  held: Held[];
  /** When the first request to open was about to be sent, in milliseconds since the epoch. */
  startedAt: number;
}

export interface Closing {
  results: Array<{ opening: Opening; ruleId?: string; outcome: Left | 'foreign' }>;
  failures: Array<{ opening: Opening; ruleId?: string; error: unknown }>;
}

/**
 * Ends this step's leases and closes what nobody else needs: found by lease tag or by saved id, never by
 * address alone. Tries everything, several times, and then looks again. Running it twice does no harm.
 */
export async function closeAll(intent: Intent, outside: Outside): Promise<Closing> {
  const closing: Closing = { results: [], failures: [] };
  const deadline = new Deadline(outside.clock, 75_000);
  for (const opening of intent.openings) {
    const held = intent.held.find((one) => sameOpening(one, opening));
    if (held?.how === 'foreign') {
      closing.results.push({ opening, ruleId: held.ruleId, outcome: 'foreign' });
      continue;
    }
    let ruleId = held?.ruleId;
    for (let attempt = 0; ; attempt++) {
      try {
        const closed = await closeOne(opening, held, intent, outside, (id) => {
          ruleId = id;
        });
        closing.results.push({ opening, ruleId, outcome: closed });
        break;
      } catch (error) {
        // What a person must mend does not mend itself; the SDK has tried everything else several times.
        if (attempt >= 2 || deadline.passed() || outside.signal?.aborted || isHopeless(error)) {
          closing.failures.push({ opening, ruleId, error });
          break;
        }
        outside.log.info(
          `closing ${ruleId ?? openingName(opening)} failed and is tried again: ${messageOf(error)}`,
        );
        await outside.clock.sleep(Math.min(2_000 * 2 ** attempt, deadline.remaining()));
      }
    }
  }
  return closing;
}

async function closeOne(
  opening: Opening,
  held: Held | undefined,
  { nonce, startedAt }: Intent,
  outside: Outside,
  found: (ruleId: string) => void,
): Promise<Left> {
  const { groups, clock, signal } = outside;
  const look = async () =>
    (await groups.rules({ groupId: opening.groupId })).find(
      (rule) =>
        (held && rule.id === held.ruleId) ||
        (leaseKey(nonce) in rule.tags && findRule([rule], opening) !== undefined),
    );
  let rule = await look();
  // The request to open may still have been on its way when its process was killed, and a rule just made may
  // not be visible at once.
  const looks = held && clock.now() - startedAt > 30_000 ? 0 : 3;
  for (let again = 0; !rule && again < looks; again++) {
    await clock.sleep(shortPause, signal);
    rule = await look();
  }
  if (!rule) return 'gone';
  found(rule.id);
  const outcome = await leaveRule(
    rule,
    { nonce, leases: [leaseKey(nonce)], created: held?.how === 'created' },
    outside,
  );
  if (outcome === 'closed') await verifyGone(rule, outside);
  return outcome;
}

async function verifyGone(rule: IngressRule, { groups, clock, signal }: Outside): Promise<void> {
  for (let look = 0; look < 8; look++) {
    const still = (await groups.rules({ groupId: rule.groupId })).some(({ id }) => id === rule.id);
    if (!still) return;
    await clock.sleep(shortPause, signal);
  }
  throw new Error(`AWS took the request to close ${rule.id}, but still lists the rule`);
}

function isHopeless(error: unknown): boolean {
  return error instanceof AwsError && ['denied', 'credentials', 'missing'].includes(error.kind);
}

function sameOpening(a: Opening, b: Opening): boolean {
  return a.groupId === b.groupId && a.port === b.port && a.cidr === b.cidr;
}

/** Ends early what this job opened in earlier steps: every lease that carries the job's mark. */
export async function closeJob(
  groupIds: string[],
  { repository, run, job }: Holder,
  outside: Outside,
): Promise<{ rules: Array<{ rule: IngressRule; outcome: Left }>; failures: Swept['failures'] }> {
  const rules =
    groupIds.length > 0
      ? (await Promise.all(groupIds.map((groupId) => outside.groups.rules({ groupId })))).flat()
      : await outside.groups.rules({ tag: [...managedBy] });
  const closed: Array<{ rule: IngressRule; outcome: Left }> = [];
  const failures: Swept['failures'] = [];
  for (const rule of rules.filter(isManaged)) {
    const own = leasesOf(rule).filter(
      (lease) => lease.repository === repository && lease.run === run && lease.job === job,
    );
    if (own.length === 0) continue;
    try {
      const outcome = await leaveRule(
        rule,
        { nonce: own[0]!.nonce, leases: own.map(({ nonce }) => leaseKey(nonce)), created: false },
        outside,
      );
      if (outcome === 'closed') await verifyGone(rule, outside);
      closed.push({ rule, outcome });
    } catch (error) {
      outside.signal?.throwIfAborted();
      failures.push({ rule, error });
    }
  }
  return { rules: closed, failures };
}

/** The command that closes a rule by hand; `ruleIds` may be shell that prints them. */
export function closeRuleCommand(region: string, groupId: string, ruleIds: string): string {
  return `aws ec2 revoke-security-group-ingress --region ${region} --group-id ${groupId} --security-group-rule-ids ${ruleIds}`;
}

/** The same for what a step set out to open: without an id the rule is named by the lease that it carries. */
export function closeCommand(
  region: string,
  { groupId }: Opening,
  ruleId: string | undefined,
  nonce: string,
): string {
  return closeRuleCommand(
    region,
    groupId,
    ruleId ??
      `$(aws ec2 describe-security-group-rules --region ${region} --filters Name=group-id,Values=${groupId} 'Name=tag:${leaseKey(nonce)},Values=*' --query 'SecurityGroupRules[].SecurityGroupRuleId' --output text)`,
  );
}

/** Says that something is open that should not be, and how to close it by hand. */
export function stillOpen(what: string, error: unknown, command: string): UserError {
  return new UserError(`${what} could not be closed and is still open: ${causeOf(error)}`, { next: command });
}

export const causeOf = (error: unknown) => (error instanceof UserError ? error.message : messageOf(error));

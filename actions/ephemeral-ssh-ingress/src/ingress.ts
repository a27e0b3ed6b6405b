import { type Log, messageOf, UserError } from '@lockkeeper/action';
import { AwsError, type IngressRule, type Opening, type SecurityGroups } from '@lockkeeper/aws';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import {
  closerLimit,
  closersOf,
  closingKey,
  decideJoin,
  decideLeave,
  expiredKeys,
  hasLiveLease,
  isManaged,
  type Lease,
  leaseKey,
  leasesOf,
  leaseTag,
  managedBy,
} from './lease.ts';

export interface Outside {
  groups: SecurityGroups;
  clock: Clock;
  log: Log;
  signal?: AbortSignal;
}

/** A rule that lets this runner in, and how it came to. */
export interface Held extends Opening {
  ruleId: string;
  /** `created` by this step, `joined`: made by another run of ours, `foreign`: somebody else's, never removed. */
  how: 'created' | 'joined' | 'foreign';
}

const shortPause = 1_000;
/** AWS is eventually consistent; so often a read may lag behind our own writing before we write again. */
const staleReads = 5;

/** The rule of a group for this port and source, if there is one. */
export function findRule(rules: IngressRule[], { port, cidr }: Opening): IngressRule | undefined {
  return rules.find(
    (rule) => rule.protocol === 'tcp' && rule.fromPort === port && rule.toPort === port && rule.cidr === cidr,
  );
}

/** Opens one port for one address under the lease: makes the rule, joins the one of another run, or uses a foreign one. */
export async function openPort(
  opening: Opening,
  lease: Lease,
  { groups, clock, log, signal }: Outside,
): Promise<Held> {
  const deadline = new Deadline(clock, 240_000);
  const name = `port ${opening.port} of ${opening.groupId} for ${opening.cidr}`;
  const [key, value] = leaseTag(lease);
  let rule: IngressRule | undefined;
  let written: string | undefined;
  let unmanagedReads = 0;
  let unread = 0;
  let waitingSince: number | undefined;

  for (;;) {
    signal?.throwIfAborted();
    if (deadline.passed())
      throw new UserError(
        `${name} could not be opened: another run has been closing the same rule all along`,
        {
          next: 'run the job again',
        },
      );
    const read = async () => {
      rule = findRule(await groups.rules({ groupId: opening.groupId }), opening);
      if (rule && !isManaged(rule)) unmanagedReads++;
    };
    const step = decideJoin(rule, {
      nonce: lease.nonce,
      written: rule !== undefined && written === rule.id,
      unmanagedReads,
      waitedMs: waitingSince === undefined ? 0 : clock.now() - waitingSince,
    });
    if (step !== 'wait' && step !== 'clear-closing') waitingSince = undefined;
    switch (step) {
      case 'authorize': {
        const made = await groups.authorize(opening, {
          description: `${managedBy[1]} ${lease.repository} run ${lease.run}`,
          tags: { [managedBy[0]]: managedBy[1], [key]: value },
        });
        if (made !== 'duplicate') return { ...opening, ruleId: made.id, how: 'created' };
        await read();
        // Gone between the two calls, or not visible yet.
        if (!rule) await clock.sleep(shortPause, signal);
        break;
      }
      case 'use-foreign':
        log.info(`${name} was open already, by ${rule!.id} that is not ours: used, and left as it is`);
        return { ...opening, ruleId: rule!.id, how: 'foreign' };
      case 'add-lease': {
        const answer = await groups.tag(rule!.id, { [key]: value });
        if (answer === 'full')
          throw new UserError(
            `${name}: ${rule!.id} carries as many tags as AWS allows (50), so no further run can share it`,
            { next: 'let some of the runs behind this address end, or give them separate security groups' },
          );
        written = rule!.id;
        await read();
        break;
      }
      case 'read-again':
        await clock.sleep(shortPause, signal);
        if (++unread >= staleReads) {
          // It was written once and taken away again, not late: write anew.
          written = undefined;
          unread = 0;
        }
        await read();
        break;
      case 'wait':
        if (waitingSince === undefined) {
          waitingSince = clock.now();
          log.info(`${name}: another run is closing ${rule!.id}; waiting for it, then opening anew`);
        }
        await clock.sleep(shortPause, signal);
        await read();
        break;
      case 'clear-closing':
        log.warning(
          `${name}: the run that began to close ${rule!.id} has not done so for ${formatDuration(clock.now() - waitingSince!)}; its mark is removed`,
        );
        await groups.untag(rule!.id, closersOf(rule!));
        await read();
        break;
      case 'held': {
        // Our lease is there, and we did not add it: the answer to our own request to open was lost on the way.
        const own = written === undefined;
        log.info(
          own ? `${name} is open` : `${name} is open already, by another run of ours: joined ${rule!.id}`,
        );
        return { ...opening, ruleId: rule!.id, how: own ? 'created' : 'joined' };
      }
    }
  }
}

export type Left = 'closed' | 'kept' | 'gone' | 'not-ours';

/** Ends leases on one rule, and closes the rule when no live one is left. Throws when AWS refuses. */
export async function leaveRule(
  rule: IngressRule,
  mine: { nonce: string; leases: string[]; created: boolean },
  { groups, clock, signal }: Outside,
): Promise<Left> {
  let seen: IngressRule | undefined = rule;
  let removed = false;
  let announcedAt: number | undefined;
  let unread = 0;
  const read = async () => {
    seen = (await groups.rules({ groupId: rule.groupId })).find(({ id }) => id === rule.id);
  };
  for (;;) {
    signal?.throwIfAborted();
    const step = decideLeave(seen, { ...mine, removed, announced: announcedAt !== undefined }, clock.now());
    switch (step) {
      case 'gone':
      case 'not-ours':
        return step;
      case 'remove-leases':
        await groups.untag(rule.id, mine.leases);
        removed = true;
        seen = withoutTags(seen!, mine.leases);
        break;
      case 'announce':
        if (
          (await groups.tag(rule.id, {
            [closingKey(mine.nonce)]: String(Math.round(clock.now() / 1000)),
          })) === 'gone'
        )
          return 'gone';
        announcedAt = clock.now();
        await read();
        break;
      case 'read-again':
        await clock.sleep(shortPause, signal);
        if (++unread >= staleReads) {
          removed = false;
          announcedAt = undefined;
          unread = 0;
        }
        await read();
        break;
      case 'withdraw':
        await groups.untag(rule.id, [closingKey(mine.nonce)]);
        return 'kept';
      case 'revoke':
        // A joiner waits only so long for us; too late, and it may hold the rule by now.
        if (announcedAt === undefined || clock.now() - announcedAt > closerLimit) {
          await groups.untag(rule.id, [closingKey(mine.nonce)]);
          seen = withoutTags(seen!, [closingKey(mine.nonce)]);
          announcedAt = undefined;
          break;
        }
        return (await groups.revoke(rule.groupId, rule.id)) === 'revoked' ? 'closed' : 'gone';
    }
  }
}

function withoutTags(rule: IngressRule, keys: string[]): IngressRule {
  return {
    ...rule,
    tags: Object.fromEntries(Object.entries(rule.tags).filter(([key]) => !keys.includes(key))),
  };
}

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

export function sameOpening(a: Opening, b: Opening): boolean {
  return a.groupId === b.groupId && a.port === b.port && a.cidr === b.cidr;
}

export function openingName({ groupId, port, cidr }: Opening): string {
  return `port ${port} of ${groupId} for ${cidr}`;
}

/** Ends early what this job opened in earlier steps: every lease that carries the job's mark. */
export async function closeJob(
  groupIds: string[],
  { repository, run, job }: Pick<Lease, 'repository' | 'run' | 'job'>,
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

/** The command that closes a rule by hand. Without an id the rule is named by the lease that it carries. */
export function closeCommand(
  region: string,
  opening: Opening,
  ruleId: string | undefined,
  nonce: string,
): string {
  const revoke = (ids: string) =>
    `aws ec2 revoke-security-group-ingress --region ${region} --group-id ${opening.groupId} --security-group-rule-ids ${ids}`;
  if (ruleId) return revoke(ruleId);
  return revoke(
    `$(aws ec2 describe-security-group-rules --region ${region} --filters Name=group-id,Values=${opening.groupId} 'Name=tag:${leaseKey(nonce)},Values=*' --query 'SecurityGroupRules[].SecurityGroupRuleId' --output text)`,
  );
}

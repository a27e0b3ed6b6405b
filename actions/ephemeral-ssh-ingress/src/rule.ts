import { type Log, UserError } from '@lockkeeper/action';
import type { IngressRule, Opening, SecurityGroups } from '@lockkeeper/aws';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import {
  closerLimit,
  closersOf,
  closingKey,
  decideJoin,
  decideLeave,
  isManaged,
  type Lease,
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

export const shortPause = 1_000;
/** AWS is eventually consistent; so often a read may lag behind our own writing before we write again. */
const staleReads = 5;

export function openingName({ groupId, port, cidr }: Opening): string {
  return `port ${port} of ${groupId} for ${cidr}`;
}

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
  const name = openingName(opening);
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

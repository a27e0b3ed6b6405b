import { type Log, UserError } from '@lockkeeper/action';
import { AwsCallError, type IngressRule, type Opening, type SecurityGroups } from '@lockkeeper/aws';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { decideJoin, isWaiting, type JoinAnswer, type JoinStep, learnJoin, newJoiner } from './join.ts';
import { closingKey, type Lease, leaseTag, managedBy } from './lease.ts';
import {
  announcement,
  decideLeave,
  type LeaveAnswer,
  type LeaveStep,
  type Left,
  learnLeave,
  newLeaver,
} from './leave.ts';
import { patience, shortPause } from './patience.ts';

export interface Outside {
  groups: SecurityGroups;
  clock: Clock;
  log: Log;
  signal?: AbortSignal;
}

/** A rule that lets this runner in, and how it came to. */
export interface Held extends Opening {
  ruleId: string;
  how: 'created' | 'joined' | 'foreign';
}

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
export async function openPort(opening: Opening, lease: Lease, outside: Outside): Promise<Held> {
  const { clock, log, signal } = outside;
  const deadline = new Deadline(clock, 240_000);
  const name = openingName(opening);
  let joiner = newJoiner(lease.nonce);
  for (;;) {
    signal?.throwIfAborted();
    const step = decideJoin(joiner, clock.now(), patience);
    if (step.kind === 'hold') {
      if (step.how === 'foreign')
        log.info(`${name} was open already, by ${step.rule.id} that is not ours: used, and left as it is`);
      if (step.how === 'joined') log.info(`${name} is open already, by another run of ours: joined`);
      return { ...opening, ruleId: step.rule.id, how: step.how };
    }
    if (step.kind === 'full')
      throw new UserError(
        `${name}: ${step.rule.id} carries as many tags as AWS allows (50), so no further run can share it`,
        { next: 'let some of the runs behind this address end, or give them separate security groups' },
      );
    if (deadline.passed())
      throw new UserError(
        `${name} could not be opened: another run has been closing the same rule all along`,
        { next: 'run the job again' },
      );
    if (step.kind === 'clear-closing')
      log.warning(
        `${name}: the run that began to close ${step.rule.id} has not done so for ${formatDuration(patience.closerPatience)}; its mark is removed`,
      );
    const waited = isWaiting(joiner);
    joiner = learnJoin(joiner, step, await callToJoin(step, opening, lease, outside), clock.now());
    if (isWaiting(joiner) && !waited)
      log.info(`${name}: another run is closing the rule; waiting for it, then opening anew`);
  }
}

async function callToJoin(
  step: Exclude<JoinStep, { kind: 'hold' | 'full' }>,
  opening: Opening,
  lease: Lease,
  { groups, clock, signal }: Outside,
): Promise<JoinAnswer> {
  const [key, value] = leaseTag(lease);
  if ('pause' in step && step.pause) await clock.sleep(shortPause, signal);
  switch (step.kind) {
    case 'authorize':
      return groups.authorize(opening, {
        description: `${managedBy[1]} ${lease.repository} run ${lease.run}`,
        tags: { [managedBy[0]]: managedBy[1], [key]: value },
      });
    case 'read':
      return findRule(await groups.rules({ groupId: opening.groupId }), opening) ?? 'none';
    case 'add-lease':
      return groups.tag(step.rule.id, { [key]: value });
    case 'clear-closing':
      await groups.untag(step.rule.id, step.keys);
      return 'cleared';
  }
}

/** Ends leases on one rule, and closes the rule when no live one is left; then looks again. Throws when AWS refuses. */
export async function leaveRule(
  rule: IngressRule,
  mine: { nonce: string; leases: string[]; created: boolean },
  outside: Outside,
): Promise<Exclude<Left, 'full'>> {
  const { groups, clock, signal } = outside;
  let leaver = newLeaver(rule, mine);
  let refusal: unknown;
  for (;;) {
    signal?.throwIfAborted();
    const step = decideLeave(leaver, clock.now(), groups.now(), patience);
    if (step.kind === 'end') {
      // Alone on the rule it does not matter that the lease cannot be removed: it goes with the rule.
      if (refusal && step.outcome !== 'closed' && step.outcome !== 'gone') throw refusal;
      if (step.outcome === 'full')
        throw new UserError(
          `${rule.id} carries as many tags as AWS allows (50), and none of them is a lease: its closing cannot be announced`,
        );
      if (step.outcome === 'closed') await verifyGone(rule, outside);
      return step.outcome;
    }
    const answer = await callToLeave(step, rule, mine.nonce, outside).catch((error: unknown) => {
      if (step.kind !== 'remove' || !(error instanceof AwsCallError) || error.kind !== 'denied') throw error;
      refusal = error;
      return 'refused' as const;
    });
    leaver = learnLeave(leaver, step, answer);
  }
}

async function callToLeave(
  step: Exclude<LeaveStep, { kind: 'end' }>,
  { id, groupId }: IngressRule,
  nonce: string,
  { groups, clock, signal }: Outside,
): Promise<LeaveAnswer> {
  switch (step.kind) {
    case 'read':
      if (step.pause) await clock.sleep(shortPause, signal);
      return (await groups.rules({ groupId })).find((rule) => rule.id === id) ?? 'none';
    case 'remove':
      await groups.untag(id, step.keys);
      return 'removed';
    case 'announce':
      return groups.tag(id, { [closingKey(nonce)]: announcement(step.at) });
    case 'withdraw':
      await groups.untag(id, [closingKey(nonce)]);
      return 'withdrawn';
    case 'revoke':
      return groups.revoke(groupId, id);
  }
}

async function verifyGone({ id, groupId }: IngressRule, { groups, clock, signal }: Outside): Promise<void> {
  for (let look = 0; look < 8; look++) {
    const still = (await groups.rules({ groupId })).some((rule) => rule.id === id);
    if (!still) return;
    await clock.sleep(shortPause, signal);
  }
  throw new Error(`AWS took the request to close ${id}, but still lists the rule`);
}

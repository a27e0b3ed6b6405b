import type { UserError } from '@lockkeeper/action';
import { AwsCallError, type AwsRoute, type Opening } from '@lockkeeper/aws';
import { formatDuration } from '@lockkeeper/wait';
import { closeAll, type Ending, rulesOfJob } from './closing.ts';
import type { IngressInputs } from './inputs.ts';
import { lookUpAddresses } from './ip-lookup.ts';
import {
  expiredKeys,
  type Holder,
  hasLiveLease,
  isoSeconds,
  type Lease,
  leaseKey,
  newNonce,
} from './lease.ts';
import { type Ended, leaveAll } from './leave-all.ts';
import { checkClosable, checkPermissions } from './permission.ts';
import { waitReachable } from './reach.ts';
import type { IngressRecord } from './record.ts';
import { closedSummary, endedSummary, openSummary, outcomeInWords, planSummary } from './report.ts';
import { type Held, type Outside, openingName, openPort } from './rule.ts';
import { causeOf, closeCommand, closeRuleCommand, stillOpen } from './still-open.ts';
import { findDue, sweep } from './sweep.ts';

/** What a step meets besides the rules themselves. */
export interface StepOutside extends Outside {
  signal: AbortSignal;
  holder: Holder;
  /** How AWS is reached, for post. */
  route: AwsRoute;
  /** On disk when it returns. */
  save(record: IngressRecord): void;
}

/** What a mode did, to be told. */
export interface Done {
  cidrs: string[];
  ruleIds: string[];
  expiresAt: string;
  sweptIds: string[];
  summary: string;
  /** What is open and should not be. */
  failures: UserError[];
}

const nothing: Done = { cidrs: [], ruleIds: [], expiresAt: '', sweptIds: [], summary: '', failures: [] };

/** `mode: open`: sweeps, then lets this runner in, everywhere or nowhere. */
export async function open(inputs: IngressInputs, outside: StepOutside): Promise<Done> {
  const { log, groups, holder } = outside;
  // The look-up and the first calls to AWS wait for different things. Neither is left half done when the other fails.
  const [found, swept] = await Promise.allSettled([
    inputs.cidrs.length > 0 ? inputs.cidrs : detect(inputs, outside),
    inputs.dryRun ? previewSweep(inputs.groupIds, outside) : sweepFirst(inputs.groupIds, outside),
  ]);
  if (found.status === 'rejected') throw found.reason;
  if (swept.status === 'rejected') throw swept.reason;
  const cidrs = found.value;
  const sweptIds = swept.value;
  warnOfSkew(outside);

  const lease: Lease = { ...holder, nonce: newNonce(), expiresAt: groups.now() + inputs.ttlMs };
  const expiresAt = isoSeconds(lease.expiresAt);
  const openings = inputs.groupIds.flatMap((groupId) =>
    inputs.ports.flatMap((port) => cidrs.map((cidr): Opening => ({ groupId, port, cidr }))),
  );
  await checkPermissions(openings, lease, outside);
  if (inputs.dryRun) {
    for (const opening of openings) log.info(`would open ${openingName(opening)} until ${expiresAt}`);
    return { ...nothing, cidrs, expiresAt, summary: planSummary(openings, expiresAt) };
  }

  const held = await openAll(inputs, openings, lease, outside);
  log.info(
    `the lease ends at ${expiresAt}, in ${formatDuration(inputs.ttlMs)}; a job that runs longer may be shut out`,
  );
  return {
    ...nothing,
    cidrs,
    ruleIds: held.filter(({ how }) => how !== 'foreign').map(({ ruleId }) => ruleId),
    expiresAt,
    sweptIds,
    summary: openSummary(held, expiresAt, sweptIds),
  };
}

/** Waits until what was opened can be reached, when `probe` says where. */
export async function reach(inputs: IngressInputs, { cidrs }: Done, outside: StepOutside): Promise<void> {
  const { log, clock, signal } = outside;
  if (inputs.dryRun) return;
  await waitReachable(inputs.probes, {
    cidrs,
    timeoutMs: inputs.probeTimeoutMs,
    clock,
    signal,
    say: (line) => log.info(line),
  });
}

/** `mode: close`: ends the leases of this job early. */
export async function close(
  { groupIds, region, dryRun }: IngressInputs,
  outside: StepOutside,
): Promise<Done> {
  const { log, groups, holder } = outside;
  const own = await rulesOfJob(groupIds, holder, outside);
  if (own.length === 0) log.notice('this job holds no lease (any more): there is nothing to close');
  const keysOf = (leases: Lease[]) => leases.map(({ nonce }) => leaseKey(nonce));
  if (dryRun) {
    for (const { rule, leases } of own) {
      const shared = hasLiveLease(rule, groups.now(), keysOf(leases));
      log.info(
        `would end this job's lease on ${rule.id} in ${rule.groupId} and ${shared ? 'leave it to the other runs that hold one' : 'close it'}; nothing was changed`,
      );
    }
    return nothing;
  }
  const ended = await leaveAll(
    own.map(({ rule, leases }) => ({ rule, leases: keysOf(leases), as: leases[0]!.nonce })),
    outside,
  );
  logEnded(ended, outside);
  return {
    ...nothing,
    summary: endedSummary('closed early', '🔒 This job needs no port any more.', ended),
    failures: stillOpenRules(ended, region),
  };
}

/** `mode: sweep`: ends what has expired, and nothing else. */
export async function sweepOnly(
  { groupIds, region, dryRun }: IngressInputs,
  outside: StepOutside,
): Promise<Done> {
  if (dryRun) {
    const due = await previewSweep(groupIds, outside);
    outside.log.info(due.length > 0 ? 'nothing was changed' : 'no lease has expired');
    return nothing;
  }
  const ended = await sweep(groupIds, outside);
  warnOfSkew(outside);
  logEnded(ended, outside);
  if (ended.rules.length + ended.failures.length === 0)
    outside.log.info('there is no rule whose last lease has expired');
  const sweptIds = closedIds(ended);
  return {
    ...nothing,
    sweptIds,
    summary: endedSummary('sweep', `🧹 Closed ${sweptIds.length} expired.`, ended),
    failures: stillOpenRules(ended, region),
  };
}

/** After the job: closes what the record says was opened. */
export async function closeAfter(
  record: IngressRecord,
  outside: Outside,
): Promise<Pick<Done, 'summary' | 'failures'>> {
  const { log, groups } = outside;
  const endings = await closeAll(record, outside, { inFlight: true });
  logEndings(endings, outside);
  if (groups.now() > record.expiresAt)
    log.warning(
      `the lease ended at ${isoSeconds(record.expiresAt)}, before this job did: another run could have closed the port; raise ttl`,
    );
  const failures = stillOpenEndings(endings, record);
  return {
    summary: closedSummary(
      endings,
      failures.flatMap(({ next }) => next ?? []),
    ),
    failures,
  };
}

/** All or nothing: what was opened before one failed is closed at once, and by post again. */
async function openAll(
  { region, roleToAssume }: IngressInputs,
  openings: Opening[],
  lease: Lease,
  outside: StepOutside,
): Promise<Held[]> {
  const { clock, log, signal, route, save } = outside;
  const held: Held[] = [];
  const record = (): IngressRecord => ({
    nonce: lease.nonce,
    region,
    roleToAssume,
    route,
    savedAt: clock.now(),
    expiresAt: lease.expiresAt,
    openings,
    held,
    ended: false,
  });
  save(record());
  try {
    for (const opening of openings) {
      const one = await openPort(opening, lease, outside);
      held.push(one);
      save(record());
      log.info(`${openingName(one)}: ${one.ruleId} (${one.how})`);
      const own = held.filter(({ how }) => how !== 'foreign');
      if (one.how !== 'foreign' && own.length === 1) await checkClosable(one, outside);
    }
    return held;
  } catch (error) {
    // A cancelled step has seconds; post has minutes and does this.
    if (signal.aborted) throw error;
    const inFlight = error instanceof AwsCallError && error.kind === 'unsure';
    const tried = { ...record(), openings: openings.slice(0, held.length + 1) };
    const endings = await closeAll(tried, outside, { inFlight });
    logEndings(
      endings.filter((ending) => 'outcome' in ending && ending.outcome !== 'gone'),
      outside,
    );
    const left = endings.filter((ending) => 'error' in ending);
    for (const { message, next } of stillOpenEndings(left, tried)) log.error(`${message}\nNext: ${next}`);
    save({ ...tried, openings: left.map(({ opening }) => opening) });
    throw error;
  }
}

async function detect(
  { lookupUrls, lookupQuorum }: IngressInputs,
  { log, signal }: StepOutside,
): Promise<string[]> {
  const addresses = await lookUpAddresses(lookupUrls, {
    quorum: lookupQuorum,
    signal,
    onAnswer: (answer) => log.info(`${answer.url}: ${'address' in answer ? answer.address : answer.failure}`),
  });
  return addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`);
}

/** Answers the ids of what it closed. What could not be closed is no reason not to open. */
async function sweepFirst(groupIds: string[], outside: Outside): Promise<string[]> {
  const ended = await sweep(groupIds, outside);
  logEnded(ended, outside);
  for (const { rule, error } of ended.failures)
    outside.log.warning(
      `${rule.id} in ${rule.groupId} has expired but could not be closed: ${causeOf(error)}`,
    );
  return closedIds(ended);
}

/** Says what a sweep would do; nothing is changed. */
async function previewSweep(groupIds: string[], outside: Outside): Promise<string[]> {
  const { ended, littered } = await findDue(groupIds, outside);
  for (const { id, groupId } of ended)
    outside.log.info(`would close ${id} in ${groupId}, whose last lease has expired`);
  for (const rule of littered)
    outside.log.info(
      `would take ${expiredKeys(rule, outside.groups.now()).length} expired off ${rule.id} in ${rule.groupId}, which others hold`,
    );
  return [...ended, ...littered].map(({ id }) => id);
}

/** Leases go by AWS's clock, so that a runner whose own is wrong ends nobody's lease early. */
function warnOfSkew({ groups, clock, log }: Outside): void {
  const ahead = groups.now() - clock.now();
  if (Math.abs(ahead) > 60_000)
    log.warning(
      `this runner's clock is ${formatDuration(Math.abs(ahead))} ${ahead > 0 ? 'behind' : 'ahead of'} AWS's; leases go by AWS's`,
    );
}

const closedIds = ({ rules }: Ended) =>
  rules.filter(({ outcome }) => outcome === 'closed').map(({ rule }) => rule.id);

function logEnded({ rules }: Ended, { log }: Outside): void {
  for (const { rule, outcome } of rules)
    log.info(`${rule.id} in ${rule.groupId}: ${outcomeInWords(outcome)}`);
}

function logEndings(endings: Ending[], { log }: Outside): void {
  for (const ending of endings)
    if ('outcome' in ending) log.info(`${nameOf(ending)}: ${outcomeInWords(ending.outcome)}`);
}

function stillOpenRules({ failures }: Ended, region: string): UserError[] {
  return failures.map(({ rule, error }) =>
    stillOpen(`${rule.id} in ${rule.groupId}`, error, closeRuleCommand(region, rule.groupId, rule.id)),
  );
}

const nameOf = ({ opening, ruleId }: Ending) => `${openingName(opening)}${ruleId ? ` (${ruleId})` : ''}`;

function stillOpenEndings(endings: Ending[], { region, nonce }: IngressRecord): UserError[] {
  return endings.flatMap((ending) =>
    'error' in ending
      ? [stillOpen(nameOf(ending), ending.error, closeCommand(region, ending.opening, ending.ruleId, nonce))]
      : [],
  );
}

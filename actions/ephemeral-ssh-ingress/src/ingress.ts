import type { UserError } from '@lockkeeper/action';
import type { AwsRoute, Opening } from '@lockkeeper/aws';
import { formatDuration } from '@lockkeeper/wait';
import { causeOf, closeAll, closeCommand, closeJob, closeRuleCommand, stillOpen } from './closing.ts';
import type { IngressInputs } from './inputs.ts';
import { lookUpAddress } from './ip-lookup.ts';
import { type Holder, isoSeconds, type Lease, newNonce } from './lease.ts';
import { checkPermissions } from './permission.ts';
import { waitReachable } from './reach.ts';
import type { IngressRecord } from './record.ts';
import { closedSummary, endedSummary, openSummary, outcomeInWords, planSummary } from './report.ts';
import { type Held, type Outside, openingName, openPort } from './rule.ts';
import { listExpired, type Swept, sweep } from './sweep.ts';

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
  const { log, clock, holder } = outside;
  const cidrs = inputs.cidrs.length > 0 ? inputs.cidrs : [await detect(inputs, outside)];
  const lease: Lease = { ...holder, nonce: newNonce(), expiresAt: clock.now() + inputs.ttlMs };
  const expiresAt = isoSeconds(lease.expiresAt);
  const openings = inputs.groupIds.flatMap((groupId) =>
    inputs.ports.flatMap((port) => cidrs.map((cidr): Opening => ({ groupId, port, cidr }))),
  );
  await checkPermissions(openings, lease, outside);
  if (inputs.dryRun) {
    for (const opening of openings) log.info(`would open ${openingName(opening)} until ${expiresAt}`);
    for (const id of await listExpired(inputs.groupIds, outside))
      log.info(`would close ${id}, whose lease has expired`);
    return { ...nothing, cidrs, expiresAt, summary: planSummary(openings, expiresAt) };
  }
  const swept = await sweep(inputs.groupIds, newNonce(), outside);
  logSwept(swept, outside);
  for (const { rule, error } of swept.failures)
    log.warning(`${rule.id} in ${rule.groupId} has expired but could not be closed: ${causeOf(error)}`);

  const held = await openAll(inputs, openings, lease, outside);
  log.info(
    `the lease ends at ${expiresAt}, in ${formatDuration(inputs.ttlMs)}; a job that runs longer may be shut out`,
  );
  const sweptIds = swept.closed.map(({ id }) => id);
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
  const { log, holder } = outside;
  if (dryRun) {
    log.info(`would end the leases of run ${holder.run}, job ${holder.job}; nothing was changed`);
    return nothing;
  }
  const { rules, failures } = await closeJob(groupIds, holder, outside);
  for (const { rule, outcome } of rules)
    log.info(`${rule.id} in ${rule.groupId}: ${outcomeInWords(outcome)}`);
  if (rules.length + failures.length === 0)
    log.notice('this job holds no lease (any more): there is nothing to close');
  return {
    ...nothing,
    summary: endedSummary('closed early', '🔒 This job needs no port any more.', rules, failures),
    failures: stillOpenRules(failures, region),
  };
}

/** `mode: sweep`: ends what has expired, and nothing else. */
export async function sweepOnly(
  { groupIds, region, dryRun }: IngressInputs,
  outside: StepOutside,
): Promise<Done> {
  const { log } = outside;
  if (dryRun) {
    const expired = await listExpired(groupIds, outside);
    log.info(
      expired.length > 0 ? `would close ${expired.join(', ')}; nothing was changed` : 'no lease has expired',
    );
    return nothing;
  }
  const swept = await sweep(groupIds, newNonce(), outside);
  logSwept(swept, outside);
  if (swept.closed.length + swept.failures.length === 0) log.info('no lease has expired');
  return {
    ...nothing,
    sweptIds: swept.closed.map(({ id }) => id),
    summary: endedSummary(
      'sweep',
      `🧹 Closed ${swept.closed.length} expired.`,
      swept.closed.map((rule) => ({ rule, outcome: 'closed' })),
      swept.failures,
    ),
    failures: stillOpenRules(swept.failures, region),
  };
}

function stillOpenRules(failures: Swept['failures'], region: string): UserError[] {
  return failures.map(({ rule, error }) =>
    stillOpen(`${rule.id} in ${rule.groupId}`, error, closeRuleCommand(region, rule.groupId, rule.id)),
  );
}

/** After the job: closes what the record says was opened. */
export async function closeAfter(
  record: IngressRecord,
  outside: Outside,
): Promise<Pick<Done, 'summary' | 'failures'>> {
  const { log, clock } = outside;
  const closing = await closeAll(record, outside);
  for (const { opening, ruleId, outcome } of closing.results)
    log.info(`${openingName(opening)}${ruleId ? ` (${ruleId})` : ''}: ${outcomeInWords(outcome)}`);
  if (clock.now() > record.expiresAt)
    log.warning(
      `the lease ended at ${isoSeconds(record.expiresAt)}, before this job did: another run could have closed the port; raise ttl`,
    );
  const commands = closing.failures.map(({ opening, ruleId }) =>
    closeCommand(record.region, opening, ruleId, record.nonce),
  );
  return {
    summary: closedSummary(closing, commands),
    failures: closing.failures.map(({ opening, ruleId, error }, index) =>
      stillOpen(`${openingName(opening)}${ruleId ? ` (${ruleId})` : ''}`, error, commands[index]!),
    ),
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
    startedAt: clock.now(),
    expiresAt: lease.expiresAt,
    openings,
    held,
  });
  save(record());
  try {
    for (const opening of openings) {
      const one = await openPort(opening, lease, outside);
      held.push(one);
      save(record());
      log.info(`${openingName(one)}: ${one.ruleId} (${one.how})`);
    }
    return held;
  } catch (error) {
    // A cancelled step has seconds; post has minutes and does this.
    if (!signal.aborted && held.length > 0) {
      log.info('opening failed half-way; what is open is closed again');
      await closeAll({ ...record(), openings: held }, outside);
    }
    throw error;
  }
}

async function detect(
  { lookupUrls, lookupQuorum }: IngressInputs,
  { log, signal }: StepOutside,
): Promise<string> {
  const address = await lookUpAddress(lookupUrls, {
    quorum: lookupQuorum,
    signal,
    onAnswer: (answer) => log.info(`${answer.url}: ${'address' in answer ? answer.address : answer.failure}`),
  });
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

function logSwept({ closed }: Swept, { log }: Outside): void {
  for (const rule of closed) log.info(`${rule.id} in ${rule.groupId} closed: its last lease has expired`);
}

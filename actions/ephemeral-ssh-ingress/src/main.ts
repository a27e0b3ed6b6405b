import { createHash, randomBytes } from 'node:crypto';
import { defineAction, type Step, UserError } from '@lockkeeper/action';
import {
  awsConfig,
  awsRoute,
  type Opening,
  openSecurityGroups,
  type Permission,
  takeRoute,
} from '@lockkeeper/aws';
import { formatDuration } from '@lockkeeper/wait';
import * as v from 'valibot';
import {
  type Closing,
  closeAll,
  closeCommand,
  closeJob,
  type Held,
  type Outside,
  openingName,
  openPort,
  sweep,
} from './ingress.ts';
import { type IngressInputs, parseInputs } from './inputs.ts';
import { lookUpAddress } from './ip-lookup.ts';
import {
  expiredKeys,
  hasLiveLease,
  isManaged,
  isoSeconds,
  type Lease,
  leaseTag,
  managedBy,
} from './lease.ts';
import { waitReachable } from './reach.ts';
import { closeSummary, endedSummary, openSummary, outcomeInWords, planSummary } from './report.ts';

const openingShape = { groupId: v.string(), port: v.number(), cidr: v.string() };
const recordShape = v.object({
  nonce: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  region: v.string(),
  roleToAssume: v.string(),
  route: v.record(v.string(), v.string()),
  startedAt: v.number(),
  expiresAt: v.number(),
  openings: v.array(v.object(openingShape)),
  held: v.array(
    v.object({ ...openingShape, ruleId: v.string(), how: v.picklist(['created', 'joined', 'foreign']) }),
  ),
});
/** Written before the first port is opened, and again after each; all that post acts on. */
type IngressRecord = v.InferOutput<typeof recordShape>;

export const run = defineAction<IngressRecord>({
  state: recordShape,

  async main(step) {
    const inputs = parseInputs(step.inputs, step.env);
    const verb = { open, close, sweep: sweepOnly }[inputs.mode];
    await verb(step, inputs);
  },

  async post(step) {
    const record = step.state.read();
    if (!record) {
      step.log.info('this step opened nothing');
      return;
    }
    takeRoute(record.route, step.env, step.log);
    // The runner gives all posts of a job together less than five minutes.
    const signal = AbortSignal.any([step.signal, AbortSignal.timeout(100_000)]);
    const groups = await openGroups(step, record, signal);
    try {
      const closing = await closeAll(record, { groups, clock: step.clock, log: step.log, signal });
      await reportClosing(step, record, closing);
    } finally {
      groups.close();
    }
    if (step.clock.now() > record.expiresAt)
      step.log.warning(
        `the lease ended at ${isoSeconds(record.expiresAt)}, before this job did: another run could have closed the port; raise ttl`,
      );
  },
});

async function open(step: Step<IngressRecord>, inputs: IngressInputs): Promise<void> {
  const { log, clock, signal } = step;
  const groups = await openGroups(step, inputs, signal);
  const outside: Outside = { groups, clock, log, signal };
  try {
    const cidrs = inputs.cidrs.length > 0 ? inputs.cidrs : [await detect(step, inputs)];
    const lease = newLease(step, clock.now() + inputs.ttlMs);
    const expiresAt = isoSeconds(lease.expiresAt);
    const openings = inputs.groupIds.flatMap((groupId) =>
      inputs.ports.flatMap((port) => cidrs.map((cidr): Opening => ({ groupId, port, cidr }))),
    );
    await checkPermissions(openings, lease, outside);
    if (inputs.dryRun) {
      for (const opening of openings) log.info(`would open ${openingName(opening)} until ${expiresAt}`);
      const expired = await listExpired(inputs.groupIds, outside);
      for (const id of expired) log.info(`would close ${id}, whose lease has expired`);
      await step.summary(planSummary(openings, expiresAt));
      step.output('cidr', cidrs.join(','));
      step.output('security-group-rule-ids', '');
      step.output('expires-at', expiresAt);
      step.output('swept-rule-ids', '');
      return;
    }
    const swept = await sweep(inputs.groupIds, newNonce(), outside);
    for (const rule of swept.closed)
      log.info(`${rule.id} in ${rule.groupId} closed: its last lease has expired`);
    for (const { rule, error } of swept.failures)
      log.warning(`${rule.id} in ${rule.groupId} has expired but could not be closed: ${text(error)}`);

    const held = await openAll(step, inputs, openings, lease, outside);
    const ours = held.filter(({ how }) => how !== 'foreign');
    step.output('cidr', cidrs.join(','));
    step.output('security-group-rule-ids', ours.map(({ ruleId }) => ruleId).join(','));
    step.output('expires-at', expiresAt);
    step.output('swept-rule-ids', swept.closed.map(({ id }) => id).join(','));
    log.info(
      `the lease ends at ${expiresAt}, in ${formatDuration(inputs.ttlMs)}; a job that runs longer may be shut out`,
    );
    await step.summary(
      openSummary(
        held,
        expiresAt,
        swept.closed.map(({ id }) => id),
      ),
    );

    if (inputs.probes.length > 0)
      await waitReachable(inputs.probes, {
        cidrs,
        timeoutMs: inputs.probeTimeoutMs,
        clock,
        signal,
        say: (line) => log.info(line),
      });
  } finally {
    groups.close();
  }
}

/** All or nothing: what was opened before one failed is closed at once, and by post again. */
async function openAll(
  step: Step<IngressRecord>,
  inputs: IngressInputs,
  openings: Opening[],
  lease: Lease,
  outside: Outside,
): Promise<Held[]> {
  const held: Held[] = [];
  const record = (): IngressRecord => ({
    nonce: lease.nonce,
    region: inputs.region,
    roleToAssume: inputs.roleToAssume,
    route: awsRoute(step.env),
    startedAt: step.clock.now(),
    expiresAt: lease.expiresAt,
    openings,
    held,
  });
  step.state.save(record());
  try {
    for (const opening of openings) {
      const one = await openPort(opening, lease, outside);
      held.push(one);
      step.state.save(record());
      step.log.info(`${openingName(one)}: ${one.ruleId} (${one.how})`);
    }
    return held;
  } catch (error) {
    // A cancelled step has seconds; post has minutes and does this.
    if (!step.signal.aborted && held.length > 0) {
      step.log.info('opening failed half-way; what is open is closed again');
      await closeAll({ ...record(), openings: held }, outside);
    }
    throw error;
  }
}

async function close(step: Step<IngressRecord>, inputs: IngressInputs): Promise<void> {
  const groups = await openGroups(step, inputs, step.signal);
  try {
    const outside: Outside = { groups, clock: step.clock, log: step.log, signal: step.signal };
    const me = newLease(step, 0);
    if (inputs.dryRun) {
      step.log.info(`would end the leases of run ${me.run}, job ${me.job}; nothing was changed`);
      return;
    }
    const { rules, failures } = await closeJob(inputs.groupIds, me, outside);
    for (const { rule, outcome } of rules)
      step.log.info(`${rule.id} in ${rule.groupId}: ${outcomeInWords(outcome)}`);
    if (rules.length + failures.length === 0)
      step.log.notice('this job holds no lease (any more): there is nothing to close');
    await step.summary(
      endedSummary(
        'closed early',
        failures.length > 0 ? '❌ Not everything could be closed.' : '🔒 This job needs no port any more.',
        [
          ...rules.map(({ rule, outcome }): [string, string, string] => [
            rule.id,
            rule.groupId,
            outcomeInWords(outcome),
          ]),
          ...failures.map(({ rule }): [string, string, string] => [rule.id, rule.groupId, '**STILL OPEN**']),
        ],
      ),
    );
    failOpen(step, inputs.region, failures);
  } finally {
    groups.close();
  }
}

async function sweepOnly(step: Step<IngressRecord>, inputs: IngressInputs): Promise<void> {
  const groups = await openGroups(step, inputs, step.signal);
  try {
    const outside: Outside = { groups, clock: step.clock, log: step.log, signal: step.signal };
    if (inputs.dryRun) {
      const expired = await listExpired(inputs.groupIds, outside);
      step.log.info(
        expired.length > 0
          ? `would close ${expired.join(', ')}; nothing was changed`
          : 'no lease has expired',
      );
      step.output('swept-rule-ids', '');
      return;
    }
    const { closed, failures } = await sweep(inputs.groupIds, newNonce(), outside);
    for (const rule of closed)
      step.log.info(`${rule.id} in ${rule.groupId} closed: its last lease has expired`);
    if (closed.length + failures.length === 0) step.log.info('no lease has expired');
    step.output('swept-rule-ids', closed.map(({ id }) => id).join(','));
    await step.summary(
      endedSummary(
        'sweep',
        failures.length > 0 ? '❌ Not everything could be closed.' : `🧹 Closed ${closed.length} expired.`,
        [
          ...closed.map(({ id, groupId }): [string, string, string] => [id, groupId, 'closed']),
          ...failures.map(({ rule }): [string, string, string] => [rule.id, rule.groupId, '**STILL OPEN**']),
        ],
      ),
    );
    failOpen(step, inputs.region, failures);
  } finally {
    groups.close();
  }
}

async function detect(step: Step<IngressRecord>, inputs: IngressInputs): Promise<string> {
  const address = await lookUpAddress(inputs.lookupUrls, {
    quorum: inputs.lookupQuorum,
    signal: step.signal,
    onAnswer: (answer) =>
      step.log.info(`${answer.url}: ${'address' in answer ? answer.address : answer.failure}`),
  });
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

/** Refuses to open what could not be closed. A refusal counts when it names the group; see `judgeRefusal`. */
async function checkPermissions(openings: Opening[], lease: Lease, { groups, log }: Outside): Promise<void> {
  const [key, value] = leaseTag(lease);
  const perGroup = new Map(openings.map((opening) => [opening.groupId, opening]));
  const as = { description: managedBy[1], tags: { [managedBy[0]]: managedBy[1], [key]: value } };
  const verdicts = await Promise.all(
    [...perGroup.values()].flatMap(
      (opening): Array<Promise<Permission>> => [groups.mayAuthorize(opening, as), groups.mayRevoke(opening)],
    ),
  );
  const refused = verdicts.flatMap((one) => (one.verdict === 'refused' ? [one.error] : []));
  if (refused.length > 0)
    throw new UserError(`nothing was opened: ${refused.map(({ message }) => message).join('; ')}`, {
      next: refused.map(({ next }) => next).join('; '),
    });
  if (verdicts.some(({ verdict }) => verdict === 'unclear'))
    log.info('the permission check by dry run was not conclusive; the calls themselves will tell');
}

async function listExpired(groupIds: string[], { groups, clock }: Outside): Promise<string[]> {
  const rules = (await Promise.all(groupIds.map((groupId) => groups.rules({ groupId })))).flat();
  const now = clock.now();
  return rules
    .filter((rule) => isManaged(rule) && !hasLiveLease(rule, now) && expiredKeys(rule, now).length > 0)
    .map(({ id }) => id);
}

async function reportClosing(
  step: Step<IngressRecord>,
  record: IngressRecord,
  closing: Closing,
): Promise<void> {
  for (const { opening, ruleId, outcome } of closing.results)
    step.log.info(`${openingName(opening)}${ruleId ? ` (${ruleId})` : ''}: ${outcomeInWords(outcome)}`);
  const commands = closing.failures.map(({ opening, ruleId }) =>
    closeCommand(record.region, opening, ruleId, record.nonce),
  );
  for (const [index, { opening, ruleId, error }] of closing.failures.entries())
    step.fail(
      new UserError(
        `${openingName(opening)}${ruleId ? ` (${ruleId})` : ''} could not be closed and is still open: ${text(error)}`,
        { next: commands[index]! },
      ),
    );
  await step.summary(closeSummary(closing, commands));
}

function failOpen(
  step: Step<IngressRecord>,
  region: string,
  failures: Array<{ rule: { id: string; groupId: string }; error: unknown }>,
): void {
  for (const { rule, error } of failures)
    step.fail(
      new UserError(`${rule.id} in ${rule.groupId} could not be closed and is still open: ${text(error)}`, {
        next: `aws ec2 revoke-security-group-ingress --region ${region} --group-id ${rule.groupId} --security-group-rule-ids ${rule.id}`,
      }),
    );
}

function openGroups(
  step: Step<IngressRecord>,
  { region, roleToAssume }: Pick<IngressRecord, 'region' | 'roleToAssume'>,
  signal: AbortSignal,
) {
  const { runId, runAttempt } = step.context;
  return openSecurityGroups(
    awsConfig({
      region,
      roleToAssume,
      idToken: step.idToken,
      sessionName: `ephemeral-ssh-ingress-${runId}-${runAttempt}`,
      env: step.env,
      clock: step.clock,
      log: step.log,
      mask: step.mask,
    }),
    signal,
  );
}

function newLease(step: Step<IngressRecord>, expiresAt: number): Lease {
  const { repository, runId, runAttempt, job } = step.context;
  // The runner's tracking id differs between the jobs of a matrix, which share their GITHUB_JOB.
  const jobKey = [repository, runId, runAttempt, job, step.env.RUNNER_NAME, step.env.RUNNER_TRACKING_ID];
  return {
    nonce: newNonce(),
    expiresAt,
    repository,
    run: `${runId}.${runAttempt}`,
    job: createHash('sha256').update(jobKey.join('\n')).digest('hex').slice(0, 12),
  };
}

const newNonce = () => randomBytes(8).toString('hex');

function text(error: unknown): string {
  return error instanceof UserError ? error.message : String(error);
}

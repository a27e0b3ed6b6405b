import { createHash } from 'node:crypto';
import { defineAction, InputError, reasonOf, type Step, UserError } from '@lockkeeper/action';
import { awsConfig, awsRoute, openSecurityGroups, takeRoute } from '@lockkeeper/aws';
import { close, closeAfter, open, reach, type StepOutside, sweepOnly } from './ingress.ts';
import { parseInputs } from './inputs.ts';
import type { Holder } from './lease.ts';
import { type IngressRecord, recordShape } from './record.ts';
import { failedSummary } from './report.ts';

const modes = { open, close, sweep: sweepOnly };

export const run = defineAction<IngressRecord>({
  state: recordShape,

  async main(step) {
    let saved: IngressRecord | undefined;
    const save = (record: IngressRecord) => {
      saved = record;
      step.state.save(record);
    };
    try {
      const inputs = parseInputs(step.inputs, step.env);
      await withGroups(step, inputs, step.signal, async (groups) => {
        const outside = { ...groups, save };
        const done = await modes[inputs.mode](inputs, outside);
        step.output('cidr', done.cidrs.join(','));
        step.output('security-group-rule-ids', done.ruleIds.join(','));
        step.output('expires-at', done.expiresAt);
        step.output('swept-rule-ids', done.sweptIds.join(','));
        if (done.summary) await step.summary(done.summary);
        if (done.failures.length > 0) step.output('reason', done.failures.map(reasonOf).join('; '));
        for (const failure of done.failures) step.fail(failure);
        await reach(inputs, done, outside);
      });
    } catch (error) {
      // Wrong inputs are listed on the run's page already, each by its name.
      if (!(error instanceof InputError))
        await step.summary(
          failedSummary(reasonOf(error), error instanceof UserError ? error.next : undefined),
        );
      throw error;
    } finally {
      if (saved) save({ ...saved, ended: true });
    }
  },

  async post(step) {
    const record = step.state.read();
    if (!record || record.openings.length === 0) {
      step.log.info('this step left nothing open');
      return;
    }
    takeRoute(record.route, step.env, step.log);
    // The runner gives all posts of a job together less than five minutes.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new UserError('the time that post has is over')), 100_000);
    const signal = AbortSignal.any([step.signal, late.signal]);
    await withGroups(step, record, signal, async (outside) => {
      const { summary, failures } = await closeAfter(record, outside);
      for (const failure of failures) step.fail(failure);
      await step.summary(summary);
      if (!record.ended && failures.length === 0)
        step.log.warning(interrupted(step), 'ephemeral-ssh-ingress was interrupted');
    }).finally(() => clearTimeout(timer));
  },
});

/** A main that was killed could not say so itself. */
function interrupted({ context }: Step<IngressRecord>): string {
  return `The step was ended before it could say how it went: killed, or out of memory. What it had opened is closed.\nNext: gh run rerun ${context.runId} --repo ${context.repository}`;
}

async function withGroups(
  step: Step<IngressRecord>,
  { region, roleToAssume }: Pick<IngressRecord, 'region' | 'roleToAssume'>,
  signal: AbortSignal,
  use: (outside: StepOutside) => Promise<void>,
): Promise<void> {
  const { idToken, env, clock, log, mask, context, state } = step;
  const sessionName = `ephemeral-ssh-ingress-${context.runId}-${context.runAttempt}`;
  const config = awsConfig({ region, roleToAssume, idToken, sessionName, env, clock, log, mask });
  const groups = openSecurityGroups(config, { clock, signal });
  const outside = { groups, clock, log, signal, holder: holderOf(step), route: awsRoute(env) };
  await use({ ...outside, save: (record) => state.save(record) }).finally(() => groups.close());
}

function holderOf({ context, env }: Step<IngressRecord>): Holder {
  const { repository, runId, runAttempt, job } = context;
  // The runner's tracking id differs between the jobs of a matrix, which share their GITHUB_JOB.
  const marks = [repository, runId, runAttempt, job, env.RUNNER_NAME, env.RUNNER_TRACKING_ID];
  return {
    repository,
    run: `${runId}.${runAttempt}`,
    job: createHash('sha256').update(marks.join('\n')).digest('hex').slice(0, 12),
  };
}

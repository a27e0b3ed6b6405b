import { defineAction, isLoopback, type Step, UserError } from '@lockkeeper/action';
import { actionsApi } from './actions-api.ts';
import { changeOf } from './change.ts';
import { type Delivery, deliver } from './delivery.ts';
import { type NotifyInputs, parseInputs } from './inputs.ts';
import { type Lookup, lookUp } from './lookup.ts';
import { compose, type Payload } from './message.ts';
import { judge } from './outcome.ts';
import { useProxy } from './proxy.ts';
import { summaryOf, type Told } from './summary.ts';
import { postTo } from './webhook.ts';
import { isSlack } from './webhook-url.ts';

export const run = defineAction({
  async main(step) {
    const inputs = parseInputs(step.inputs);
    const { log } = step;
    if (!inputs.webhook && !inputs.dryRun) {
      const reason = 'webhook-url is empty (forks have no secrets)';
      log.notice(`${reason}, so no message was sent`, 'Slack');
      return tell(step, { kind: 'skipped', reason });
    }
    const payload = await messageOf(step, inputs);
    const headline = payload.text;
    if (inputs.dryRun || !inputs.webhook) {
      log.info(JSON.stringify(payload, null, 2));
      return tell(step, { kind: 'printed', headline });
    }
    const delivery = await send(step, inputs.webhook, payload);
    if (delivery.sent) {
      log.info(`sent: ${headline}`);
      if (delivery.note) log.notice(delivery.note, 'Slack');
      return tell(step, { kind: 'sent', headline });
    }
    const { reason } = delivery;
    await tell(step, { kind: 'not-sent', reason, headline });
    const message = `no Slack message was sent: ${reason}`;
    if (inputs.failOnError) throw new UserError(message);
    log.warning(message, 'Slack');
  },
});

async function messageOf(step: Step<never>, inputs: NotifyInputs): Promise<Payload> {
  const { context, clock, env } = step;
  const { jobs, startedAt, commit } = await known(step, inputs);
  const outcome = judge({
    status: inputs.status,
    needs: inputs.needs,
    jobs,
    startedAt,
    self: { runnerName: env.RUNNER_NAME ?? '', jobId: context.job },
    now: clock.now(),
  });
  return compose(outcome, inputs, changeOf(context, commit), context);
}

async function known({ context, log, clock, signal }: Step<never>, { token }: NotifyInputs): Promise<Lookup> {
  if (!token) {
    log.info('github-token is empty, so the jobs of this run are not looked up');
    return {};
  }
  const lookup = await lookUp(actionsApi(token, context), { clock, signal });
  if (lookup.problem) log.warning(lookup.problem, 'Slack');
  return lookup;
}

async function send(
  { env, log, clock, signal }: Step<never>,
  webhook: URL,
  payload: Payload,
): Promise<Delivery> {
  const nearby = isLoopback(webhook.hostname);
  if (!nearby && !isSlack(webhook.hostname))
    log.notice(`webhook-url is not Slack's own: ${webhook.hostname}`, 'Slack');
  // Nothing listens on a proxy's own loopback for us.
  const { by, problem } = nearby ? { by: '' } : useProxy(env);
  if (problem) log.warning(problem, 'Slack');
  if (by) log.info(`going by the proxy of ${by}`);
  const delivery = await deliver(postTo(webhook, payload), {
    clock,
    signal,
    say: (line) => log.info(line),
  });
  return delivery.sent || !by
    ? delivery
    : { sent: false, reason: `${delivery.reason}; it went by the proxy of ${by}` };
}

/** Outputs and job summary. */
async function tell(step: Step<never>, told: Told): Promise<void> {
  step.output('sent', told.kind === 'sent');
  step.output('reason', reasonOf(told));
  await step.summary(summaryOf(told));
}

const reasonOf = (told: Told) =>
  told.kind === 'sent' ? '' : told.kind === 'printed' ? 'dry-run' : told.reason;

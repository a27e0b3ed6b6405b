import { setGlobalProxyFromEnv } from 'node:http';
import { codeBlock, defineAction, escapeMarkdown, messageOf, type Step, UserError } from '@lockkeeper/action';
import { deliver } from './delivery.ts';
import { isLoopback, type NotifyInputs, parseInputs } from './inputs.ts';
import { readJobs } from './jobs.ts';
import { compose } from './message.ts';
import { type Job, judge } from './outcome.ts';

export const run = defineAction({
  async main(step) {
    const inputs = parseInputs(step.inputs);
    const { log, context } = step;
    if (inputs.webhook && inputs.webhook.pathname.length >= 8) step.mask(inputs.webhook.pathname.slice(1));
    if (!inputs.webhook && !inputs.dryRun) {
      log.notice('webhook-url is empty (forks have no secrets), so no message was sent', 'Slack');
      await tell(step, false, 'webhook-url is empty');
      return;
    }
    useProxy(step);

    const outcome = judge({
      status: inputs.status,
      needs: inputs.needs,
      jobs: await jobsOf(step, inputs),
      self: { runnerName: step.env.RUNNER_NAME ?? '', jobId: context.job },
      now: step.clock.now(),
    });
    const payload = compose(outcome, inputs, context);
    if (inputs.dryRun || !inputs.webhook) {
      log.info(JSON.stringify(payload, null, 2));
      await tell(step, false, 'dry-run');
      return;
    }
    const { hostname } = inputs.webhook;
    if (!/(^|\.)slack(-gov)?\.com$/.test(hostname) && !isLoopback(hostname))
      log.notice(`webhook-url is not Slack's own: ${hostname}`, 'Slack');

    const delivery = await deliver(payload, inputs.webhook, {
      clock: step.clock,
      signal: step.signal,
      say: (line) => log.info(line),
    });
    if (delivery.sent) {
      log.info(`sent: ${payload.text}`);
      if (delivery.note) log.notice(delivery.note, 'Slack');
      await tell(step, true, '');
      return;
    }
    const message = `no Slack message was sent: ${delivery.reason}`;
    await tell(step, false, delivery.reason);
    if (inputs.failOnError) throw new UserError(message);
    log.warning(message, 'Slack');
    await step.summary(`### Slack notify\n\n⚠️ ${escapeMarkdown(message)}\n\n${codeBlock(payload.text)}\n`);
  },
});

async function tell(step: Step<never>, sent: boolean, reason: string): Promise<void> {
  step.output('sent', sent);
  step.output('reason', reason);
}

/** The run's jobs, for names and durations. Whatever goes wrong here, the message is sent without them. */
async function jobsOf(step: Step<never>, { token }: NotifyInputs): Promise<Job[] | undefined> {
  const { context, log, signal } = step;
  if (!token || !context.runId) return undefined;
  try {
    return await readJobs(token, context, AbortSignal.any([signal, AbortSignal.timeout(10_000)]));
  } catch (error) {
    const status = (error as { status?: unknown }).status;
    const mend = status === 403 || status === 404 ? '; add permissions: actions: read to the job' : '';
    log.warning(`the failed job and step cannot be named: ${messageOf(error)}${mend}`, 'Slack');
    return undefined;
  }
}

/** Node's fetch asks no proxy by itself. */
function useProxy({ env, log }: Step<never>): void {
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].filter((name) => env[name]);
  if (names.length === 0) return;
  setGlobalProxyFromEnv();
  log.info(`calls go by the proxy of ${names.join(', ')}`);
}

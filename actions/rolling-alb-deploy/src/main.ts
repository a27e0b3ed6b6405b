import { defineAction, messageOf, type Step } from '@lockkeeper/action';
import { awsConfig, awsRoute, takeRoute } from '@lockkeeper/aws';
import { runnerDocker, secretValues } from '@lockkeeper/compose';
import { type Account, openAccount } from './account.ts';
import { deploy } from './deploy.ts';
import { parseInputs } from './inputs.ts';
import { endInterrupted } from './interruption.ts';
import type { Outside } from './outside.ts';
import {
  type Page,
  reportDeployed,
  reportFailure,
  reportInterruption,
  reportReleases,
} from './report/report.ts';
import { type RollState, rollState } from './state.ts';

export const run = defineAction<RollState>({
  state: rollState,

  async main(step) {
    const started = step.clock.now();
    const inputs = parseInputs(step.inputs, step.env);
    for (const secret of secretValues(inputs.release.envFile ?? '')) step.mask(secret);
    const page = pageOf(step);
    const account = await accountOf(step, inputs.aws);
    const deployed = await deploy(inputs, outsideOf(step, account), (names) => reportReleases(page, names))
      .catch(async (error) => {
        await reportFailure(page, error, step.clock.now() - started);
        throw error;
      })
      .finally(() => account.close());
    await reportDeployed(page, deployed, step.clock.now() - started);
  },

  async post(step) {
    const state = step.state.read();
    if (!state) step.log.info('no target was taken out of rotation');
    if (!state || state.ended) return;
    takeRoute(state.route, step.env, step.log);
    const account = await accountOf(step, state);
    const ended = await endInterrupted(state, inputsAgain(step, state), outsideOf(step, account)).finally(
      () => account.close(),
    );
    await reportInterruption(pageOf(step), ended);
  },
});

/** In words why not, when a step in between made them unreadable. */
function inputsAgain(step: Step<RollState>, { region }: RollState) {
  try {
    return parseInputs(step.inputs, { ...step.env, AWS_REGION: region });
  } catch (error) {
    return `the inputs of this step cannot be read any more: ${messageOf(error)}`;
  }
}

function accountOf(step: Step<RollState>, aws: { region: string; roleToAssume: string }): Promise<Account> {
  const { idToken, env, clock, log, mask, signal } = step;
  const { runId, runAttempt } = step.context;
  const sessionName = `rolling-alb-deploy-${runId}-${runAttempt}`;
  const { region, roleToAssume } = aws;
  return openAccount(
    awsConfig({ region, roleToAssume, idToken, sessionName, env, clock, log, mask }),
    signal,
  );
}

function outsideOf(step: Step<RollState>, { gate, instances, scaling }: Account): Outside {
  const { repository, runUrl, sha, serverUrl, workspace } = step.context;
  return {
    gate,
    instances,
    scaling,
    run: { repository, runUrl, commit: sha, route: awsRoute(step.env) },
    repository: { url: `${serverUrl}/${repository}`, workspace },
    runnerImages: runnerDocker({ env: step.env, log: step.log }),
    log: step.log,
    clock: step.clock,
    signal: step.signal,
    save: (state) => step.state.save(state),
  };
}

function pageOf({ context, output, summary, log }: Step<RollState>): Page {
  return { output, summary, log, rerun: `gh run rerun ${context.runId} --repo ${context.repository}` };
}

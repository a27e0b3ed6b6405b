import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { defineAction, messageOf, type Step, UserError } from '@lockkeeper/action';
import {
  type Recovered,
  type Repository,
  recoverHost,
  releaseId,
  releaseIdPattern,
  releaseNonce,
  roleOnWayBack,
  runnerDocker,
  secretValues,
} from '@lockkeeper/compose';
import { connect } from '@lockkeeper/ssh';
import * as v from 'valibot';
import { type DeployReport, deploy } from './deploy.ts';
import { parseInputs } from './inputs.ts';
import { reportInterruption } from './interruption.ts';
import { partOf, placeOf } from './output-file.ts';
import { runLines } from './run.ts';
import { summarise } from './summary.ts';

/** What post needs to undo a main that was killed. No secret: keys come from the inputs again. */
const state = v.object({
  version: v.literal(1),
  done: v.boolean(),
  hosts: v.array(v.string()),
  port: v.number(),
  username: v.string(),
  projectDirectory: v.string(),
  rollback: v.boolean(),
  /** Shell lines instead of a deploy, and the file for their output, which is not whole unless main finished. */
  run: v.nullable(v.object({ output: v.nullable(v.string()) })),
  release: v.pipe(v.string(), v.regex(releaseIdPattern)),
  lockToken: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
});
type State = v.InferOutput<typeof state>;

/** Of the 120 s that a post step has; the rest is for connecting and reporting. */
const recoveryBudget = 90_000;

export const run = defineAction<State>({
  state,

  async main(step) {
    const started = step.clock.now();
    const { hosts, onFailure, ssh, settings, run } = parseInputs(step.inputs, step.context);
    for (const value of secretValues(settings.envFile ?? '')) step.mask(value);
    const { context, log, clock, signal } = step;
    const record: State = {
      version: 1,
      done: false,
      hosts,
      port: ssh.port,
      username: ssh.username,
      projectDirectory: settings.projectDirectory,
      rollback: settings.rollback && onFailure !== 'stop',
      run: run ? { output: run.output ?? null } : null,
      release: releaseId(new Date(clock.now()), commitOf(context.sha), releaseNonce()),
      lockToken: randomBytes(8).toString('hex'),
    };
    if (!settings.dryRun) step.state.save(record);
    const opening = {
      hosts,
      settings,
      release: record.release,
      commit: context.sha,
      repository: repositoryOf(context),
      lockToken: record.lockToken,
      owner: { repository: context.repository, runUrl: context.runUrl },
      connect: (host: string) => connect({ ...ssh, host }, { log, clock, signal }),
      runnerImages: runnerDocker({ env: step.env, log }),
      log,
      clock,
      signal,
    };
    if (!run) log.info(`Release ${record.release} to ${hosts.join(', ')}`);
    const report = run
      ? await runLines({ ...opening, ...run, places: context })
      : await deploy({ ...opening, onFailure });
    if (!settings.dryRun) step.state.save({ ...record, done: true });
    await tell(step, report, clock.now() - started);
  },

  async post(step) {
    const record = step.state.read();
    if (!record || record.done) return;
    const { log, clock, context } = step;
    const { ssh, settings } = parseInputs(step.inputs, context);
    // Only a place where main could have put it: what state says may come from elsewhere.
    const output = record.run?.output && placeOf(record.run.output, context);
    if (output) await rm(partOf(output), { force: true });
    const recovered: Recovered[] = [];
    for (const host of record.hosts) {
      const target = { ...ssh, host, port: record.port, username: record.username, connectTimeout: 15_000 };
      try {
        const shell = await connect(target, { log, clock });
        try {
          recovered.push(
            await recoverHost(
              {
                shell,
                settings: {
                  ...settings,
                  projectDirectory: record.projectDirectory,
                  rollback: record.rollback,
                },
                release: record.release,
                commit: context.sha,
                repository: repositoryOf(context),
                lockToken: record.lockToken,
                owner: { repository: context.repository, runUrl: context.runUrl },
                runsSingletons: host === record.hosts[0],
                log,
                clock,
              },
              recoveryBudget / record.hosts.length,
              {
                what: record.run ? 'run' : 'deploy',
                singletons: roleOnWayBack(host === record.hosts[0], recovered[0]?.keepsSingletons),
              },
            ),
          );
        } finally {
          await shell.close();
        }
      } catch (error) {
        const message = `${host}: the ${record.run ? 'run' : 'deploy'} was interrupted, and post could not see to it: ${messageOf(error)}`;
        recovered.push({
          host,
          good: false,
          message,
          next: (error instanceof UserError && error.next) || '',
        });
      }
    }
    const { good, message, next, summary } = reportInterruption(recovered, context);
    await step.summary(summary);
    if (good) log.warning(`${message}\nNext: ${next}`, 'compose-deploy was interrupted');
    else step.fail(new UserError(message, { next }));
  },
});

async function tell(step: Step<State>, report: DeployReport, duration: number): Promise<void> {
  const several = (values: Array<string | undefined>) => [...new Set(values.filter(Boolean))].join(',');
  const [first] = report.hosts;
  step.output('result', report.result);
  step.output('reason', report.reason);
  step.output('release', report.release);
  step.output('previous-release', several(report.hosts.map(({ previous }) => previous)));
  step.output('serving-release', several(report.hosts.map(({ serving }) => serving)));
  step.output('images', first?.images ?? {});
  step.output('services', first?.services ?? []);
  step.output(
    'hosts',
    report.hosts.map(({ host, result, serving, previous, reason, downtime, duration: took }) => ({
      host,
      result,
      serving: serving ?? '',
      previous: previous ?? '',
      reason,
      downtimeMs: Math.round(downtime),
      durationMs: Math.round(took),
    })),
  );
  step.output('duration-ms', Math.round(duration));
  await step.summary(summarise(report, report.release));
  if (['deployed', 'unchanged', 'ran'].includes(report.result)) step.log.notice(report.message);
  else step.fail(new UserError(report.message, { next: report.next, details: report.details }));
}

function repositoryOf({ serverUrl, repository, workspace }: Step<State>['context']): Repository {
  return { url: `${serverUrl}/${repository}`, workspace };
}

/** A commit that is none (a run by hand outside git) still gives a release id. */
function commitOf(sha: string): string {
  return /^[0-9a-f]{7,64}$/i.test(sha) ? sha : 'nocommit';
}

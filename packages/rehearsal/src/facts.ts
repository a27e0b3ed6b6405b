import { type Lab, type LoadReport, observeLab, renderMessage } from '@lockkeeper/lab';
import type { JobReport, StepReport, Workflow, WorkflowResult } from '@lockkeeper/runner';
import type { Fault } from './fault.ts';
import type { Facts } from './guarantee.ts';
import type { Stage } from './stage.ts';

/** A period in which a target was not in rotation. */
export interface Absence {
  target: string;
  /** Real milliseconds since the load began. */
  from: number;
  ms: number;
}

/** A run of a workflow in a lab, under load, when both have ended. */
export interface EndedRun {
  lab: Lab;
  workflow: Workflow;
  result: WorkflowResult;
  served: LoadReport;
  /** Messages since it began. */
  slack: Lab['slack']['messages'];
  /** From the begin of the load to the end of the workflow. */
  workflowMs: number;
  registeredBefore: string[];
  rulesBefore: ReadonlySet<string>;
}

/** Looks from outside at what a run came to, whatever was expected of it. */
export async function seenAfter({
  lab,
  workflow,
  result,
  served,
  slack,
  workflowMs,
  registeredBefore,
  rulesBefore,
}: EndedRun): Promise<Omit<Facts, 'expectedConclusion' | 'expectedVersions' | 'leaks'>> {
  const { rules, openHosts, targets } = await observeLab(lab);
  const jobs = Object.values(result.jobs);
  const first = served.failures[0];
  return {
    conclusion: result.conclusion,
    openRules: rules.filter(({ id }) => !rulesBefore.has(id)).map(({ id, cidr }) => `${id} (${cidr})`),
    openPorts: openHosts,
    targets,
    registeredBefore,
    requests: served.requests,
    failed: served.failed,
    ...(first
      ? { firstFailure: `${first.kind} after ${(first.at / 1000).toFixed(1)} s: ${first.reason}` }
      : {}),
    ...(lab.balanced ? {} : { downtime: downtimeOf(served.failures, workflowMs) }),
    slackMessages: slack.length,
    slackText: slack.map(({ payload }) => renderMessage(payload)).join('\n'),
    ...failureOf(jobs),
    tellsSlack: tellsSlack(workflow, result),
    explanation: explanationOf(jobs.flatMap(({ steps }) => steps)),
    survivors: jobs.flatMap(({ survivors }) => survivors.map(({ command }) => command)),
  };
}

/** The same with what a rehearsal expects. `secrets` are all that the lab gave the workflow. */
export async function gatherFacts({
  stage,
  fault,
  missed,
  version,
  serving,
  secrets,
  ...ended
}: EndedRun & {
  stage: Stage;
  fault: Fault | undefined;
  missed: Facts['missed'];
  /** What this run calls what it built, if it built. */
  version: string;
  /** What served when the workflow began. */
  serving: string;
  secrets: Record<string, string>;
}): Promise<Facts> {
  const { lab, result } = ended;
  const built = stage.checkout || lab.registry.imageId('app', version) !== undefined;
  const released = { previous: 'v1', current: serving, built: built ? version : serving }[stage.serves];
  return {
    ...(await seenAfter(ended)),
    expectedConclusion: fault?.conclusion ?? 'success',
    missed,
    expectedVersions: { old: [serving], new: [released], one: [serving, released] }[fault?.serves ?? 'new'],
    leaks: leaksIn(result, lab, secrets),
  };
}

/** From the first failed request to the last, and how many came after the workflow had ended. */
function downtimeOf(failures: LoadReport['failures'], endedAt: number): Facts['downtime'] {
  const times = failures.map(({ at }) => at);
  const ms = times.length > 0 ? Math.max(...times) - Math.min(...times) : 0;
  return { ms, after: times.filter((at) => at > endedAt).length };
}

/** Whether a message is due: its step ran, or the run did not end well and the step should have run. */
export function tellsSlack(
  workflow: Workflow,
  { conclusion, jobs }: Pick<WorkflowResult, 'conclusion' | 'jobs'>,
): boolean {
  const due = workflow.jobs.flatMap(({ id, steps }) =>
    steps.flatMap((step, index) =>
      step.kind === 'uses' && step.uses.text.includes('actions/slack-notify') ? [{ id, index }] : [],
    ),
  );
  const ran = due.some(({ id, index }) =>
    Object.values(jobs).some(
      (job) =>
        job.id === id &&
        job.steps.some(
          (step) => step.index === index && step.phase === 'main' && step.conclusion !== 'skipped',
        ),
    ),
  );
  return ran || (due.length > 0 && conclusion !== 'success');
}

/** The job and the step that failed first, named as on GitHub's page, and what the job says of it. */
function failureOf(jobs: readonly JobReport[]): Pick<Facts, 'failedIn' | 'failedBecause'> {
  const job = jobs.find(({ conclusion }) => conclusion === 'failure');
  const step = job?.steps.find(({ conclusion }) => conclusion === 'failure');
  return {
    failedIn: job && step ? `${job.name} › ${step.name}` : '',
    failedBecause: job?.outputs.reason ?? '',
  };
}

/**
 * Why the first failed step failed, in its own words: an error of its main, else what its post has to say, which is
 * all that a killed step can leave. '' when nothing on the run's page says why.
 */
export function explanationOf(
  steps: ReadonlyArray<Pick<StepReport, 'conclusion' | 'phase' | 'index' | 'annotations'>>,
): string {
  const failed = steps.filter(({ conclusion }) => conclusion === 'failure');
  const posts = steps.filter(
    ({ phase, index }) => phase === 'post' && failed.some((step) => step.index === index),
  );
  const said = (some: typeof steps, ...levels: string[]) =>
    some.flatMap(({ annotations }) => annotations).find(({ level }) => levels.includes(level));
  const found = said(failed, 'error') ?? said(posts, 'error', 'warning');
  return found?.message.split('\n')[0] ?? '';
}

/** Where a secret, or a line of one, can be read. */
function leaksIn(result: WorkflowResult, lab: Lab, secrets: Record<string, string>): string[] {
  const parts = Object.values(secrets)
    .flatMap((secret) => [secret, ...secret.split('\n')])
    .map((part) => part.trim())
    .filter((part) => part.length >= 8 && !/^-----(BEGIN|END) [A-Z ]+-----$/.test(part));
  const places = Object.values(result.jobs).flatMap((job) => [
    [`log of ${job.id}`, job.log.join('\n')] as const,
    [`summary of ${job.id}`, job.summary] as const,
    [`outputs of ${job.id}`, JSON.stringify([job.outputs, job.steps.map(({ outputs }) => outputs)])] as const,
  ]);
  return [...places, ['Slack message', JSON.stringify(lab.slack.messages)] as const]
    .filter(([, text]) => parts.some((part) => text.includes(part)))
    .map(([place]) => place);
}

/** From each target's last healthy moment to its next one. */
export function absencesOf(lab: Pick<Lab, 'group' | 'clock'>, since: number): Absence[] {
  const gone = new Map<string, number>();
  const absences: Absence[] = [];
  for (const { id, state, at } of lab.group.history.filter((change) => change.at >= since)) {
    const from = gone.get(id);
    if (state === 'healthy' && from !== undefined) {
      absences.push({
        target: id,
        from: (from - since) / lab.clock.scale,
        ms: (at - from) / lab.clock.scale,
      });
      gone.delete(id);
    } else if (state !== 'healthy' && from === undefined) gone.set(id, at);
  }
  const now = lab.clock.now();
  for (const [target, from] of gone)
    absences.push({ target, from: (from - since) / lab.clock.scale, ms: (now - from) / lab.clock.scale });
  return absences;
}

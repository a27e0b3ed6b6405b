import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { checkTrigger, defaultEvent, eventPayload, type RunFacts, readInputs } from './event.ts';
import { loadManifest, ManifestError } from './manifest.ts';
import type { StandInUse } from './report.ts';
import { type Place, type Text, WorkflowError } from './source.ts';
import {
  type ActionStandIn,
  declaredFor,
  performDeclared,
  type StandIns,
  shownStepName,
} from './stand-in.ts';
import type { ScriptStep, UsesStep, Workflow, WorkflowJob, WorkflowStep } from './workflow.ts';

/** What can be told of a run before anything is started. */
export interface PlanOptions {
  /** What starts the workflow; its most usual trigger unless told. */
  event?: string;
  /** Laid over the payload that is made up for the event. */
  eventPayload?: Record<string, unknown>;
  /** For `on.<event>.paths`; without them such a filter is not judged, and the result says so. */
  changedFiles?: readonly string[];
  inputs?: Record<string, string | number | boolean>;
  secrets: Record<string, string>;
  /** Where an action lies on this computer, or what stands in for it; undefined for one that is unknown. */
  resolveAction: (uses: string) => { directory: string } | { standIn: ActionStandIn } | undefined;
  standIns?: StandIns;
  github?: Partial<RunFacts>;
}

/** How each step is to run, decided before the first one starts. */
export type PlannedStep =
  | { kind: 'action'; step: UsesStep; directory: string }
  | { kind: 'run'; step: ScriptStep }
  | { kind: 'stand-in'; step: WorkflowStep; by: string; perform: ActionStandIn['perform'] };

export interface Plan {
  event: string;
  facts: RunFacts;
  inputs: Record<string, unknown>;
  payload: Record<string, unknown>;
  steps: Map<WorkflowJob, PlannedStep[]>;
  standIns: StandInUse[];
  notes: string[];
}

/** Throws the WorkflowError that runWorkflow would begin with, if any: for callers who first have to open a lab. */
export function checkRun(workflow: Workflow, options: PlanOptions): void {
  planRun(workflow, options);
}

/** Decides all that can be decided before the run. Throws WorkflowError for what this computer cannot give. */
export function planRun(workflow: Workflow, options: PlanOptions): Plan {
  const event = options.event ?? defaultEvent(workflow);
  const facts: RunFacts = {
    repository: 'lockkeeper/rehearsal',
    sha: '0123456789abcdef0123456789abcdef01234567',
    ref: 'refs/heads/main',
    actor: 'keeper',
    runId: '1000000001',
    runNumber: '1',
    runAttempt: '1',
    serverUrl: 'https://github.com',
    ...options.github,
  };
  const notes = checkTrigger(workflow, event, facts, options.changedFiles);
  const inputs = readInputs(workflow, event, options.inputs ?? {});
  const payload = eventPayload(event, facts, inputs, options.eventPayload ?? {});
  const plan: Plan = { event, facts, inputs, payload, steps: new Map(), standIns: [], notes };
  checkSecrets(workflow, options);
  for (const job of workflow.jobs) planJob(workflow, job, options, plan);
  return plan;
}

function checkSecrets(workflow: Workflow, { secrets }: PlanOptions): void {
  const given = new Set(Object.keys(secrets).map((name) => name.toUpperCase()));
  given.add('GITHUB_TOKEN');
  const missing = workflow.secretsUsed.find((use) => !given.has(use.name.toUpperCase()));
  if (!missing) return;
  const mend = `give the run a value for ${missing.name} (an empty one where the workflow can do without)`;
  throw new WorkflowError(workflow.file, missing, `the secret "${missing.name}" is missing`, mend);
}

function planJob(workflow: Workflow, job: WorkflowJob, options: PlanOptions, plan: Plan): void {
  const declared = options.standIns?.jobs[job.id];
  const file = options.standIns?.file ?? 'stand-ins.yml';
  const where = (rest: string) =>
    `declare a stand-in in ${file} under ${basename(workflow.file)}: ${job.id}: ${rest}`;
  for (const label of job.runsOn) checkLabel(workflow.file, label, label.text);
  if (job.container) {
    if (!declared?.container) {
      const reason = `the job "${job.id}" runs in a container (${job.container.image}), which is not started here`;
      throw new WorkflowError(workflow.file, job.container, reason, where('container: <why>'));
    }
    const by = `this computer (${file}:${declared.container.line}: ${declared.container.because})`;
    plan.standIns.push({ job: job.id, of: `container ${job.container.image}`, by });
  }
  for (const service of job.services) {
    const standIn = declared?.services[service.id];
    if (!standIn) {
      const reason = `the service "${service.id}" (${service.image}) is a container, which is not started here`;
      throw new WorkflowError(workflow.file, service, reason, where(`services: ${service.id}: <why>`));
    }
    const by = `nothing (${file}:${standIn.line}: ${standIn.because})`;
    plan.standIns.push({ job: job.id, of: `service ${service.id}`, by });
  }
  plan.steps.set(
    job,
    job.steps.map((step) => {
      const planned = planStep(workflow, job, step, options, where);
      if (planned.kind === 'stand-in') {
        plan.standIns.push({ job: job.id, of: shownStepName(step), by: planned.by });
      }
      return planned;
    }),
  );
}

function planStep(
  workflow: Workflow,
  job: WorkflowJob,
  step: WorkflowStep,
  options: PlanOptions,
  where: (rest: string) => string,
): PlannedStep {
  const declared = declaredFor(options.standIns, job.id, step);
  if (declared) {
    const because = declared.because ? `: ${declared.because}` : '';
    const by = `declared in ${options.standIns?.file}:${declared.line}${because}`;
    return { kind: 'stand-in', step, by, perform: performDeclared(declared, options.standIns?.file ?? '') };
  }
  if (step.kind === 'run') {
    const shell = step.shell ?? job.defaults.shell ?? workflow.defaults.shell;
    if (shell) checkShell(workflow.file, shell);
    return { kind: 'run', step };
  }
  const { uses } = step;
  const found = options.resolveAction(uses.text);
  if (found && 'directory' in found) {
    checkAction(workflow.file, uses, found.directory);
    return { kind: 'action', step, directory: found.directory };
  }
  if (found) return { kind: 'stand-in', step, by: found.standIn.what, perform: found.standIn.perform };
  if (uses.kind === 'local') {
    const mend = 'name a directory of this repository that holds an action.yml';
    throw new WorkflowError(workflow.file, uses, `there is no action in "${uses.text}"`, mend);
  }
  const reason = `"${uses.text}" cannot run on this computer and nothing stands in for it`;
  throw new WorkflowError(
    workflow.file,
    uses,
    reason,
    where(`steps: "${step.id ?? uses.name}": {outcome: success}`),
  );
}

/** An action that cannot be loaded is told at its place in the workflow, not in the middle of the job. */
function checkAction(file: string, uses: Text, directory: string): void {
  try {
    const { scripts } = loadManifest(directory);
    const missing = Object.values(scripts).find((script) => script && !existsSync(join(directory, script)));
    if (missing === undefined) return;
    const reason = `the action "${uses.text}" lacks its script ${missing}`;
    throw new WorkflowError(file, uses, reason, 'build it, and commit what was built');
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    const reason = `the action "${uses.text}" cannot be loaded: ${error.message}`;
    throw new WorkflowError(file, uses, reason, 'name an action with a valid action.yml', error);
  }
}

/** Shells that the runner can start here. */
function checkShell(file: string, shell: Text): void {
  if (['bash', 'sh', 'python'].includes(shell.text) || shell.text.includes('{0}')) return;
  const reason = `the shell "${shell.text}" is not supported by this runner`;
  throw new WorkflowError(file, shell, reason, 'use bash, sh, python or a command with {0}');
}

/** Throws WorkflowError for a machine that this runner is not. */
export function checkLabel(file: string, place: Place, label: string): void {
  if (!/^(windows|macos)/i.test(label)) return;
  const reason = `"runs-on: ${label}" is not supported by this runner: it runs jobs as on Linux`;
  throw new WorkflowError(file, place, reason, 'use ubuntu-latest');
}

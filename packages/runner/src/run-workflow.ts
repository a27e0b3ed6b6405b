import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { githubContext } from './event.ts';
import {
  type ExpressionStatus,
  evaluateCondition,
  evaluateTemplate,
  evaluateValue,
  type Contexts as PlainContexts,
} from './expressions.ts';
import { type GithubApi, type LiveRun, openGithubApi, runnerName } from './github-api.ts';
import { type JobControl, runJob } from './job.ts';
import type { JobEvent } from './job-result.ts';
import type { Conclusion, Contexts, JobSpec, RunnerSettings, StepSpec } from './job-spec.ts';
import { expandMatrix, type Leg, legLabel, matrixFrom, mostLegs } from './matrix.ts';
import { checkLabel, type Plan, type PlannedStep, type PlanOptions, planRun } from './plan-run.ts';
import { type JobReport, recordEvent, recordResult, type WorkflowResult } from './report.ts';
import { located, type Place, type Text, WorkflowError } from './source.ts';
import { shownStepName } from './stand-in.ts';
import { permits, type TextMap, type Workflow, type WorkflowJob, type WorkflowStep } from './workflow.ts';

/** Who asks for an identity token: what GitHub would put into its claims. */
export interface IdTokenRequest {
  /** `repo:owner/name:environment:production` or `repo:owner/name:ref:refs/heads/main`. */
  subject: string;
  job: string;
  environment?: string;
  claims: Record<string, string>;
}

export interface RunOptions extends PlanOptions {
  vars: Record<string, string>;
  /** `workspace` and `temp` are parents: every job gets a directory of its own in each. */
  settings: RunnerSettings;
  /** Asked for every job that has `id-token: write`. */
  idToken?: (request: IdTokenRequest) => Promise<{ requestUrl: string; requestToken: string }>;
  /** Further ACTIONS_* variables for every job. */
  actionsEnv?: Record<string, string>;
  /** Jobs at once; 2 unless told. */
  parallel?: number;
  /** Somebody cancels the run: what runs is cancelled, what waits runs only when its `if` wants to. */
  cancel?: AbortSignal;
  /** The machines of the jobs that run at that moment are told to stop, or are gone; later jobs get others. */
  shutdown?: AbortSignal;
  lost?: AbortSignal;
  onEvent?: (event: WorkflowEvent) => void;
  /** Epoch ms; Date.now unless given. */
  now?: () => number;
  random?: () => number;
}

export type WorkflowEvent =
  | { kind: 'run-started'; name: string; event: string; runId: string; apiUrl: string; jobs: string[] }
  | { kind: 'job-started'; job: string; id: string; name: string; steps: string[] }
  | (Exclude<JobEvent, { kind: 'job-finished' }> & { job: string })
  /** Also for a job that never started: its conclusion is `skipped` or `cancelled`, and `because` says why. */
  | {
      kind: 'job-finished';
      job: string;
      id: string;
      name: string;
      conclusion: Conclusion;
      ms: number;
      because?: string;
    }
  | { kind: 'run-finished'; conclusion: WorkflowResult['conclusion']; ms: number };

/**
 * Runs a workflow on this computer as GitHub would: jobs when what they need is done, each in its own
 * directories, steps through the runner. Throws WorkflowError, before anything is started, for whatever the
 * workflow asks that this computer cannot give: an unknown action, a missing secret, a service without a
 * stand-in. A mistake that shows only while it runs fails the job.
 */
export async function runWorkflow(workflow: Workflow, options: RunOptions): Promise<WorkflowResult> {
  const plan = planRun(workflow, options);
  const now = options.now ?? Date.now;
  const live: LiveRun = {
    facts: plan.facts,
    name: workflow.name,
    event: plan.event,
    path: `.github/workflows/${basename(workflow.file)}`,
    status: 'in_progress',
    createdAt: now(),
    updatedAt: now(),
    headCommit: plan.payload.head_commit,
    jobs: [],
    runner: options.settings.name,
  };
  const api = await openGithubApi(live);
  try {
    return await new Run(workflow, options, plan, live, api).run();
  } finally {
    await api.close();
  }
}

type WithGithub = PlainContexts & { github: Record<string, unknown> };

/** What a job is to those that need it. */
interface Outcome {
  result: Conclusion;
  outputs: Record<string, string>;
}

class Run {
  readonly #workflow: Workflow;
  readonly #options: RunOptions;
  readonly #plan: Plan;
  readonly #live: LiveRun;
  readonly #api: GithubApi;
  readonly #now: () => number;
  readonly #slots: Slots;
  readonly #groups = new Map<string, Slots>();
  readonly #outcomes = new Map<string, Promise<Outcome>>();
  readonly #settled = new Map<string, Outcome>();
  readonly #notes: string[];
  #jobNumber: number;

  constructor(workflow: Workflow, options: RunOptions, plan: Plan, live: LiveRun, api: GithubApi) {
    this.#workflow = workflow;
    this.#options = options;
    this.#plan = plan;
    this.#live = live;
    this.#api = api;
    this.#now = options.now ?? Date.now;
    this.#slots = new Slots(options.parallel ?? 2);
    this.#notes = [...plan.notes];
    this.#jobNumber = Number(plan.facts.runId) * 10;
  }

  async run(): Promise<WorkflowResult> {
    const { name, file, jobs } = this.#workflow;
    const { event, facts } = this.#plan;
    const started = this.#now();
    const ids = jobs.map((job) => job.id);
    this.#emit({ kind: 'run-started', name, event, runId: facts.runId, apiUrl: this.#api.url, jobs: ids });
    const base = this.#baseContexts();
    if (this.#workflow.concurrency) this.#noteConcurrency('the workflow', this.#workflow.concurrency, base);
    for (const job of jobs) this.#start(job);
    await Promise.all(this.#outcomes.values());

    const conclusion = this.#conclusion();
    const ms = this.#now() - started;
    Object.assign(this.#live, { status: 'completed', conclusion, updatedAt: this.#now() });
    this.#emit({ kind: 'run-finished', conclusion, ms });
    return {
      file,
      name,
      event,
      runId: facts.runId,
      conclusion,
      jobs: Object.fromEntries(this.#live.jobs.map((job) => [job.key, job])),
      standIns: this.#plan.standIns,
      notes: this.#notes,
      ms,
    };
  }

  #emit(event: WorkflowEvent): void {
    this.#options.onEvent?.(event);
  }

  #conclusion(): WorkflowResult['conclusion'] {
    const results = [...this.#settled.values()].map((outcome) => outcome.result);
    if (results.includes('failure')) return 'failure';
    if (this.#options.cancel?.aborted || results.includes('cancelled')) return 'cancelled';
    return results.includes('success') ? 'success' : 'skipped';
  }

  /** A job begins to wait when all it needs have begun to. */
  #start(job: WorkflowJob): Promise<Outcome> {
    const id = job.id.toLowerCase();
    const known = this.#outcomes.get(id);
    if (known) return known;
    const needs = job.needs.map((need) => this.#start(this.#jobNamed(need.text)));
    const outcome = Promise.all(needs)
      .then(() => this.#job(job))
      .then((settled) => {
        this.#settled.set(id, settled);
        return settled;
      });
    this.#outcomes.set(id, outcome);
    return outcome;
  }

  #jobNamed(id: string): WorkflowJob {
    const job = this.#workflow.jobs.find((candidate) => candidate.id.toLowerCase() === id.toLowerCase());
    if (!job) throw new Error(`no job ${id}`);
    return job;
  }

  /** Everything a job depends on, directly or not: GitHub's status functions look at all of it. */
  #ancestors(job: WorkflowJob, found = new Set<string>()): Set<string> {
    for (const need of job.needs) {
      const id = need.text.toLowerCase();
      if (found.has(id)) continue;
      found.add(id);
      this.#ancestors(this.#jobNamed(id), found);
    }
    return found;
  }

  #statusFor(job: WorkflowJob): ExpressionStatus {
    if (this.#options.cancel?.aborted) return 'cancelled';
    const results = [...this.#ancestors(job)].map((id) => this.#settled.get(id)?.result);
    if (results.includes('failure')) return 'failure';
    return results.every((result) => result === 'success') ? 'success' : 'skipped';
  }

  #needsContext(job: WorkflowJob): Record<string, Outcome> {
    return Object.fromEntries(
      job.needs.map((need) => {
        const { id } = this.#jobNamed(need.text);
        return [id, this.#settled.get(id.toLowerCase()) ?? { result: 'skipped', outputs: {} }];
      }),
    );
  }

  #baseContexts(token = ''): WithGithub {
    const { event, facts, payload, inputs } = this.#plan;
    const workflow = this.#workflow;
    const github = githubContext({ workflow, facts, event, payload, apiUrl: this.#api.url, token, job: '' });
    return { github, inputs, vars: this.#options.vars };
  }

  async #job(job: WorkflowJob): Promise<Outcome> {
    const needs = this.#needsContext(job);
    const contexts: PlainContexts = { ...this.#baseContexts(), needs };
    const status = this.#statusFor(job);
    let legs: Leg[];
    let failFast = true;
    let atOnce = Number.POSITIVE_INFINITY;
    try {
      const condition = job.if ?? { ...place(job), text: '' };
      const wanted = this.#evaluate(condition, (text) => evaluateCondition(text, contexts, status));
      if (!wanted) return this.#passOver(job, status);
      legs = this.#legs(job, contexts);
      const { failFast: fast, maxParallel } = job.strategy ?? {};
      if (fast) failFast = this.#evaluate(fast, (text) => evaluateTemplate(text, contexts)) !== 'false';
      if (maxParallel)
        atOnce = Number(this.#evaluate(maxParallel, (text) => evaluateTemplate(text, contexts)));
    } catch (error) {
      return this.#failBefore(this.#report(job, undefined), error);
    }

    const stop = new AbortController();
    const slots = new Slots(atOnce);
    const reports = legs.map((leg) =>
      this.#report(job, legs.length > 1 || job.strategy?.matrix ? leg : undefined),
    );
    const outcomes = await Promise.all(
      legs.map((leg, index) =>
        slots.use(async () => {
          const report = reports[index] as JobReport;
          const strategy = {
            'fail-fast': failFast,
            'job-index': index,
            'job-total': legs.length,
            'max-parallel': Number.isFinite(atOnce) ? atOnce : legs.length,
          };
          const outcome = await this.#leg(job, report, leg, { needs, strategy, status }, stop.signal);
          if (outcome.result === 'failure' && failFast) stop.abort();
          return outcome;
        }),
      ),
    );
    return {
      result: worst(outcomes.map((outcome) => outcome.result)),
      outputs: Object.assign({}, ...outcomes.map((outcome) => withoutEmpty(outcome.outputs))) as Record<
        string,
        string
      >,
    };
  }

  #evaluate<T>(text: Text, evaluate: (text: string) => T): T {
    return located(this.#workflow.file, text, () => evaluate(text.text));
  }

  #legs(job: WorkflowJob, contexts: PlainContexts): Leg[] {
    const { strategy } = job;
    if (strategy?.matrix === undefined) return [{}];
    const fail = (reason: string, mend: string): never => {
      throw new WorkflowError(this.#workflow.file, strategy, reason, mend);
    };
    const value = located(this.#workflow.file, strategy, () => evaluateDeep(strategy.matrix, contexts));
    const matrix = matrixFrom(value);
    if (typeof matrix === 'string') return fail(matrix, 'give every axis a list of values');
    const legs = expandMatrix(matrix);
    if (legs.length === 0) fail('the matrix has no combination', 'give it at least one value');
    if (legs.length > mostLegs) {
      fail(`the matrix has ${legs.length} combinations`, `keep it at ${mostLegs} or below, as GitHub does`);
    }
    return legs;
  }

  #report(job: WorkflowJob, leg: Leg | undefined): JobReport {
    const label = leg ? legLabel(leg) : '';
    let key = label ? `${job.id} ${label}` : job.id;
    let name = key;
    // Legs can look alike: 1 and "1".
    const alike = this.#live.jobs.filter((other) => other.key === key).length;
    if (alike > 0) key += ` #${alike + 1}`;
    if (job.name) {
      const contexts = { ...this.#baseContexts(), needs: {}, strategy: {}, matrix: leg ?? {} };
      try {
        const shown = evaluateTemplate(job.name.text, contexts);
        name = label && !/matrix/.test(job.name.text) ? `${shown} ${label}` : shown;
      } catch {
        // A name that cannot be evaluated must not keep the job from running: GitHub shows it as it stands.
        name = job.name.text;
      }
    }
    const report: JobReport = {
      key,
      id: job.id,
      name,
      number: this.#jobNumber++,
      status: 'queued',
      createdAt: this.#now(),
      ms: 0,
      steps: [],
      plannedSteps: job.steps.map(shownStepName),
      outputs: {},
      annotations: [],
      summary: '',
      log: [],
      survivors: [],
      lost: false,
      labels: job.runsOn.map((text) => text.text),
      matrix: leg,
    };
    this.#live.jobs.push(report);
    return report;
  }

  #finish(report: JobReport, conclusion: Conclusion, because?: string): void {
    const { key, id, name } = report;
    Object.assign(report, {
      status: 'completed',
      conclusion,
      because,
      completedAt: report.completedAt ?? this.#now(),
    });
    this.#live.updatedAt = this.#now();
    this.#emit({ kind: 'job-finished', job: key, id, name, conclusion, ms: report.ms, because });
  }

  #passOver(job: WorkflowJob, status: ExpressionStatus): Outcome {
    const needs = this.#needsContext(job);
    const culprit = Object.entries(needs).find(([, { result }]) => result !== 'success');
    const byNeed = culprit
      ? `"${culprit[0]}" is ${words[culprit[1].result]}`
      : 'what it needs did not succeed';
    const byIf = status === 'success' || job.if ? `its "if" is false` : byNeed;
    const because = status === 'cancelled' ? 'the run was cancelled' : byIf;
    this.#finish(this.#report(job, undefined), status === 'cancelled' ? 'cancelled' : 'skipped', because);
    return { result: status === 'cancelled' ? 'cancelled' : 'skipped', outputs: {} };
  }

  /** A job whose own settings cannot be evaluated fails without a step, as on GitHub. */
  #failBefore(report: JobReport, error: unknown): Outcome {
    const message = error instanceof Error ? error.message : String(error);
    report.annotations.push({ level: 'error', message });
    this.#finish(report, 'failure', message);
    return { result: 'failure', outputs: {} };
  }

  async #leg(
    job: WorkflowJob,
    report: JobReport,
    leg: Leg,
    around: { needs: Record<string, Outcome>; strategy: Record<string, unknown>; status: ExpressionStatus },
    stop: AbortSignal,
  ): Promise<Outcome> {
    const token = `ghs_${randomBytes(18).toString('hex')}`;
    const contexts: WithGithub = {
      ...this.#baseContexts(token),
      needs: around.needs,
      strategy: around.strategy,
      matrix: leg,
    };
    contexts.github.job = job.id;
    let group: Slots | undefined;
    try {
      if (job.concurrency) {
        const name = this.#noteConcurrency(`the job "${job.id}"`, job.concurrency, contexts);
        group = this.#groups.get(name.toLowerCase()) ?? new Slots(1);
        this.#groups.set(name.toLowerCase(), group);
      }
    } catch (error) {
      return this.#failBefore(report, error);
    }
    const inGroup = group ?? new Slots(1);
    return inGroup.use(() =>
      this.#slots.use(async () => {
        // While it waited, the run may have been cancelled or another leg may have failed.
        const cancelled = this.#options.cancel?.aborted && around.status !== 'cancelled';
        if (stop.aborted || cancelled) {
          this.#finish(
            report,
            'cancelled',
            stop.aborted ? 'another leg of its matrix failed' : 'the run was cancelled',
          );
          return { result: 'cancelled', outputs: {} };
        }
        return this.#runLeg(job, report, contexts, token, stop);
      }),
    );
  }

  async #runLeg(
    job: WorkflowJob,
    report: JobReport,
    contexts: WithGithub,
    token: string,
    stop: AbortSignal,
  ): Promise<Outcome> {
    const { cancel, shutdown, lost, random } = this.#options;
    const { key, id, name } = report;
    let spec: JobSpec;
    let mayFail = false;
    try {
      spec = await this.#spec(job, report, contexts, token);
      const { continueOnError: may } = job;
      if (may) mayFail = this.#evaluate(may, (text) => evaluateTemplate(text, contexts)) === 'true';
    } catch (error) {
      return this.#failBefore(report, error);
    }
    const startedAt = this.#now();
    Object.assign(report, { status: 'in_progress', startedAt });
    this.#emit({ kind: 'job-started', job: key, id, name, steps: report.plannedSteps });

    const control = new AbortController();
    const abort = () => control.abort();
    // A job that starts after the cancel, because its "if" wants that, is not cancelled itself.
    const signals = [stop, ...(cancel && !cancel.aborted ? [cancel] : [])];
    for (const signal of signals) signal.addEventListener('abort', abort, { once: true });
    try {
      const leg = (contexts.strategy as { 'job-index': number })['job-index'];
      // No job id has a dot in it.
      const settings = await this.#settingsFor(report, report.matrix ? `${id}.${leg + 1}` : id);
      const onEvent = (event: JobEvent) => {
        recordEvent(report, event, this.#now());
        if (event.kind !== 'job-finished') this.#emit({ ...event, job: key });
      };
      // A machine that is stopped or lost is that of the jobs on it then: later ones get another.
      const machine = { shutdown: stillOpen(shutdown), lost: stillOpen(lost) };
      const limits: JobControl = { cancel: control.signal, ...machine, onEvent, random };
      const result = await runJob(spec, settings, limits);
      recordResult(report, result, this.#now());
      this.#noteMissingTools(report);
      this.#finish(
        report,
        result.conclusion,
        mayFail && result.conclusion === 'failure' ? 'it may fail' : undefined,
      );
      const forgiven = mayFail && result.conclusion === 'failure';
      return { result: forgiven ? 'success' : result.conclusion, outputs: result.outputs };
    } catch (error) {
      report.ms = this.#now() - startedAt;
      return this.#failBefore(report, error);
    } finally {
      for (const signal of signals) signal.removeEventListener('abort', abort);
    }
  }

  async #settingsFor(job: JobReport, directory: string): Promise<RunnerSettings> {
    const { settings } = this.#options;
    const workspace = join(settings.workspace, directory);
    const temp = join(settings.temp, directory);
    await mkdir(workspace, { recursive: true });
    await mkdir(temp, { recursive: true });
    return { ...settings, workspace, temp, name: runnerName(settings.name, job) };
  }

  /** A command that is not there is the usual reason why a script works on GitHub and not here. */
  #noteMissingTools(report: JobReport): void {
    for (const step of report.steps) {
      if (step.exitCode !== 127 || step.index < 0) continue;
      const mend = `install the command, or declare a stand-in for the step in ${this.#options.standIns?.file ?? 'stand-ins.yml'}`;
      this.#notes.push(
        `${report.key} › ${step.name}: a command was not found on this computer (exit 127); ${mend}`,
      );
    }
  }

  #noteConcurrency(
    what: string,
    concurrency: { group: Text; cancelInProgress?: Text },
    contexts: PlainContexts,
  ): string {
    const group = this.#evaluate(concurrency.group, (text) => evaluateTemplate(text, contexts));
    const { cancelInProgress } = concurrency;
    const cancels = cancelInProgress
      ? this.#evaluate(cancelInProgress, (text) => evaluateTemplate(text, contexts)) === 'true'
      : false;
    const then = cancels ? 'a newer run would cancel this one' : 'a newer run would wait';
    const note = `${what} is in the concurrency group "${group}": ${then}`;
    if (!this.#notes.includes(note)) this.#notes.push(note);
    return group;
  }

  async #spec(job: WorkflowJob, report: JobReport, contexts: WithGithub, token: string): Promise<JobSpec> {
    const workflow = this.#workflow;
    const permissions = job.permissions ?? workflow.permissions;
    this.#api.admit(token, permissions);
    const labels = job.runsOn.map((text) =>
      this.#evaluate(text, (label) => evaluateTemplate(label, contexts)),
    );
    labels.forEach((label, index) => {
      checkLabel(workflow.file, job.runsOn[index] ?? job, label);
    });
    report.labels = labels;
    const minutes = job.timeoutMinutes && this.#minutes(job.timeoutMinutes, contexts);
    const { environment } = job;
    if (environment) {
      report.environment = {
        name: this.#evaluate(environment.name, (text) => evaluateTemplate(text, contexts)),
      };
      const note = `"${job.id}" deploys to the environment "${report.environment.name}": its protection rules are not applied here`;
      if (!this.#notes.includes(note)) this.#notes.push(note);
    }
    const secrets = { ...this.#options.secrets, GITHUB_TOKEN: token };
    return {
      id: job.id,
      name: report.name,
      env: (seen) => {
        const values = this.#values(workflow.env, seen);
        return { ...values, ...this.#values(job.env, { ...seen, env: { ...seen.env, ...values } }) };
      },
      steps: (this.#plan.steps.get(job) ?? []).map((planned) => this.#step(job, planned, contexts)),
      timeoutMs: minutes === undefined ? undefined : minutes * 60_000,
      outputs: (seen) => {
        if (environment?.url && report.environment) {
          report.environment.url = this.#evaluate(environment.url, (text) => evaluateTemplate(text, seen));
        }
        return this.#values(job.outputs, seen);
      },
      github: contexts.github,
      secrets,
      vars: this.#options.vars,
      idToken: await this.#idToken(job, report, contexts.github),
      actionsEnv: this.#options.actionsEnv,
      needs: contexts.needs as Record<string, unknown>,
      strategy: contexts.strategy as Record<string, unknown>,
      matrix: contexts.matrix as Record<string, unknown>,
      inputs: this.#plan.inputs,
      job: { services: servicesContext(job) },
    };
  }

  async #idToken(
    job: WorkflowJob,
    report: JobReport,
    github: Record<string, unknown>,
  ): Promise<JobSpec['idToken']> {
    if (!this.#options.idToken) return undefined;
    if (!permits(job.permissions ?? this.#workflow.permissions, 'id-token', 'write')) return undefined;
    const environment = report.environment?.name;
    const { repository, ref } = this.#plan.facts;
    const scope = environment ? `environment:${environment.replaceAll(':', '%3A')}` : `ref:${ref}`;
    const subject = `repo:${repository}:${this.#plan.event.startsWith('pull_request') && !environment ? 'pull_request' : scope}`;
    const names = [
      'actor',
      'ref',
      'repository',
      'repository_owner',
      'run_id',
      'run_attempt',
      'sha',
      'workflow',
    ];
    const claims = Object.fromEntries(names.map((name) => [name, String(github[name])]));
    const more = { event_name: this.#plan.event, job_workflow_ref: String(github.workflow_ref) };
    const whole = { ...claims, ...more, ...(environment ? { environment } : {}) };
    return this.#options.idToken({ subject, job: job.id, environment, claims: whole });
  }

  #values(map: TextMap, contexts: PlainContexts): Record<string, string> {
    return Object.fromEntries(
      Object.entries(map).map(([name, text]) => {
        return [name, this.#evaluate(text, (value) => evaluateTemplate(value, contexts))];
      }),
    );
  }

  #minutes(text: Text, contexts: PlainContexts): number {
    const value = this.#evaluate(text, (minutes) => evaluateTemplate(minutes, contexts));
    const minutes = Number(value);
    if (value.trim() !== '' && minutes > 0) return minutes;
    const reason = `timeout-minutes is "${value}"`;
    throw new WorkflowError(this.#workflow.file, text, reason, 'give a number above 0');
  }

  #step(job: WorkflowJob, planned: PlannedStep, early: WithGithub): StepSpec {
    const { step } = planned;
    const base = {
      id: step.id,
      name: this.#stepName(step, early),
      if: (contexts: Contexts, status: ExpressionStatus) =>
        this.#evaluate(step.if ?? { ...place(step), text: '' }, (text) =>
          evaluateCondition(text, contexts, status),
        ),
      continueOnError: (contexts: Contexts) =>
        step.continueOnError !== undefined &&
        this.#evaluate(step.continueOnError, (text) => evaluateTemplate(text, contexts)) === 'true',
      timeoutMs: (contexts: Contexts) =>
        step.timeoutMinutes && this.#minutes(step.timeoutMinutes, contexts) * 60_000,
      env: (contexts: Contexts) => this.#values(step.env, contexts),
    };
    const inputs = (contexts: Contexts) => (step.kind === 'uses' ? this.#values(step.with, contexts) : {});
    if (planned.kind === 'stand-in') {
      return { ...base, kind: 'stand-in', what: planned.by, with: inputs, perform: planned.perform };
    }
    if (planned.kind === 'action') {
      const { directory } = planned;
      return { ...base, kind: 'action', directory, ref: planned.step.uses.text, with: inputs };
    }
    const { run, shell, workingDirectory } = planned.step;
    const chosen = shell ?? job.defaults.shell ?? this.#workflow.defaults.shell;
    const at = workingDirectory ?? job.defaults.workingDirectory ?? this.#workflow.defaults.workingDirectory;
    return {
      ...base,
      kind: 'run',
      script: (contexts) => this.#evaluate(run, (text) => evaluateTemplate(text, contexts)),
      shell: chosen?.text === 'python' ? 'python3 {0}' : chosen?.text,
      workingDirectory: at && ((contexts) => this.#evaluate(at, (text) => evaluateTemplate(text, contexts))),
    };
  }

  /**
   * A name may look at what only later steps know; then it is shown as it stands, as GitHub does before. It
   * never shows a secret: names go into reports and the API, where nothing is masked.
   */
  #stepName(step: WorkflowStep, contexts: WithGithub): string {
    const name = shownStepName(step);
    try {
      const { secrets: _, ...others } = contexts;
      const shown = evaluateTemplate(name, { ...others, github: { ...contexts.github, token: '***' } });
      return shown.split('\n', 1)[0] ?? name;
    } catch {
      return name;
    }
  }
}

const words: Record<Conclusion, string> = {
  success: 'green',
  failure: 'red',
  cancelled: 'cancelled',
  skipped: 'skipped',
};

function stillOpen(signal: AbortSignal | undefined): AbortSignal | undefined {
  return signal?.aborted ? undefined : signal;
}

function place({ line, column }: Place): Place {
  return { line, column };
}

/** `job.services`: ports as the file maps them, since nothing is started that could choose others. */
function servicesContext(job: WorkflowJob): Record<string, unknown> {
  return Object.fromEntries(
    job.services.map(({ id, ports }) => {
      const mapped = ports.map((port) => {
        const [host = '', inside = host] = port.replace(/\/\w+$/, '').split(':');
        return [inside, host];
      });
      return [id, { id, network: '', ports: Object.fromEntries(mapped) }];
    }),
  );
}

/** Evaluates every text in a value; one that is nothing but an expression keeps its type. */
function evaluateDeep(value: unknown, contexts: PlainContexts): unknown {
  if (typeof value === 'string') return evaluateValue(value, contexts);
  if (Array.isArray(value)) return value.map((item) => evaluateDeep(item, contexts));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, evaluateDeep(item, contexts)]));
}

function worst(results: Conclusion[]): Conclusion {
  for (const result of ['failure', 'cancelled', 'success'] as const)
    if (results.includes(result)) return result;
  return 'skipped';
}

function withoutEmpty(outputs: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== ''));
}

/** So many at once, the others in the order in which they came. */
class Slots {
  #free: number;
  readonly #waiting: Array<() => void> = [];
  constructor(size: number) {
    this.#free = size;
  }
  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

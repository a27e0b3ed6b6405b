import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { stepEnvironment } from './environment.ts';
import { ExpressionError, evaluateCondition, evaluateTemplate } from './expressions.ts';
import {
  addPath,
  FileCommandError,
  type FileCommandName,
  fileCommands,
  keyValues,
  pathEntries,
  refusedEnvironment,
  summaryLimit,
} from './file-command.ts';
import type { JobEvent, JobResult, StepPlace, StepResult, Survivor } from './job-result.ts';
import type {
  ActionStep,
  Conclusion,
  Contexts,
  JobSpec,
  JobStatus,
  Phase,
  RunnerSettings,
  RunStep,
  StepContext,
  StepSpec,
} from './job-spec.ts';
import { loadManifest, type Manifest, ManifestError } from './manifest.ts';
import { SecretMasker } from './mask.ts';
import { type ProcessEnd, runProcess } from './process.ts';
import { scriptExtension, shellCommand } from './shell.ts';
import { printAction, printVariables, StepRecord } from './step-record.ts';
import { killProcess, trackedProcesses } from './survivors.ts';
import { WorkflowCommands } from './workflow-command.ts';

export interface JobControl {
  /** The user cancels: the running step gets the ladder unless its `if` still holds; posts run. */
  cancel?: AbortSignal;
  /** The runner is told to stop: the ladder for the running step, and nothing after it. */
  shutdown?: AbortSignal;
  /** The machine is gone: every process of the job is killed at once and nothing is processed or cleaned. */
  lost?: AbortSignal;
  onEvent?: (event: JobEvent) => void;
  /** Source of chance for `drain: 'random'`; Math.random unless given. */
  random?: () => number;
}

const hostedCancelWindowMs = 285_000;

/** One stage of one step, waiting for its turn. */
interface Entry {
  step: StepSpec;
  index: number;
  phase: Phase;
  name: string;
  /** The step's id, or the name the runner makes up for it. */
  contextName: string;
  condition: (contexts: Contexts, status: JobStatus) => boolean;
  shared: SharedState;
}

/** What the stages of one action share. */
interface SharedState {
  /** STATE_ by name in lower case. */
  state: Map<string, { name: string; value: string }>;
  /** Loaded when the job is set up; a local action is read anew at each stage. */
  manifest?: Manifest;
  postRegistered: boolean;
}

/** Why a running step is told to end. */
type StopReason = 'cancel' | 'timeout';

/** A step that failed before or beside its process, with the message for its annotation. */
class StepError extends Error {}

/**
 * Runs one job as the runner does: pre, main and post of its steps, each in a process of its own with a closed
 * environment, then its outputs and the clean-up. Never rejects because of what a step does.
 */
export function runJob(
  spec: JobSpec,
  settings: RunnerSettings,
  control: JobControl = {},
): Promise<JobResult> {
  return new JobRun(spec, settings, control).run();
}

class JobRun {
  readonly #spec: JobSpec;
  readonly #settings: RunnerSettings;
  readonly #control: JobControl;
  readonly #masker = new SecretMasker();
  readonly #trackingId = `github_${randomUUID()}`;
  readonly #started = performance.now();
  readonly #log: string[] = [];
  readonly #results: StepResult[] = [];
  readonly #survivors = new Map<number, Survivor>();
  /** Processes seen alive after a step, by the name of the step that left them. */
  readonly #leftBy = new Map<number, string>();
  readonly #steps: Record<string, StepContext> = {};
  readonly #posts: Entry[] = [];
  readonly #github: Record<string, unknown>;
  readonly #runner: Record<string, string>;
  /** The worker is dead: nothing more is awaited, processed or cleaned. */
  readonly #abandon = new AbortController();
  #env: Record<string, string> = {};
  #paths: string[] = [];
  #status: JobStatus = 'success';
  #shutdown = false;
  #running: { interrupt: (reason: 'cancel' | 'shutdown') => void } | undefined;
  #runningPid: number | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(spec: JobSpec, settings: RunnerSettings, control: JobControl) {
    this.#spec = spec;
    this.#settings = settings;
    this.#control = control;
    this.#runner = {
      os: { darwin: 'macOS', win32: 'Windows' }[process.platform as string] ?? 'Linux',
      arch: { arm64: 'ARM64', arm: 'ARM', ia32: 'X86' }[process.arch as string] ?? 'X64',
      name: settings.name,
      environment: settings.environment ?? 'github-hosted',
      tool_cache: settings.toolCache,
      temp: settings.temp,
      workspace: dirname(settings.workspace),
      ...(settings.debug ? { debug: '1' } : {}),
    };
    this.#github = {
      ...spec.github,
      job: spec.id,
      workspace: settings.workspace,
      event_path: join(settings.temp, '_github_workflow', 'event.json'),
    };
    const token = spec.github.token;
    for (const secret of Object.values(spec.secrets)) this.#masker.addSecret(secret);
    if (typeof token === 'string' && token !== '') {
      this.#masker.addSecret(token);
      this.#masker.addSecret(Buffer.from(`x-access-token:${token}`).toString('base64'));
    }
    if (spec.idToken) this.#masker.addSecret(spec.idToken.requestToken);
    this.#masker.addSecret(spec.actionsEnv?.ACTIONS_RUNTIME_TOKEN ?? '');
  }

  async run(): Promise<JobResult> {
    const unsubscribe = this.#listen();
    let outputs: Record<string, string> = {};
    try {
      await this.#setUp();
      if (this.#status !== 'failure') await this.#runSteps();
      if (!this.#lost) outputs = await this.#complete();
    } finally {
      unsubscribe();
      for (const timer of this.#timers) clearTimeout(timer);
    }
    this.#emit({ kind: 'job-finished', conclusion: this.#status, outputs });
    return {
      conclusion: this.#status,
      outputs,
      steps: this.#results,
      log: this.#log,
      annotations: this.#results.flatMap((result) => result.annotations),
      survivors: [...this.#survivors.values()],
      lost: this.#lost,
      ms: performance.now() - this.#started,
    };
  }

  get #lost(): boolean {
    return this.#abandon.signal.aborted;
  }

  #emit(event: JobEvent): void {
    this.#control.onEvent?.(event);
  }

  #record(place: StepPlace): StepRecord {
    return new StepRecord(place, {
      masker: this.#masker,
      emit: (event) => this.#emit(event),
      jobLog: this.#log,
      debug: this.#settings.debug ?? false,
    });
  }

  /** Subscribes to what may end the job early; answers how to stop listening. */
  #listen(): () => void {
    const { cancel, shutdown, lost } = this.#control;
    const subscriptions: [AbortSignal | undefined, () => void][] = [
      [cancel, () => this.#cancel()],
      [shutdown, () => this.#shutDown()],
      [lost, () => this.#loseMachine()],
    ];
    for (const [signal, perform] of subscriptions) {
      if (signal?.aborted) perform();
      else signal?.addEventListener('abort', perform);
    }
    if (this.#spec.timeoutMs !== undefined) {
      this.#timers.push(setTimeout(() => this.#cancel(), this.#spec.timeoutMs));
    }
    return () => {
      for (const [signal, perform] of subscriptions) signal?.removeEventListener('abort', perform);
    };
  }

  #cancel(): void {
    if (this.#status === 'cancelled' || this.#shutdown || this.#lost) return;
    this.#status = 'cancelled';
    this.#timers.push(
      setTimeout(() => this.#killWorker(), this.#settings.cancelWindowMs ?? hostedCancelWindowMs),
    );
    this.#running?.interrupt('cancel');
  }

  #shutDown(): void {
    if (this.#shutdown || this.#lost) return;
    this.#shutdown = true;
    this.#status = 'failure';
    this.#running?.interrupt('shutdown');
  }

  /** The listener kills the worker when the time after a cancel is over; a step's process is not told. */
  #killWorker(): void {
    if (this.#lost) return;
    if (this.#runner.environment === 'github-hosted') this.#killEverything();
    else this.#noteSurvivors('lost');
    this.#abandon.abort();
  }

  #loseMachine(): void {
    if (this.#lost) return;
    if (this.#status !== 'cancelled') this.#status = 'failure';
    this.#killEverything();
    this.#abandon.abort();
  }

  #killEverything(): void {
    if (this.#runningPid !== undefined) killProcess(this.#runningPid);
    for (const { pid } of trackedProcesses(this.#trackingId)) killProcess(pid);
  }

  #noteSurvivors(found: Survivor['found'], step?: string): Survivor[] {
    const alive = trackedProcesses(this.#trackingId).map(({ pid, command }): Survivor => {
      const known = this.#survivors.get(pid);
      if (known) return known;
      const survivor: Survivor = {
        pid,
        command: this.#masker.mask(command),
        step: step ?? this.#leftBy.get(pid) ?? '',
        found,
      };
      this.#survivors.set(pid, survivor);
      this.#emit({ kind: 'survivor', survivor });
      return survivor;
    });
    return alive;
  }

  async #cleanTemp(): Promise<void> {
    const { temp } = this.#settings;
    await mkdir(temp, { recursive: true });
    for (const entry of await readdir(temp)) {
      await rm(join(temp, entry), { recursive: true, force: true, maxRetries: 3 });
    }
  }

  /** Contexts as an expression of a step would see them now. */
  #contexts(env: Record<string, string>, github: Record<string, unknown> = this.#github): Contexts {
    const spec = this.#spec;
    return {
      github,
      env,
      vars: spec.vars,
      secrets: spec.secrets,
      job: { ...spec.job, status: this.#status },
      steps: this.#steps,
      runner: this.#runner,
      needs: spec.needs ?? {},
      strategy: spec.strategy ?? {},
      matrix: spec.matrix ?? {},
      inputs: spec.inputs ?? {},
    };
  }

  async #setUp(): Promise<void> {
    const record = this.#record({ stepId: '__set_up', name: 'Set up job', phase: 'main', index: -1 });
    try {
      await this.#cleanTemp();
      await mkdir(this.#settings.workspace, { recursive: true });
      const event = this.#github.event_path as string;
      await mkdir(dirname(event), { recursive: true });
      await writeFile(event, JSON.stringify(this.#spec.github.event ?? {}));
      this.#env = { ...this.#spec.env(this.#contexts({})) };
      this.#plan(record);
    } catch (error) {
      record.error((error as Error).message);
      record.result.conclusion = 'failure';
      record.result.outcome = 'failure';
      this.#status = 'failure';
      this.#results.push(record.result);
    }
  }

  #queue: Entry[] = [];

  /** Reads the manifests and puts the stages in order: every pre, then every main. */
  #plan(record: StepRecord): void {
    const pres: Entry[] = [];
    const mains: Entry[] = [];
    const names = new Set(this.#spec.steps.map((step) => step.id).filter((id) => id !== undefined));
    for (const [index, step] of this.#spec.steps.entries()) {
      const contextName = step.id ?? madeUpName(step, names);
      names.add(contextName);
      const shared: SharedState = { state: new Map(), postRegistered: false };
      const base = { step, index, contextName, shared };
      if (step.kind === 'action') {
        for (const [name, value] of Object.entries(step.state ?? {})) {
          shared.state.set(name.toLowerCase(), { name, value });
        }
        if (!isLocal(step)) {
          record.output(`Download action repository '${step.ref}'`);
          shared.manifest = loadManifest(step.directory);
        }
        const { scripts, conditions } = shared.manifest ?? {};
        if (scripts?.pre !== undefined && wants(step, 'pre')) {
          pres.push({
            ...base,
            phase: 'pre',
            name: `Pre ${step.name}`,
            condition: (contexts, status) =>
              evaluateCondition(conditions!.pre, contexts, status, { raw: true }),
          });
        }
        if (!wants(step, 'main')) {
          this.#registerPost({ ...base, phase: 'main', name: step.name, condition: () => true });
          continue;
        }
      }
      mains.push({
        ...base,
        phase: 'main',
        name: step.name,
        condition: step.if ?? ((_contexts, status) => status === 'success'),
      });
    }
    this.#queue = [...pres, ...mains];
  }

  /** Puts an action's post on the stack when its pre or main starts, before anything of it runs. */
  #registerPost(entry: Entry): Manifest | undefined {
    const { step, shared } = entry;
    if (step.kind !== 'action') return undefined;
    const manifest = shared.manifest ?? loadManifest(step.directory);
    if (manifest.scripts.post === undefined || shared.postRegistered || !wants(step, 'post')) return manifest;
    shared.postRegistered = true;
    this.#posts.push({
      ...entry,
      phase: 'post',
      name: `Post ${step.name}`,
      condition: (contexts, status) =>
        evaluateCondition(manifest.conditions.post, contexts, status, { raw: true }),
    });
    return manifest;
  }

  async #runSteps(): Promise<void> {
    for (let entry = this.#queue.shift(); entry && !this.#lost; entry = this.#queue.shift()) {
      await this.#runEntry(entry);
    }
    for (let post = this.#posts.pop(); post && !this.#lost; post = this.#posts.pop()) {
      await this.#runEntry(post);
    }
  }

  /** Whether the entry is to run; a condition that cannot be evaluated fails the step. */
  #holds(entry: Entry, env: Record<string, string>, github: Record<string, unknown>): boolean {
    if (this.#shutdown) return false;
    return entry.condition(this.#contexts(env, github), this.#status);
  }

  async #runEntry(entry: Entry): Promise<void> {
    const { step } = entry;
    const begun = performance.now();
    const record = this.#record({
      stepId: entry.contextName,
      name: entry.name,
      phase: entry.phase,
      index: entry.index,
    });
    const { result } = record;
    const env: Record<string, string> = { ...this.#env };
    const github: Record<string, unknown> = { ...this.#github, action: entry.contextName };
    let outcome: Conclusion;
    try {
      Object.assign(env, step.env(this.#contexts(env, github)));
      if (this.#holds(entry, env, github)) {
        this.#emit({ ...record.place, kind: 'step-started' });
        outcome = await this.#runInTime(entry, record, env, github);
      } else {
        outcome = 'skipped';
      }
    } catch (error) {
      record.error((error as Error).message);
      outcome = 'failure';
    }
    if (this.#lost) outcome = 'cancelled';
    if (record.commandFailed && outcome === 'success') outcome = 'failure';
    result.outcome = outcome;
    result.conclusion = outcome;
    if (outcome === 'failure' && this.#continues(entry, record, env, github)) result.conclusion = 'success';
    result.state = stateOf(entry.shared);
    result.ms = performance.now() - begun;
    if (step.kind === 'stand-in') result.standIn = step.what;
    if (entry.phase === 'main' && step.id !== undefined) {
      this.#steps[step.id] = {
        outputs: { ...result.outputs },
        outcome: result.outcome,
        conclusion: result.conclusion,
      };
    }
    if (result.conclusion === 'failure' && this.#status === 'success') this.#status = 'failure';
    this.#results.push(result);
    const finished: JobEvent = {
      ...record.place,
      kind: 'step-finished',
      conclusion: result.conclusion,
      outcome,
      ms: result.ms,
    };
    if (result.exitCode !== undefined) finished.exitCode = result.exitCode;
    if (result.standIn !== undefined) finished.standIn = result.standIn;
    this.#emit(finished);
  }

  #continues(
    entry: Entry,
    record: StepRecord,
    env: Record<string, string>,
    github: Record<string, unknown>,
  ): boolean {
    try {
      return entry.step.continueOnError?.(this.#contexts(env, github)) ?? false;
    } catch (error) {
      record.error(
        'The step failed and an error occurred when attempting to determine whether to continue on error.',
      );
      record.error((error as Error).message);
      return false;
    }
  }

  /** Runs an entry whose condition holds, under its timeout and open to a cancel. */
  async #runInTime(
    entry: Entry,
    record: StepRecord,
    env: Record<string, string>,
    github: Record<string, unknown>,
  ): Promise<Conclusion> {
    const stop = new AbortController();
    const interrupt = (reason: 'cancel' | 'shutdown') => {
      if (reason === 'cancel') {
        record.debug(`Re-evaluate condition on job cancellation for step: '${entry.name}'.`);
        try {
          if (this.#holds(entry, env, github)) return;
        } catch (error) {
          record.error((error as Error).message);
        }
      } else {
        record.error(
          'The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually started runner is canceled.',
        );
      }
      stop.abort('cancel' satisfies StopReason);
    };
    // A step that begins after the cancel, a post say, is not interrupted by it any more.
    if (this.#status !== 'cancelled') this.#running = { interrupt };
    else this.#running = { interrupt: (reason) => reason === 'shutdown' && interrupt(reason) };
    const timeoutMs = entry.step.timeoutMs?.(this.#contexts(env, github));
    const timer =
      timeoutMs !== undefined && timeoutMs > 0
        ? setTimeout(() => stop.abort('timeout' satisfies StopReason), timeoutMs)
        : undefined;
    let files = new Map<FileCommandName, string>();
    let outcome: Conclusion = 'success';
    try {
      files = await this.#makeFiles(github);
      if (!(await this.#perform(entry, record, env, github, stop.signal))) outcome = 'failure';
    } catch (error) {
      if (
        !(error instanceof StepError || error instanceof ManifestError || error instanceof ExpressionError)
      ) {
        record.debug((error as Error).stack ?? '');
      }
      record.error((error as Error).message);
      outcome = 'failure';
    } finally {
      clearTimeout(timer);
      this.#running = undefined;
      this.#runningPid = undefined;
    }
    if (this.#lost) return 'cancelled';
    await this.#readFiles(files, entry, record);
    for (const { pid } of trackedProcesses(this.#trackingId)) {
      if (!this.#leftBy.has(pid)) this.#leftBy.set(pid, entry.name);
    }
    if (!stop.signal.aborted) return outcome;
    if ((stop.signal.reason as StopReason) === 'timeout') {
      record.error(
        `The action '${entry.name}' has timed out after ${Math.round((timeoutMs! / 60_000) * 100) / 100} minutes.`,
      );
      return 'failure';
    }
    record.error('The operation was canceled.');
    return 'cancelled';
  }

  /** Runs what the entry is; answers whether it succeeded. */
  async #perform(
    entry: Entry,
    record: StepRecord,
    env: Record<string, string>,
    github: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { step } = entry;
    if (step.kind === 'action') return this.#performAction(step, entry, record, env, github, signal);
    if (step.kind === 'run') return this.#performScript(step, entry, record, env, github, signal);
    const commands = this.#commands(entry, record, env);
    const contexts = this.#contexts(env, github);
    record.output(`##[group]Stand-in for ${step.name}: ${step.what}`);
    const inputs = step.with(contexts);
    for (const [name, value] of Object.entries(inputs))
      if (value !== '') record.output(`  ${name}: ${value}`);
    record.output('##[endgroup]');
    const performed = await Promise.race([
      step.perform({
        inputs,
        contexts,
        env: stepEnvironment({
          worker: this.#workerEnv(),
          env,
          paths: this.#paths,
          github,
          runner: this.#runner,
          actions: this.#idTokenEnv(),
        }),
        workspace: this.#settings.workspace,
        log: (line) => commands.take(line),
        signal,
      }),
      aborted(signal),
      aborted(this.#abandon.signal),
    ]);
    if (performed === undefined) return false;
    Object.assign(record.result.outputs, performed.outputs);
    for (const [name, value] of Object.entries(performed.env ?? {})) this.#setEnv(record, name, value);
    if (performed.summary) this.#summarise(record, performed.summary);
    return performed.conclusion !== 'failure';
  }

  #workerEnv(): Record<string, string> {
    return { ...this.#settings.env, RUNNER_TRACKING_ID: this.#trackingId };
  }

  #idTokenEnv(): Record<string, string> {
    const { idToken } = this.#spec;
    if (!idToken) return {};
    return {
      ACTIONS_ID_TOKEN_REQUEST_URL: idToken.requestUrl,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: idToken.requestToken,
    };
  }

  async #performAction(
    step: ActionStep,
    entry: Entry,
    record: StepRecord,
    env: Record<string, string>,
    github: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { phase, shared } = entry;
    const manifest = this.#registerPost(entry) ?? loadManifest(step.directory);
    if (isLocal(step) && manifest.scripts.pre !== undefined && phase === 'main') {
      record.warning(`\`pre\` execution is not supported for local action from '${step.ref}'`);
    }
    if (!isLocal(step)) {
      const [path, ref] = step.ref.split('@');
      github.action_repository = path!.split('/').slice(0, 2).join('/');
      github.action_ref = ref ?? '';
    }
    const inputs = this.#inputs(step, manifest, record, this.#contexts(env, github));
    const state = stateOf(shared);
    if (phase === 'post') record.output('Post job cleanup.');
    else printAction(record, step, inputs, { ...env, ...prefixed('STATE_', state) });
    const script = manifest.scripts[phase];
    if (script === undefined) throw new StepError(`${manifest.file}: has no ${phase} script any more`);
    const file = join(step.directory, script);
    if (!existsSync(file)) throw new StepError(`File not found: '${file}'`);
    const end = await this.#launch(entry, record, env, signal, {
      file: this.#settings.node,
      args: [file],
      cwd: this.#settings.workspace,
      env: stepEnvironment({
        worker: this.#workerEnv(),
        env,
        state,
        inputs,
        paths: this.#paths,
        github,
        runner: this.#runner,
        actions: { ...this.#spec.actionsEnv, ...this.#idTokenEnv() },
      }),
    });
    return end.exitCode === 0;
  }

  /** The inputs of this stage: `with:` as it evaluates now, and the defaults of what was not given. */
  #inputs(
    step: ActionStep,
    manifest: Manifest,
    record: StepRecord,
    contexts: Contexts,
  ): Record<string, string> {
    const given = step.with(contexts);
    const inputs: Record<string, string> = { ...given };
    const names = new Set(Object.keys(given).map((name) => name.toLowerCase()));
    const declared = new Map(manifest.inputs.map((input) => [input.name.toLowerCase(), input]));
    for (const name of Object.keys(given)) {
      const message = declared.get(name.toLowerCase())?.deprecationMessage;
      if (message !== undefined) {
        record.warning(`Input '${name}' has been deprecated with message: ${message}`);
      }
    }
    const { github, strategy, matrix, job, runner } = contexts;
    for (const input of manifest.inputs) {
      if (names.has(input.name.toLowerCase())) continue;
      inputs[input.name] =
        input.default === undefined
          ? ''
          : evaluateTemplate(input.default, { github, strategy, matrix, job, runner });
    }
    const unexpected = Object.keys(given).filter((name) => !declared.has(name.toLowerCase()));
    if (unexpected.length > 0) {
      const valid = manifest.inputs.map((input) => input.name);
      record.warning(
        `Unexpected input(s) '${unexpected.join("', '")}', valid inputs are ['${valid.join("', '")}']`,
      );
    }
    return inputs;
  }

  async #performScript(
    step: RunStep,
    entry: Entry,
    record: StepRecord,
    env: Record<string, string>,
    github: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const contexts = this.#contexts(env, github);
    const script = step.script(contexts);
    const directory = step.workingDirectory?.(contexts) || '';
    const environment = stepEnvironment({
      worker: this.#workerEnv(),
      env,
      paths: this.#paths,
      github,
      runner: this.#runner,
      actions: this.#idTokenEnv(),
    });
    const file = join(this.#settings.temp, `${randomUUID()}${scriptExtension(step.shell)}`);
    const command = shellCommand(step.shell, file, environment.PATH ?? '');
    await writeFile(file, script);
    const lines = script.replaceAll('\r\n', '\n').replace(/\n+$/, '').split('\n');
    record.output(`##[group]Run ${lines.find((line) => line.trim() !== '')?.trimStart() ?? ''}`);
    for (const line of lines) record.output(`\x1b[36;1m${line}\x1b[0m`);
    record.output(`shell: ${command.shown}`);
    printVariables(record, env);
    record.output('##[endgroup]');
    const end = await this.#launch(entry, record, env, signal, {
      file: command.file,
      args: command.args,
      cwd: resolve(this.#settings.workspace, directory),
      env: environment,
    });
    if (end.exitCode === 0) return true;
    if (!signal.aborted) {
      const code = end.exitCode ?? 128 + (end.signal ? constants.signals[end.signal] : 0);
      record.error(`Process completed with exit code ${code}.`);
    }
    return false;
  }

  async #launch(
    entry: Entry,
    record: StepRecord,
    env: Record<string, string>,
    signal: AbortSignal,
    command: { file: string; args: string[]; cwd: string; env: Record<string, string> },
  ): Promise<ProcessEnd> {
    const { ladder, pipeGraceMs, drain } = this.#settings;
    const commands = this.#commands(entry, record, env);
    const end = await runProcess({
      ...command,
      onStart: (pid) => {
        this.#runningPid = pid;
        this.#emit({ ...record.place, kind: 'process-started', pid, trackingId: this.#trackingId });
      },
      onLine: (line) => commands.take(line),
      signal,
      abandon: this.#abandon.signal,
      ...(ladder ? { ladder } : {}),
      ...(pipeGraceMs !== undefined ? { pipeGraceMs } : {}),
      ...(drain ? { drain } : {}),
      ...(this.#control.random ? { random: this.#control.random } : {}),
    });
    if (end.exitCode !== undefined) record.result.exitCode = end.exitCode;
    if (end.signal) record.result.signal = end.signal;
    if (end.heldPipes) this.#noteSurvivors('pipes', entry.name);
    return end;
  }

  /** The workflow commands of one process, acting on this step. */
  #commands(entry: Entry, record: StepRecord, env: Record<string, string>): WorkflowCommands {
    return new WorkflowCommands({
      output: (line) => record.output(line),
      debug: (line) => record.debug(line),
      annotate: (annotation) => record.annotate(annotation),
      addMask: (data) => this.#masker.addMask(data),
      setOutput: (name, value) => {
        record.result.outputs[name] = value;
      },
      saveState: (name, value) => saveState(entry.shared, name, value),
      setEnv: (name, value) => this.#setEnv(record, name, value),
      addPath: (path) => {
        this.#paths = addPath(this.#paths, path);
      },
      fail: () => {
        record.commandFailed = true;
      },
      allowsUnsecure: () =>
        [env, this.#settings.env].some(
          (layer) => layer.ACTIONS_ALLOW_UNSECURE_COMMANDS?.trim().toLowerCase() === 'true',
        ),
      workspace: this.#settings.workspace,
      echo: this.#settings.debug ?? false,
    });
  }

  #setEnv(record: StepRecord, name: string, value: string): void {
    if (refusedEnvironment.has(name.toUpperCase())) {
      record.error(`Can't store ${name} output parameter using '$GITHUB_ENV' command.`);
      return;
    }
    this.#env[name] = value;
    record.debug(`${name}='${value}'`);
  }

  /** Makes the empty files of one stage and names them in its github context. */
  async #makeFiles(github: Record<string, unknown>): Promise<Map<FileCommandName, string>> {
    const directory = join(this.#settings.temp, '_runner_file_commands');
    await mkdir(directory, { recursive: true });
    const suffix = randomUUID();
    const files = new Map<FileCommandName, string>();
    for (const { name, prefix } of fileCommands) {
      const file = join(directory, `${prefix}${suffix}`);
      await writeFile(file, '');
      github[name] = file;
      files.set(name, file);
    }
    return files;
  }

  /** Carries out what the stage wrote, in the runner's order. What is bad there fails the step. */
  async #readFiles(files: Map<FileCommandName, string>, entry: Entry, record: StepRecord): Promise<void> {
    for (const [name, file] of files) {
      try {
        const content = await readFile(file);
        if (name === 'step_summary') this.#summarise(record, content);
        else this.#readFile(name, content.toString('utf8'), entry, record);
      } catch (error) {
        if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) continue;
        record.error(`Unable to process file command '${name}' successfully.`);
        record.error((error as Error).message);
        record.commandFailed = true;
      }
    }
  }

  #readFile(
    name: Exclude<FileCommandName, 'step_summary'>,
    text: string,
    entry: Entry,
    record: StepRecord,
  ): void {
    if (name === 'path') {
      for (const path of pathEntries(text)) this.#paths = addPath(this.#paths, path);
      return;
    }
    for (const [key, value] of keyValues(text)) {
      if (name === 'env') this.#setEnv(record, key, value);
      else if (name === 'state') {
        saveState(entry.shared, key, value);
        record.debug(`Save intra-action state ${key} = ${value}`);
      } else {
        if (key === '') throw new FileCommandError(`Invalid format '=${value}'. Name must not be empty`);
        record.result.outputs[key] = value;
        record.debug(`steps.${record.result.id}.outputs.${key}='${value}'`);
      }
    }
  }

  #summarise(record: StepRecord, content: Buffer | string): void {
    const size = Buffer.byteLength(content);
    if (size === 0) return;
    if (size > summaryLimit) {
      record.error(
        `$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of ${summaryLimit / 1024}k, got ${Math.floor(size / 1024)}k.`,
      );
      return;
    }
    const text = content
      .toString()
      .split(/\r\n|\r|\n/)
      .map((line) => this.#masker.mask(line))
      .join('\n');
    record.result.summary += text;
    this.#emit({ ...record.place, kind: 'summary', text });
  }

  /** After the last post: what the job hands to other jobs, who is still running, and an empty RUNNER_TEMP. */
  async #complete(): Promise<Record<string, string>> {
    const record = this.#record({ stepId: '__complete', name: 'Complete job', phase: 'post', index: -1 });
    const outputs: Record<string, string> = {};
    try {
      const all = this.#spec.outputs?.(this.#contexts(this.#env)) ?? {};
      for (const [name, value] of Object.entries(all)) {
        if (value === '') continue;
        if (this.#masker.holds(value)) {
          record.warning(`Skip output '${name}' since it may contain secret.`);
        } else outputs[name] = value;
      }
    } catch (error) {
      record.error(`Unable to evaluate job outputs: ${(error as Error).message}`);
      record.result.conclusion = 'failure';
      record.result.outcome = 'failure';
      if (this.#status === 'success') this.#status = 'failure';
    }
    for (const { pid, command } of this.#noteSurvivors('job-end')) {
      record.output(`Terminate orphan process: pid (${pid}) (${command})`);
      killProcess(pid);
    }
    try {
      await this.#cleanTemp();
    } catch (error) {
      record.warning(`RUNNER_TEMP could not be emptied: ${(error as Error).message}`);
    }
    if (record.result.log.length > 0) this.#results.push(record.result);
    return outputs;
  }
}

function isLocal(step: ActionStep): boolean {
  return step.ref.startsWith('./');
}

function wants(step: ActionStep, phase: Phase): boolean {
  return step.phases?.includes(phase) ?? true;
}

/** GITHUB_ACTION of a step without id: `__run`, `__self`, `__owner_repo`, and `_2` behind it when taken. */
function madeUpName(step: StepSpec, taken: ReadonlySet<string>): string {
  let base = '__run';
  if (step.kind === 'action') {
    base = isLocal(step) ? '__self' : `__${step.ref.split('@')[0]!.split('/').slice(0, 2).join('_')}`;
  }
  if (step.kind === 'stand-in') base = '__stand_in';
  let name = base;
  for (let count = 2; taken.has(name); count++) name = `${base}_${count}`;
  return name;
}

function saveState(shared: SharedState, name: string, value: string): void {
  const key = name.toLowerCase();
  shared.state.set(key, { name: shared.state.get(key)?.name ?? name, value });
}

function stateOf(shared: SharedState): Record<string, string> {
  return Object.fromEntries([...shared.state.values()].map(({ name, value }) => [name, value]));
}

function prefixed(prefix: string, values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}${name}`, value]));
}

/** Resolves with nothing once the signal is aborted. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

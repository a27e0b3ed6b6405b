/** How a job stands while it runs: what `success()`, `failure()` and `cancelled()` ask for. */
export type JobStatus = 'success' | 'failure' | 'cancelled';
/** How a step or a job ended. */
export type Conclusion = JobStatus | 'skipped';
export type Phase = 'pre' | 'main' | 'post';

/** What `steps.<id>` shows to later expressions. */
export interface StepContext {
  outputs: Record<string, string>;
  outcome: Conclusion;
  conclusion: Conclusion;
}

/** The contexts an expression may read, as plain data. */
export interface Contexts {
  github: Record<string, unknown>;
  env: Record<string, string>;
  vars: Record<string, string>;
  secrets: Record<string, string>;
  job: { status: JobStatus } & Record<string, unknown>;
  steps: Record<string, StepContext>;
  runner: Record<string, string>;
  needs: Record<string, unknown>;
  strategy: Record<string, unknown>;
  matrix: Record<string, unknown>;
  inputs: Record<string, unknown>;
}

export interface RunnerSettings {
  /** Absolute path of the Node 24 that runs actions. */
  node: string;
  /** The worker's own environment. It is the lowest layer of every step's environment; nothing else leaks in. */
  env: Record<string, string>;
  workspace: string;
  /** RUNNER_TEMP: emptied at the start and the end of a job. */
  temp: string;
  toolCache: string;
  /** RUNNER_NAME. */
  name: string;
  /** RUNNER_ENVIRONMENT; `self-hosted` unless told. */
  environment?: 'github-hosted' | 'self-hosted';
  /** Step debugging: RUNNER_DEBUG=1 and `##[debug]` lines. */
  debug?: boolean;
  /** How a cancelled process is asked to go: 7500 ms after SIGINT comes SIGTERM, 2500 ms later SIGKILL. */
  ladder?: { interruptMs: number; terminateMs: number };
  /** How long a step waits for a child that holds the pipes of a finished node: 5000 ms. */
  pipeGraceMs?: number;
  /** What a cancelled job has left before the worker itself is killed: 285000 ms. */
  cancelWindowMs?: number;
  /** Which stream is read first when both have something: `stderr-first`, as the runner drains, or `random`. */
  drain?: 'stderr-first' | 'random';
}

interface StepBase {
  id?: string;
  name: string;
  /** Whether the step runs. Absent means `success()`. */
  if?: (contexts: Contexts, status: JobStatus) => boolean;
  continueOnError?: (contexts: Contexts) => boolean;
  timeoutMs?: (contexts: Contexts) => number | undefined;
  /** The step's own `env:`, evaluated anew for main and for post. */
  env: (contexts: Contexts) => Record<string, string>;
}

/** An action with an `action.yml` in `directory`. */
export interface ActionStep extends StepBase {
  kind: 'action';
  directory: string;
  /** What `uses:` says, for GITHUB_ACTION_REPOSITORY and messages; `./…` is a local action. */
  ref: string;
  /** The step's `with:`, evaluated anew for main and for post. */
  with: (contexts: Contexts) => Record<string, string>;
}

/** A `run:` step. */
export interface RunStep extends StepBase {
  kind: 'run';
  script: (contexts: Contexts) => string;
  /** `bash`, `sh`, or a command with `{0}` for the script file; absent means `bash -e {0}`. */
  shell?: string;
  workingDirectory?: (contexts: Contexts) => string | undefined;
}

/** A declared replacement for a step that cannot run on this computer. */
export interface StandInStep extends StepBase {
  kind: 'stand-in';
  /** What is replaced and by what: the report names it. */
  what: string;
  with: (contexts: Contexts) => Record<string, string>;
  perform: (args: StandInArguments) => Promise<StandInResult>;
}

export interface StandInArguments {
  inputs: Record<string, string>;
  contexts: Contexts;
  /** The environment a `run:` step would have had here. */
  env: Record<string, string>;
  workspace: string;
  /** Prints a line to the step's log; it is masked, and workflow commands in it are obeyed. */
  log: (line: string) => void;
  /** Aborted when the step is cancelled or times out. */
  signal: AbortSignal;
}

export interface StandInResult {
  outputs?: Record<string, string>;
  /** Set for later steps, as if written to GITHUB_ENV. */
  env?: Record<string, string>;
  conclusion?: 'success' | 'failure';
  summary?: string;
}

export type StepSpec = ActionStep | RunStep | StandInStep;

/** One job, ready to run: everything a workflow file would say, as values and functions of the contexts. */
export interface JobSpec {
  id: string;
  name: string;
  /** Workflow and job `env:`, evaluated once when the job starts. */
  env: (contexts: Contexts) => Record<string, string>;
  steps: StepSpec[];
  /** The job's `timeout-minutes`, in ms: arrives as a cancel. */
  timeoutMs?: number;
  /** Evaluated after all posts; one that holds a masked value is skipped with a warning. */
  outputs?: (contexts: Contexts) => Record<string, string>;
  /** The github context without what the runner fills in (workspace, action, event_path and the like). */
  github: Record<string, unknown>;
  secrets: Record<string, string>;
  vars: Record<string, string>;
  /** Present when the job has `id-token: write`. */
  idToken?: { requestUrl: string; requestToken: string };
  /** Further ACTIONS_* variables as the service would hand them out, e.g. ACTIONS_RUNTIME_URL. */
  actionsEnv?: Record<string, string>;
  needs?: Record<string, unknown>;
  strategy?: Record<string, unknown>;
  matrix?: Record<string, unknown>;
  inputs?: Record<string, unknown>;
  /** What the job context holds besides `status`, e.g. `services`. */
  job?: Record<string, unknown>;
}

export interface Annotation {
  level: 'error' | 'warning' | 'notice';
  /** Masked, at most 4096 characters. */
  message: string;
  title?: string;
  file?: string;
  line?: number;
  endLine?: number;
  column?: number;
  endColumn?: number;
}

/** A process that outlived its step. */
export interface Survivor {
  pid: number;
  command: string;
  /** Name of the step that left it behind, '' when that is not known. */
  step: string;
  /** `pipes`: it held the step's output open. `job-end`: it was found, and killed, when the job ended. */
  found: 'pipes' | 'job-end' | 'lost';
}

export interface StepResult {
  /** The step's `id:`, or the `__…` name the runner gives it. */
  id: string;
  name: string;
  phase: Phase;
  /** After `continue-on-error`. */
  conclusion: Conclusion;
  /** Before `continue-on-error`. */
  outcome: Conclusion;
  /** Place of the step in JobSpec.steps; -1 for the runner's own set-up and completion. */
  index: number;
  annotations: Annotation[];
  /** What was written to GITHUB_STEP_SUMMARY, masked; '' when nothing or when it was too large. */
  summary: string;
  /** Every output the step wrote, also those that the runner drops (post, or no id). */
  outputs: Record<string, string>;
  /** The step's state as the next phase will see it. */
  state: Record<string, string>;
  log: string[];
  ms: number;
  /** Exit code of the process; undefined when none ran or a signal ended it. */
  exitCode?: number;
  /** The signal that ended the process. */
  signal?: NodeJS.Signals;
  /** What a stand-in step says it replaced. */
  standIn?: string;
}

export interface JobResult {
  conclusion: JobStatus;
  outputs: Record<string, string>;
  /** In the order in which they ran: pre, main, post. Skipped steps are included. */
  steps: StepResult[];
  /** Every line of the job, masked. */
  log: string[];
  annotations: Annotation[];
  survivors: Survivor[];
  /** The worker was killed before the job had ended: no file command, post or clean-up after that moment. */
  lost: boolean;
  ms: number;
}

interface StepPlace {
  stepId: string;
  name: string;
  phase: Phase;
  /** Place of the step in JobSpec.steps; -1 for the runner's own set-up and completion. */
  index: number;
}

export type JobEvent =
  | (StepPlace & { kind: 'step-started' })
  /** The step's own process is running. */
  | (StepPlace & { kind: 'process-started'; pid: number })
  /** One line of the log, masked. */
  | (StepPlace & { kind: 'line'; text: string })
  | (StepPlace & { kind: 'annotation'; annotation: Annotation })
  | (StepPlace & { kind: 'summary'; text: string })
  | (StepPlace & {
      kind: 'step-finished';
      conclusion: Conclusion;
      outcome: Conclusion;
      ms: number;
      exitCode?: number;
      standIn?: string;
    })
  | { kind: 'survivor'; survivor: Survivor }
  | { kind: 'job-finished'; conclusion: JobStatus; outputs: Record<string, string> };

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

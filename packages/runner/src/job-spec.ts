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
  /**
   * RUNNER_ENVIRONMENT; `github-hosted` unless told. It decides what becomes of a running step when the worker
   * is killed: a hosted machine goes with everything on it, on a self-hosted one the step runs on.
   */
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
  /** The phases to run, for a test of one phase; all of them unless given. */
  phases?: readonly Phase[];
  /** The state to begin with, for a test of one phase. */
  state?: Record<string, string>;
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

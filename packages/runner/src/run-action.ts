import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  type Annotation,
  type Conclusion,
  type JobEvent,
  type JobResult,
  type JobStatus,
  type Phase,
  type RunnerSettings,
  runJob,
  type StepResult,
  type Survivor,
} from './job.ts';
import { nodePath } from './node-path.ts';

/** A moment in a phase's log: the first line that holds the text or matches. */
export interface LogMoment {
  line: string | RegExp;
  /** `main` unless given. */
  phase?: Phase;
}

export interface ActionRun {
  /** The directory with the action.yml; its committed dist is what runs. */
  directory: string;
  /** The step's `with:`. */
  inputs?: Record<string, string>;
  /** The step's `env:`. */
  env?: Record<string, string>;
  /** What earlier steps wrote to GITHUB_ENV, or the job's `env:`. */
  jobEnv?: Record<string, string>;
  /** The worker's own environment; PATH, LANG and an empty HOME unless given. */
  workerEnv?: Record<string, string>;
  /** All that the action declares unless given. A lone `post` runs with `state`. */
  phases?: readonly Phase[];
  state?: Record<string, string>;
  /** Further parts of the github context, e.g. `event_name`, `repository`, `token`. */
  github?: Record<string, unknown>;
  secrets?: Record<string, string>;
  idToken?: { requestUrl: string; requestToken: string };
  settings?: Partial<RunnerSettings>;
  /** The step's `timeout-minutes`, in ms. */
  timeoutMs?: number;
  /** The step's `if:` as a function of the job's status; `success()` unless given. */
  if?: (status: JobStatus) => boolean;
  /** Sends a signal to the action's own process, SIGKILL to kill it at once. */
  signalAt?: LogMoment & { signal: NodeJS.Signals };
  /** Cancels the job, as the user does. */
  cancelAt?: LogMoment;
  /** Stops the runner: the ladder and no post. */
  shutdownAt?: LogMoment;
  /** The machine is gone at once: no post, no clean-up. */
  loseAt?: LogMoment;
  /** Aborts to cancel the job at a moment of the caller's own choice. */
  cancel?: AbortSignal;
  onEvent?: (event: JobEvent) => void;
  random?: () => number;
  /** A step that fails after the action's main, so that post sees a failed job. */
  failJobAfterMain?: boolean;
}

/** How one phase of an action went. */
export interface PhaseRun {
  /** Exit code; undefined when a signal ended the process or none was started. */
  code: number | undefined;
  signal: NodeJS.Signals | undefined;
  /** Masked lines. */
  log: string[];
  annotations: Annotation[];
  outputs: Record<string, string>;
  /** The state as the next phase sees it. */
  state: Record<string, string>;
  summary: string;
  conclusion: Conclusion;
  ms: number;
}

export interface ActionResult {
  pre?: PhaseRun;
  main?: PhaseRun;
  post?: PhaseRun;
  /** Of the whole job. */
  conclusion: JobStatus;
  log: string[];
  survivors: Survivor[];
  job: JobResult;
}

function toPhaseRun(result: StepResult): PhaseRun {
  return {
    code: result.exitCode,
    signal: result.signal,
    log: result.log,
    annotations: result.annotations,
    outputs: result.outputs,
    state: result.state,
    summary: result.summary,
    conclusion: result.conclusion,
    ms: result.ms,
  };
}

/** A plain github context, as a push to main of a small repository has it. */
export const pushContext: Record<string, unknown> = {
  repository: 'octo/boats',
  repository_owner: 'octo',
  sha: '0123456789abcdef0123456789abcdef01234567',
  ref: 'refs/heads/main',
  ref_name: 'main',
  ref_type: 'branch',
  ref_protected: false,
  actor: 'octocat',
  triggering_actor: 'octocat',
  workflow: 'Deploy',
  event_name: 'push',
  run_id: '1001',
  run_number: '7',
  run_attempt: '1',
  server_url: 'https://github.com',
  api_url: 'https://api.github.com',
  graphql_url: 'https://api.github.com/graphql',
  event: {},
};

/**
 * Runs one action as the runner does: its manifest, its committed scripts under Node 24, each phase in a
 * process of its own, post with the state of main. Directories that are not given are made and removed.
 */
export async function runAction(run: ActionRun): Promise<ActionResult> {
  const own = await mkdtemp(join(tmpdir(), 'run-action-'));
  const cancel = new AbortController();
  const shutdown = new AbortController();
  const lost = new AbortController();
  const cancelWithCaller = () => cancel.abort();
  if (run.cancel?.aborted) cancel.abort();
  else run.cancel?.addEventListener('abort', cancelWithCaller);

  const moments: { at: LogMoment; perform: () => void }[] = [];
  const on = (at: LogMoment | undefined, perform: () => void) => {
    if (at) moments.push({ at, perform });
  };
  let pid: number | undefined;
  on(run.signalAt, () => {
    if (pid !== undefined) process.kill(pid, run.signalAt!.signal);
  });
  on(run.cancelAt, () => cancel.abort());
  on(run.shutdownAt, () => shutdown.abort());
  on(run.loseAt, () => lost.abort());
  const watch = (event: JobEvent) => {
    if (event.kind === 'process-started') pid = event.pid;
    if (event.kind === 'line' && event.index === 0) {
      for (const moment of [...moments]) {
        const { line, phase = 'main' } = moment.at;
        if (event.phase !== phase || pid === undefined) continue;
        if (!(typeof line === 'string' ? event.text.includes(line) : line.test(event.text))) continue;
        moments.splice(moments.indexOf(moment), 1);
        moment.perform();
      }
    }
    if (event.kind === 'step-finished') pid = undefined;
    run.onEvent?.(event);
  };

  try {
    const home = join(own, 'home');
    await mkdir(home);
    const settings: RunnerSettings = {
      node: nodePath,
      env: run.workerEnv ?? { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8' },
      workspace: join(own, 'work', 'boats', 'boats'),
      temp: join(own, 'work', '_temp'),
      toolCache: join(own, 'tools'),
      name: 'runner-1',
      ...run.settings,
    };
    const job = await runJob(
      {
        id: 'deploy',
        name: 'deploy',
        env: () => run.jobEnv ?? {},
        steps: [
          {
            kind: 'action',
            id: 'action',
            name: 'action',
            directory: resolve(run.directory),
            ref: 'octo/boats/action@v1',
            env: () => run.env ?? {},
            with: () => run.inputs ?? {},
            if: (_contexts, status) => run.if?.(status) ?? status === 'success',
            ...(run.timeoutMs === undefined ? {} : { timeoutMs: () => run.timeoutMs }),
            ...(run.phases ? { phases: run.phases } : {}),
            ...(run.state ? { state: run.state } : {}),
          },
          ...(run.failJobAfterMain
            ? [
                {
                  kind: 'stand-in' as const,
                  name: 'a later step',
                  what: 'a later step that fails',
                  env: () => ({}),
                  with: () => ({}),
                  perform: async () => ({ conclusion: 'failure' as const }),
                },
              ]
            : []),
        ],
        github: { ...pushContext, ...run.github },
        secrets: run.secrets ?? {},
        vars: {},
        ...(run.idToken ? { idToken: run.idToken } : {}),
      },
      settings,
      {
        cancel: cancel.signal,
        shutdown: shutdown.signal,
        lost: lost.signal,
        onEvent: watch,
        ...(run.random ? { random: run.random } : {}),
      },
    );
    const refused = job.steps.find((step) => step.index === -1 && step.outcome === 'failure');
    if (refused) throw new Error(`the job could not be set up: ${refused.annotations[0]?.message}`);
    const result: ActionResult = {
      conclusion: job.conclusion,
      log: job.log,
      survivors: job.survivors,
      job,
    };
    for (const step of job.steps) {
      if (step.index === 0 && step.outcome !== 'skipped') result[step.phase] = toPhaseRun(step);
    }
    return result;
  } finally {
    run.cancel?.removeEventListener('abort', cancelWithCaller);
    await rm(own, { recursive: true, force: true });
  }
}

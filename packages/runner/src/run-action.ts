import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Leak, leaksBelow, leaksIn } from './canary.ts';
import { runJob } from './job.ts';
import type { Annotation, JobEvent, JobResult, StepResult, Survivor } from './job-result.ts';
import type { Conclusion, JobStatus, Phase, RunnerSettings } from './job-spec.ts';
import { nodePath } from './node-path.ts';
import { trackedProcesses } from './survivors.ts';

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
  /**
   * Secrets that must not be seen anywhere but in the environment of the action's own process: log, summary,
   * outputs, state, files in the workspace, HOME and RUNNER_TEMP, arguments and environment of its children.
   */
  canaries?: readonly string[];
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
  /** What the runner lets pass and an action should not do: an error shown by a phase that exits 0. */
  doubts: string[];
}

export interface ActionResult {
  pre?: PhaseRun;
  main?: PhaseRun;
  post?: PhaseRun;
  /** Of the whole job. */
  conclusion: JobStatus;
  log: string[];
  survivors: Survivor[];
  /** Where canaries were found; children that live for less than 20 ms may be missed. */
  leaks: Leak[];
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
    doubts:
      result.conclusion === 'success'
        ? result.annotations
            .filter(({ level }) => level === 'error')
            .map(({ message }) => `shows the error "${message}" and exits 0`)
        : [],
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
  const home = join(own, 'home');
  const settings: RunnerSettings = {
    node: nodePath,
    env: run.workerEnv ?? { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8' },
    workspace: join(own, 'work', 'boats', 'boats'),
    temp: join(own, 'work', '_temp'),
    toolCache: join(own, 'tools'),
    name: 'runner-1',
    ...run.settings,
  };

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
  const canaries = run.canaries ?? [];
  const leaks = new Map<string, Leak>();
  const note = (found: Leak[]) => {
    for (const leak of found) leaks.set(JSON.stringify(leak), leak);
  };
  let watching: NodeJS.Timeout | undefined;
  const watchChildren = (trackingId: string) => {
    const tracked = trackedProcesses(trackingId);
    const own = tracked.find((process) => process.pid === pid)?.command;
    for (const child of tracked) {
      note(leaksIn('arguments of a process', child.command, canaries));
      // Between fork and exec a child still shows its parent's command and environment.
      if (child.pid === pid || child.command === own) continue;
      note(leaksIn(`environment of ${child.command.split(' ')[0]}`, child.environment, canaries));
    }
  };
  const watch = (event: JobEvent) => {
    if (event.kind === 'process-started') {
      pid = event.pid;
      clearInterval(watching);
      if (canaries.length > 0) watching = setInterval(watchChildren, 20, event.trackingId);
    }
    if (event.kind === 'line' && event.index === 0) {
      for (const moment of [...moments]) {
        const { line, phase = 'main' } = moment.at;
        if (event.phase !== phase || pid === undefined) continue;
        if (!(typeof line === 'string' ? event.text.includes(line) : line.test(event.text))) continue;
        moments.splice(moments.indexOf(moment), 1);
        moment.perform();
      }
    }
    if (event.kind === 'step-finished') {
      clearInterval(watching);
      pid = undefined;
      if (canaries.length > 0) {
        for (const place of [settings.workspace, settings.temp, home]) note(leaksBelow(place, canaries));
      }
    }
    run.onEvent?.(event);
  };

  try {
    await mkdir(home);
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
      leaks: [],
      job,
    };
    for (const step of job.steps) {
      if (step.index === 0 && step.outcome !== 'skipped') result[step.phase] = toPhaseRun(step);
    }
    for (const step of job.steps) {
      const place = (what: string) => `${what} of ${step.name}`;
      note(leaksIn(place('log'), step.log.join('\n'), canaries));
      note(leaksIn(place('summary'), step.summary, canaries));
      note(leaksIn(place('outputs'), Object.values(step.outputs).join('\n'), canaries));
      note(leaksIn(place('state'), Object.values(step.state).join('\n'), canaries));
      note(leaksIn(place('annotations'), JSON.stringify(step.annotations), canaries));
    }
    result.leaks = [...leaks.values()];
    return result;
  } finally {
    clearInterval(watching);
    run.cancel?.removeEventListener('abort', cancelWithCaller);
    await rm(own, { recursive: true, force: true });
  }
}

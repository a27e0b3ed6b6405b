import type { Conclusion, JobStatus, Phase } from './job-spec.ts';

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

export interface StepPlace {
  stepId: string;
  name: string;
  phase: Phase;
  /** Place of the step in JobSpec.steps; -1 for the runner's own set-up and completion. */
  index: number;
}

export type JobEvent =
  | (StepPlace & { kind: 'step-started' })
  /** The step's own process is running; it and what it starts carry the RUNNER_TRACKING_ID. */
  | (StepPlace & { kind: 'process-started'; pid: number; trackingId: string })
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

import type { Annotation, JobEvent, JobResult, Survivor } from './job-result.ts';
import type { Conclusion, Phase } from './job-spec.ts';

/** One step as it stands: what the live view and the API show while the job runs. */
export interface StepReport {
  /** The step's `id:`, or the `__…` name the runner gives it. */
  id: string;
  name: string;
  phase: Phase;
  /** Place of the step in the job's file; -1 for the runner's own set-up and completion. */
  index: number;
  status: 'in_progress' | 'completed';
  /** After `continue-on-error`; undefined while the step runs. */
  conclusion?: Conclusion;
  outcome?: Conclusion;
  /** Epoch ms. */
  startedAt: number;
  completedAt?: number;
  ms: number;
  exitCode?: number;
  annotations: Annotation[];
  summary: string;
  outputs: Record<string, string>;
  log: string[];
  /** What stood in for the step. */
  standIn?: string;
}

/** One job, or one leg of a matrix. */
export interface JobReport {
  /** The job's id, with the leg's values behind it: `test (18)`. */
  key: string;
  id: string;
  /** As GitHub shows it. */
  name: string;
  /** Its number in the API of the run. */
  number: number;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion?: Conclusion;
  /** Why it did not run, or what went wrong before its first step. */
  because?: string;
  /** Epoch ms. */
  createdAt: number;
  startedAt?: number;
  completedAt?: number;
  ms: number;
  steps: StepReport[];
  /** Names of the steps as the file has them, for what has not begun yet. */
  plannedSteps: string[];
  outputs: Record<string, string>;
  annotations: Annotation[];
  /** All summaries of the steps, in order. */
  summary: string;
  log: string[];
  survivors: Survivor[];
  /** The machine was lost before the job had ended. */
  lost: boolean;
  labels: string[];
  environment?: { name: string; url?: string };
  matrix?: Record<string, unknown>;
}

/** One thing that did not run here, and what took its place. */
export interface StandInUse {
  job: string;
  /** The step's name, or `service mysql`, or `container`. */
  of: string;
  /** What stood in, and where that is declared. */
  by: string;
}

export interface WorkflowResult {
  file: string;
  name: string;
  event: string;
  runId: string;
  conclusion: 'success' | 'failure' | 'cancelled' | 'skipped';
  /** By key; a job without a matrix has its id as key. */
  jobs: Record<string, JobReport>;
  standIns: StandInUse[];
  /** What the reader should know: concurrency groups, environments, filters that were not judged. */
  notes: string[];
  ms: number;
}

/** Takes an event of the job into its report. `at` is epoch ms. */
export function recordEvent(job: JobReport, event: JobEvent, at: number): void {
  if (event.kind === 'survivor') {
    job.survivors.push(event.survivor);
    return;
  }
  if (event.kind === 'job-finished') return;
  if (event.kind === 'step-started') {
    const { stepId: id, name, phase, index } = event;
    const empty = { annotations: [], summary: '', outputs: {}, log: [] };
    job.steps.push({ id, name, phase, index, status: 'in_progress', startedAt: at, ms: 0, ...empty });
    return;
  }
  let step = job.steps.findLast(
    (candidate) => candidate.index === event.index && candidate.phase === event.phase,
  );
  if (event.kind === 'step-finished') {
    if (!step || step.status === 'completed') {
      // A step that is skipped finishes without having started.
      const { stepId: id, name, phase, index } = event;
      const empty = { annotations: [], summary: '', outputs: {}, log: [] };
      step = { id, name, phase, index, status: 'completed', startedAt: at, ms: 0, ...empty };
      job.steps.push(step);
    }
    const { conclusion, outcome, ms, exitCode, standIn } = event;
    Object.assign(step, { status: 'completed', completedAt: at, conclusion, outcome, ms, exitCode, standIn });
    return;
  }
  if (!step) return;
  if (event.kind === 'line') step.log.push(event.text);
  else if (event.kind === 'annotation') step.annotations.push(event.annotation);
  else if (event.kind === 'summary') step.summary += event.text;
}

/** Takes the final word of the job into its report. */
export function recordResult(job: JobReport, result: JobResult, at: number): void {
  for (const final of result.steps) {
    const step = job.steps.find(
      (candidate) => candidate.index === final.index && candidate.phase === final.phase,
    );
    const { annotations, summary, outputs, log, ms, exitCode, standIn, conclusion, outcome } = final;
    const known = { annotations, summary, outputs, log, ms, exitCode, standIn, conclusion, outcome };
    if (step) Object.assign(step, known, { status: 'completed', completedAt: step.completedAt ?? at });
    else {
      const { id, name, phase, index } = final;
      job.steps.push({
        id,
        name,
        phase,
        index,
        status: 'completed',
        startedAt: at,
        completedAt: at,
        ...known,
      });
    }
  }
  job.status = 'completed';
  job.conclusion = result.conclusion;
  job.completedAt = at;
  job.ms = result.ms;
  job.outputs = result.outputs;
  job.annotations = result.annotations;
  job.summary = result.steps
    .map((step) => step.summary)
    .filter((summary) => summary !== '')
    .join('\n');
  job.log = result.log;
  job.survivors = result.survivors;
  job.lost = result.lost;
}

const marks: Record<Conclusion, string> = { success: '✓', failure: '✗', cancelled: '⊘', skipped: '–' };

/** The whole run in plain lines: jobs and steps with marks and durations, errors, and what stood in for what. */
export function renderReport(result: WorkflowResult): string[] {
  const lines = [
    `${mark(result.conclusion)} ${result.name} (${result.file}, ${result.event}) ${time(result.ms)}`,
  ];
  for (const job of Object.values(result.jobs)) lines.push(...renderJob(job).map((line) => `  ${line}`));
  if (result.standIns.length > 0) {
    lines.push('', 'Stood in for what cannot run on this computer:');
    for (const { job, of, by } of result.standIns) lines.push(`  ${job} › ${of}: ${by}`);
  }
  if (result.notes.length > 0) {
    lines.push('', 'To know:', ...result.notes.map((note) => `  ${note}`));
  }
  return lines;
}

function renderJob(job: JobReport): string[] {
  const why = job.because ? ` (${job.because})` : '';
  const lines = [`${mark(job.conclusion)} ${job.name} ${job.startedAt ? time(job.ms) : ''}`.trimEnd() + why];
  for (const step of job.steps) {
    // The runner's own set-up and completion speak only when they fail.
    if (step.index < 0 && step.conclusion !== 'failure') continue;
    const standIn = step.standIn ? ` [stand-in]` : '';
    const forgiven = step.outcome === 'failure' && step.conclusion === 'success' ? ' (failed, and may)' : '';
    const duration = step.conclusion === 'skipped' ? '' : ` ${time(step.ms)}`;
    lines.push(`  ${mark(step.conclusion)} ${step.name}${duration}${standIn}${forgiven}`);
    for (const annotation of step.annotations) {
      if (annotation.level === 'notice') continue;
      const title = annotation.title ? `${annotation.title}: ` : '';
      const [first = '', ...more] = annotation.message.split('\n');
      lines.push(`      ${annotation.level}: ${title}${first}`, ...more.map((line) => `        ${line}`));
    }
  }
  for (const { pid, command, step } of job.survivors) {
    lines.push(`  ! process ${pid} (${command}) outlived ${step || 'its step'}`);
  }
  if (job.lost) lines.push('  ! the machine was lost before the job had ended');
  return lines;
}

function mark(conclusion: Conclusion | undefined): string {
  return conclusion ? marks[conclusion] : '…';
}

/** `350 ms`, `4.2 s`, `2 min 5 s`. */
function time(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

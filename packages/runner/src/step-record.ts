import type { Annotation, JobEvent, StepPlace, StepResult } from './job-result.ts';
import type { ActionStep } from './job-spec.ts';
import type { SecretMasker } from './mask.ts';

/** Errors, warnings and notices of one step that are kept as annotations, each. */
const annotationLimit = 10;
const annotationLength = 4096;

/** The part of a step that keeps its log, annotations and results. */
export class StepRecord {
  readonly result: StepResult;
  readonly #counts = { error: 0, warning: 0, notice: 0 };
  readonly #masker: SecretMasker;
  readonly #emit: (event: JobEvent) => void;
  readonly #jobLog: string[];
  readonly #debug: boolean;
  commandFailed = false;

  constructor(
    place: StepPlace,
    port: { masker: SecretMasker; emit: (event: JobEvent) => void; jobLog: string[]; debug: boolean },
  ) {
    this.#masker = port.masker;
    this.#emit = port.emit;
    this.#jobLog = port.jobLog;
    this.#debug = port.debug;
    this.result = {
      id: place.stepId,
      name: place.name,
      phase: place.phase,
      index: place.index,
      conclusion: 'success',
      outcome: 'success',
      annotations: [],
      summary: '',
      outputs: {},
      state: {},
      log: [],
      ms: 0,
    };
  }

  get place(): StepPlace {
    const { id: stepId, name, phase, index } = this.result;
    return { stepId, name, phase, index };
  }

  /** Prints to the log, masked; a text of several lines becomes several. */
  output(text: string): void {
    for (const line of this.#masker.mask(text).split('\n')) {
      const shown = line.endsWith('\r') ? line.slice(0, -1) : line;
      this.result.log.push(shown);
      this.#jobLog.push(shown);
      this.#emit({ ...this.place, kind: 'line', text: shown });
    }
  }

  debug(text: string): void {
    if (this.#debug) this.output(text.replace(/^/gm, '##[debug]'));
  }

  /** Shows an error, warning or notice, and keeps it unless the step has ten of its kind. */
  annotate(annotation: Annotation): void {
    const masked: Annotation = {
      ...annotation,
      message: this.#masker.mask(annotation.message).slice(0, annotationLength),
    };
    if (annotation.title !== undefined) masked.title = this.#masker.mask(annotation.title);
    if (annotation.file !== undefined) masked.file = this.#masker.mask(annotation.file);
    this.output(`##[${masked.level}]${masked.message}`);
    if (this.#counts[masked.level]++ >= annotationLimit) return;
    this.result.annotations.push(masked);
    this.#emit({ ...this.place, kind: 'annotation', annotation: masked });
  }

  error(message: string): void {
    this.annotate({ level: 'error', message });
  }

  warning(message: string): void {
    this.annotate({ level: 'warning', message });
  }
}

/** The step's `env:`, as the runner shows it. */
export function printVariables(record: StepRecord, env: Record<string, string>): void {
  const variables = Object.entries(env);
  if (variables.length === 0) return;
  record.output('env:');
  for (const [name, value] of variables) record.output(`  ${name}: ${value}`);
}

/** What the runner shows of an action before it runs. */
export function printAction(
  record: StepRecord,
  step: ActionStep,
  inputs: Record<string, string>,
  env: Record<string, string>,
): void {
  record.output(`##[group]Run ${step.ref}`);
  const shown = Object.entries(inputs).filter(([, value]) => value !== '');
  if (shown.length > 0) {
    record.output('with:');
    for (const [name, value] of shown) record.output(`  ${name}: ${value}`);
  }
  printVariables(record, env);
  record.output('##[endgroup]');
}

import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Node } from 'yaml';
import { checkTemplate, ExpressionError, evaluateTemplate } from './expressions.ts';
import type { StandInArguments, StandInResult } from './job-spec.ts';
import { located, type Place, Source, shownName, type Text, WorkflowError } from './source.ts';
import type { TextMap, Workflow, WorkflowJob, WorkflowStep } from './workflow.ts';

/** A replacement that the caller brings along for an action, known by its `uses:` without the version. */
export interface ActionStandIn {
  /** What stands in, for the report: "this working copy, copied". */
  what: string;
  perform: (args: StandInArguments) => Promise<StandInResult>;
}

/** A replacement for one step, declared in a stand-ins file. */
export interface DeclaredStep extends Place {
  /** The key that names the step: its id, its name or its `uses:`. */
  key: string;
  because: string;
  outcome: 'success' | 'failure';
  outputs: TextMap;
  env: TextMap;
  log: Text[];
  files: TextMap;
  summary?: Text;
}

/** A service or a job's container that is declared not to be needed here, and why. */
export interface DeclaredContainer extends Place {
  because: string;
}

export interface DeclaredJob {
  container?: DeclaredContainer;
  services: Record<string, DeclaredContainer>;
  steps: DeclaredStep[];
}

/** What a stand-ins file declares for one workflow. */
export interface StandIns {
  /** Where it is declared, or would be. */
  file: string;
  jobs: Record<string, DeclaredJob>;
}

const stepContexts = [
  'github',
  'inputs',
  'vars',
  'needs',
  'strategy',
  'matrix',
  'secrets',
  'steps',
  'job',
  'runner',
  'env',
] as const;

/** The name a step is shown by when the file gives it none. */
export function shownStepName(step: WorkflowStep): string {
  if (step.name) return step.name.text;
  if (step.kind === 'uses') return `Run ${step.uses.text}`;
  return `Run ${step.run.text.trim().split('\n', 1)[0]}`;
}

/**
 * Reads the stand-ins for a workflow: from the file told, else from `stand-ins.yml` next to the workflow; none
 * there means nothing is declared. Throws WorkflowError for whatever it names that is not in the workflow.
 */
export async function loadStandIns(workflow: Workflow, path?: string): Promise<StandIns> {
  const file = path ?? join(dirname(workflow.path ?? resolve(workflow.file)), 'stand-ins.yml');
  const name = shownName(resolve(file), process.cwd());
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && path === undefined) return { file: name, jobs: {} };
    const reason = code === 'ENOENT' ? 'there is no such file' : `the file cannot be read (${code})`;
    throw new WorkflowError(name, { line: 1, column: 1 }, reason, 'name a file of stand-ins', error);
  }
  return parseStandIns({ name, content }, workflow, (other) => exists(join(dirname(file), other)));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The same from text. `isWorkflow` tells whether a workflow of that file name is there at all. */
export async function parseStandIns(
  from: { name: string; content: string },
  workflow: Workflow,
  isWorkflow: (file: string) => Promise<boolean>,
): Promise<StandIns> {
  const source = new Source(from.name, from.content);
  const standIns: StandIns = { file: from.name, jobs: {} };
  for (const { key, value } of source.entries(source.root, 'the stand-ins')) {
    if (key.text === basename(workflow.file)) standIns.jobs = new Reader(source, workflow).jobs(value);
    else if (!(await isWorkflow(key.text))) {
      source.fail(
        key,
        `there is no workflow file "${key.text}" here`,
        'name a file that lies next to this one',
      );
    }
  }
  return standIns;
}

/** What is declared for a step, if anything. */
export function declaredFor(
  standIns: StandIns | undefined,
  job: string,
  step: WorkflowStep,
): DeclaredStep | undefined {
  return standIns?.jobs[job]?.steps.find((declared) => names(declared.key, step));
}

/** Acts out a declared stand-in: writes its files, prints its lines, answers its outcome and outputs. */
export function performDeclared(
  declared: DeclaredStep,
  file: string,
): (args: Pick<StandInArguments, 'contexts' | 'workspace' | 'log'>) => Promise<StandInResult> {
  return async ({ contexts, workspace, log }) => {
    const value = (text: Text) => located(file, text, () => evaluateTemplate(text.text, contexts));
    const values = (map: TextMap) =>
      Object.fromEntries(Object.entries(map).map(([name, text]) => [name, value(text)]));
    for (const [path, content] of Object.entries(declared.files)) {
      const target = join(workspace, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, value(content));
    }
    for (const line of declared.log) log(value(line));
    return {
      conclusion: declared.outcome,
      outputs: values(declared.outputs),
      env: values(declared.env),
      summary: declared.summary && value(declared.summary),
    };
  };
}

function names(key: string, step: WorkflowStep): boolean {
  if (step.id === key || shownStepName(step) === key) return true;
  return step.kind === 'uses' && (step.uses.text === key || step.uses.name === key);
}

class Reader {
  readonly #source: Source;
  readonly #workflow: Workflow;
  constructor(source: Source, workflow: Workflow) {
    this.#source = source;
    this.#workflow = workflow;
  }

  jobs(node: Node | null): Record<string, DeclaredJob> {
    const { file, jobs } = this.#workflow;
    const declared = this.#source.entries(node, 'the workflow').map(({ key, value }) => {
      const job = jobs.find((candidate) => candidate.id === key.text);
      const mend = `name one of: ${jobs.map(({ id }) => id).join(', ')}`;
      if (!job) return this.#source.fail(key, `${file} has no job "${key.text}"`, mend);
      return [job.id, this.#job(job, value)] as const;
    });
    return Object.fromEntries(declared);
  }

  #job(job: WorkflowJob, node: Node | null): DeclaredJob {
    const source = this.#source;
    const declared: DeclaredJob = { services: {}, steps: [] };
    for (const { key, value } of source.entries(node, `the job ${job.id}`)) {
      if (key.text === 'container') {
        if (!job.container) source.fail(key, `the job "${job.id}" has no container`, 'take the stand-in out');
        declared.container = this.#container(key, value);
      } else if (key.text === 'services') {
        for (const { key: name, value: settings } of source.entries(value, 'services')) {
          const ids = job.services.map((service) => service.id);
          const mend = ids.length > 0 ? `name one of: ${ids.join(', ')}` : 'take the stand-in out';
          const reason = `the job "${job.id}" has no service "${name.text}"`;
          if (!ids.includes(name.text)) source.fail(name, reason, mend);
          declared.services[name.text] = this.#container(name, settings);
        }
      } else if (key.text === 'steps') {
        declared.steps = this.#steps(job, value);
      } else {
        source.fail(key, `"${key.text}" is not known here`, 'a job takes: container, services, steps');
      }
    }
    return declared;
  }

  #container(key: Text, node: Node | null): DeclaredContainer {
    const because = this.#source.text(node, `the stand-in for ${key.text}`).text.trim();
    const mend = 'write why, e.g. "the tests are stood in for as well"';
    if (!because) this.#source.fail(key, `the stand-in for "${key.text}" says nothing`, mend);
    return { because, line: key.line, column: key.column };
  }

  #steps(job: WorkflowJob, node: Node | null): DeclaredStep[] {
    const source = this.#source;
    const taken = new Map<WorkflowStep, string>();
    return source.entries(node, 'steps').map(({ key, value }) => {
      const matching = job.steps.filter((step) => names(key.text, step));
      if (matching.length === 0) {
        const known = job.steps.map((step) => `"${step.id ?? shownStepName(step)}"`).join(', ');
        source.fail(key, `the job "${job.id}" has no step "${key.text}"`, `name one of: ${known}`);
      }
      for (const step of matching) {
        const other = taken.get(step);
        const reason = `"${key.text}" names the step that "${other}" names already`;
        if (other !== undefined) source.fail(key, reason, 'keep one of the two');
        taken.set(step, key.text);
      }
      return this.#step(key, value);
    });
  }

  #step(name: Text, node: Node | null): DeclaredStep {
    const source = this.#source;
    const step: DeclaredStep = {
      key: name.text,
      line: name.line,
      column: name.column,
      because: '',
      outcome: 'success',
      outputs: {},
      env: {},
      log: [],
      files: {},
    };
    for (const { key, value } of source.entries(node, `the stand-in for ${name.text}`)) {
      if (key.text === 'because') step.because = source.text(value, 'because').text;
      else if (key.text === 'outcome') step.outcome = this.#outcome(value);
      else if (key.text === 'outputs') step.outputs = source.textMap(value, 'outputs');
      else if (key.text === 'env') step.env = source.textMap(value, 'env');
      else if (key.text === 'log') step.log = this.#lines(value);
      else if (key.text === 'files') step.files = this.#files(value);
      else if (key.text === 'summary') step.summary = source.text(value, 'summary');
      else {
        const mend = 'a step takes: because, outcome, outputs, env, log, files, summary';
        source.fail(key, `"${key.text}" is not known here`, mend);
      }
    }
    const texts = [...Object.values(step.outputs), ...Object.values(step.env), ...Object.values(step.files)];
    for (const text of [...texts, ...step.log, ...(step.summary ? [step.summary] : [])]) this.#check(text);
    return step;
  }

  #lines(node: Node | null): Text[] {
    const texts = this.#source.texts(node, 'log');
    return texts.flatMap((text) =>
      text.text
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => ({ ...text, text: line })),
    );
  }

  #outcome(node: Node | null): DeclaredStep['outcome'] {
    const outcome = this.#source.text(node, 'outcome');
    if (outcome.text === 'success' || outcome.text === 'failure') return outcome.text;
    return this.#source.fail(
      outcome,
      `the outcome "${outcome.text}" is not known`,
      'write success or failure',
    );
  }

  #files(node: Node | null): TextMap {
    for (const { key } of this.#source.entries(node, 'files')) {
      const path = relative('/workspace', resolve('/workspace', key.text));
      const mend = 'write a path below the workspace, e.g. "reports/tests.xml"';
      if (key.text === '' || path === '' || path.startsWith('..') || key.text.startsWith('/')) {
        this.#source.fail(key, `the file "${key.text}" is not in the workspace`, mend);
      }
    }
    return this.#source.textMap(node, 'files');
  }

  #check(text: Text): void {
    try {
      checkTemplate(text.text, stepContexts);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.#source.fail(text, error.message, 'correct the expression', error);
    }
  }
}

import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { NoOperationTraceWriter, parseWorkflow } from '@actions/workflow-parser';
import { convertWorkflowTemplate, ErrorPolicy } from '@actions/workflow-parser/model/convert';
import type { Node } from 'yaml';
import { ExpressionError, namesUsed } from './expressions.ts';
import { type Place, Source, shownName, type Text, WorkflowError } from './source.ts';

export type TextMap = Record<string, Text>;

/** A workflow file as values. Texts still hold their `${{ }}`; whoever runs the workflow evaluates them. */
export interface Workflow {
  /** As messages show it. */
  file: string;
  /** Absolute path; undefined for a workflow that was given as text. */
  path?: string;
  name: string;
  runName?: Text;
  triggers: Trigger[];
  inputs: DispatchInput[];
  env: TextMap;
  defaults: RunDefaults;
  permissions?: Permissions;
  concurrency?: Concurrency;
  /** In the order of the file. */
  jobs: WorkflowJob[];
  /** Every `secrets.NAME` in the file, in its order. */
  secretsUsed: SecretUse[];
  /** The name of every `vars.NAME` in its values, in upper case, once and in the order of the file. */
  variablesUsed: string[];
}

export interface Trigger extends Place {
  event: string;
  /** Its filters as they stand: branches, tags, paths, types, cron. */
  filters: Record<string, unknown>;
}

export interface DispatchInput extends Place {
  name: string;
  type: 'string' | 'boolean' | 'number' | 'choice' | 'environment';
  required: boolean;
  default?: string;
  options: string[];
}

export interface SecretUse extends Place {
  name: string;
  /** The job that uses it; undefined for the env of the whole workflow. */
  job?: string;
}

export interface RunDefaults {
  shell?: Text;
  workingDirectory?: Text;
}

export type Access = 'read' | 'write' | 'none';
/** What the job's token may do. `all` is `read-all` or `write-all`; a scope not named has no access. */
export interface Permissions {
  all?: 'read' | 'write';
  scopes: Record<string, Access>;
}

export interface Concurrency extends Place {
  group: Text;
  cancelInProgress?: Text;
}

export interface Strategy extends Place {
  /** The matrix as it stands in the file: a map, or a text that is one expression. */
  matrix?: unknown;
  failFast?: Text;
  maxParallel?: Text;
}

export interface Service extends Place {
  id: string;
  image: string;
  ports: string[];
}

export interface WorkflowJob extends Place {
  id: string;
  name?: Text;
  needs: Text[];
  if?: Text;
  runsOn: Text[];
  permissions?: Permissions;
  environment?: { name: Text; url?: Text };
  concurrency?: Concurrency;
  outputs: TextMap;
  env: TextMap;
  defaults: RunDefaults;
  timeoutMinutes?: Text;
  continueOnError?: Text;
  strategy?: Strategy;
  container?: Service;
  services: Service[];
  steps: WorkflowStep[];
}

interface StepBase extends Place {
  id?: string;
  name?: Text;
  if?: Text;
  env: TextMap;
  timeoutMinutes?: Text;
  continueOnError?: Text;
}
export interface UsesStep extends StepBase {
  kind: 'uses';
  uses: Uses;
  with: TextMap;
}
export interface ScriptStep extends StepBase {
  kind: 'run';
  run: Text;
  shell?: Text;
  workingDirectory?: Text;
}
export type WorkflowStep = UsesStep | ScriptStep;

/** What `uses:` names. `name` is the action without its version: `actions/checkout`, `./actions/x`. */
export interface Uses extends Text {
  kind: 'local' | 'repository' | 'docker';
  name: string;
  version?: string;
}

/** Reads `uses:`; undefined when it has none of the forms GitHub knows. */
export function parseUses(text: string): Pick<Uses, 'kind' | 'name' | 'version'> | undefined {
  const docker = /^docker:\/\/([^\s@]+?)(?:[:@]([^\s/]+))?$/.exec(text);
  if (docker?.[1]) return { kind: 'docker', name: `docker://${docker[1]}`, version: docker[2] };
  if (/^(\.|\$)\/\S+$/.test(text)) return { kind: 'local', name: text.replace(/\/$/, '') };
  const action = /^([\w.-]+\/[\w.-]+(?:\/[\w./-]+)?)@(\S+)$/.exec(text);
  return action?.[1] ? { kind: 'repository', name: action[1], version: action[2] } : undefined;
}

/** Whether a job may do something with its token; without `permissions:` GitHub gives no `id-token`. */
export function permits(
  permissions: Permissions | undefined,
  scope: string,
  access: 'read' | 'write',
): boolean {
  if (!permissions) return scope !== 'id-token' && access === 'read';
  const given = permissions.scopes[scope] ?? permissions.all ?? 'none';
  return given === 'write' || given === access;
}

/**
 * Reads a workflow file. Throws WorkflowError, naming file, line, column and the mend, for a file that is not
 * there, is not YAML or not a workflow, and for everything in it that this runner does not support.
 */
export async function loadWorkflow(from: string | { name: string; content: string }): Promise<Workflow> {
  const given = typeof from === 'string' ? await readWorkflowFile(from) : from;
  const source = new Source(given.name, given.content);
  const complaints = await schemaComplaints(given.name, given.content);
  const first = complaints.find((complaint) => !complaint.aboutNeeds);
  if (first) source.fail(first.place, first.reason, first.mend);
  const workflow = new Reader(source).workflow(given.name);
  const needs = complaints[0];
  if (needs) source.fail(needs.place, needs.reason, needs.mend);
  if (typeof from === 'string') workflow.path = resolve(from);
  return workflow;
}

async function readWorkflowFile(path: string): Promise<{ name: string; content: string }> {
  const name = shownName(resolve(path), process.cwd());
  try {
    return { name, content: await readFile(path, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const start = { line: 1, column: 1 };
    const mend = 'name a workflow file, e.g. workflows-examples/rolling-alb.yml';
    if (code === 'ENOENT') throw new WorkflowError(name, start, 'there is no such file', mend, error);
    if (code === 'EISDIR')
      throw new WorkflowError(name, start, 'this is a directory, not a file', mend, error);
    const reason = `the file cannot be read (${code ?? String(error)})`;
    throw new WorkflowError(name, start, reason, 'make it readable', error);
  }
}

interface Complaint {
  place: Place;
  reason: string;
  mend: string;
  /** Found in the graph of jobs, where our own words are clearer. */
  aboutNeeds: boolean;
}

/** What GitHub's own parser has to say about the file. */
async function schemaComplaints(name: string, content: string): Promise<Complaint[]> {
  const { context, value } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  if (value) {
    const errorPolicy = ErrorPolicy.TryConversion;
    await convertWorkflowTemplate(context, value, undefined, { errorPolicy });
  }
  return context.errors
    .getErrors()
    .map((error) => ({
      place: error.range?.start ?? { line: 1, column: 1 },
      reason: error.rawMessage,
      mend: mendFor(error.rawMessage),
      aboutNeeds: /no dependencies|depends on|depend on/i.test(error.rawMessage),
    }))
    .sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
}

function mendFor(message: string): string {
  const table: Array<[RegExp, string]> = [
    [/^Expected a scalar value, a sequence, or a mapping/, 'write a workflow into the file: it is empty'],
    [/^Unexpected value/, 'take it out, or correct its spelling'],
    [/^Required property is missing/, 'add it'],
    [/Unrecognized named-value/, 'use a context that exists and is available at this place'],
    [/Unrecognized function/, 'use a function that exists and is available at this place'],
    [/not closed|Unexpected end/, 'close the expression'],
    [/already defined|more than once/, 'give each one a name of its own'],
    [/not enough info|one of uses or run/, 'give the step a "uses" or a "run"'],
  ];
  return table.find(([pattern]) => pattern.test(message))?.[1] ?? 'correct it as the workflow syntax asks';
}

/** Turns the YAML of a workflow, already known to fit GitHub's schema, into values. */
class Reader {
  readonly #source: Source;
  constructor(source: Source) {
    this.#source = source;
  }

  workflow(file: string): Workflow {
    const source = this.#source;
    const workflow: Workflow = {
      file,
      name: basename(file),
      triggers: [],
      inputs: [],
      env: {},
      defaults: {},
      jobs: [],
      secretsUsed: [],
      variablesUsed: variablesIn(source.scalars(source.root)),
    };
    for (const { key, value } of source.entries(source.root, 'the workflow')) {
      if (key.text === 'name') workflow.name = source.text(value, 'name').text || workflow.name;
      else if (key.text === 'run-name') workflow.runName = source.text(value, 'run-name');
      else if (key.text === 'description') continue;
      else if (key.text === 'on') Object.assign(workflow, this.#triggers(key, value));
      else if (key.text === 'env') workflow.env = this.#map(value, 'env');
      else if (key.text === 'defaults') workflow.defaults = this.#defaults(value);
      else if (key.text === 'permissions') workflow.permissions = this.#permissions(value);
      else if (key.text === 'concurrency') workflow.concurrency = this.#concurrency(value);
      else if (key.text === 'jobs') workflow.jobs = this.#jobs(value);
      else this.#unsupported(key, 'in a workflow');
      const uses = key.text === 'env' || key.text === 'jobs' ? this.#secretsUsed(key.text, value) : [];
      workflow.secretsUsed.push(...uses);
    }
    return workflow;
  }

  #unsupported(at: Text, where: string): never {
    return this.#source.fail(at, `"${at.text}" ${where} is not supported by this runner`, 'leave it out');
  }

  #triggers(key: Text, node: Node | null): Pick<Workflow, 'triggers' | 'inputs'> {
    const source = this.#source;
    const triggers: Trigger[] = [];
    let inputs: DispatchInput[] = [];
    if (source.isMap(node)) {
      for (const { key: event, value } of source.entries(node, 'on')) {
        const plain = source.plain(value) ?? {};
        const filters = (Array.isArray(plain) ? { schedules: plain } : plain) as Record<string, unknown>;
        triggers.push({ event: event.text, line: event.line, column: event.column, filters });
        if (event.text === 'workflow_dispatch') inputs = this.#inputs(value);
      }
    } else {
      for (const event of source.texts(node, 'on')) {
        triggers.push({ event: event.text, line: event.line, column: event.column, filters: {} });
      }
    }
    const call = triggers.find((trigger) => trigger.event === 'workflow_call');
    if (call) {
      const mend = 'run the workflow that calls it with its jobs written out, or take the trigger out';
      source.fail(call, 'the trigger "workflow_call" is not supported by this runner', mend);
    }
    if (triggers.length === 0) source.fail(key, '"on" names no event', 'say what starts it, e.g. "on: push"');
    return { triggers, inputs };
  }

  #inputs(node: Node | null): DispatchInput[] {
    const source = this.#source;
    const inputs: DispatchInput[] = [];
    for (const { key, value } of source.entries(node, 'workflow_dispatch')) {
      if (key.text !== 'inputs') this.#unsupported(key, 'in workflow_dispatch');
      for (const { key: name, value: settings } of source.entries(value, 'inputs')) {
        inputs.push(this.#input(name, settings));
      }
    }
    return inputs;
  }

  #input(name: Text, node: Node | null): DispatchInput {
    const source = this.#source;
    const input: DispatchInput = {
      name: name.text,
      line: name.line,
      column: name.column,
      type: 'string',
      required: false,
      options: [],
    };
    for (const { key, value } of source.entries(node, `the input ${name.text}`)) {
      if (key.text === 'type') input.type = source.text(value, 'type').text as DispatchInput['type'];
      else if (key.text === 'required') input.required = source.text(value, 'required').text === 'true';
      else if (key.text === 'default') input.default = source.text(value, 'default').text;
      else if (key.text === 'options') {
        input.options = source.texts(value, 'options').map((option) => option.text);
      } else if (key.text !== 'description' && key.text !== 'deprecationMessage') {
        this.#unsupported(key, 'in an input');
      }
    }
    if (input.type === 'choice' && input.default !== undefined && !input.options.includes(input.default)) {
      const reason = `the default "${input.default}" of the input ${input.name} is not one of its options`;
      source.fail(input, reason, `choose one of: ${input.options.join(', ')}`);
    }
    return input;
  }

  #map(node: Node | null, what: string): TextMap {
    const source = this.#source;
    if (!source.isNothing(node) && !source.isMap(node)) {
      const reason = `"${what}" as one expression is not supported by this runner`;
      source.fail(node, reason, `write ${what} as "name: value" lines`);
    }
    return source.textMap(node, what);
  }

  #defaults(node: Node | null): RunDefaults {
    const source = this.#source;
    const defaults: RunDefaults = {};
    for (const { key, value } of source.entries(node, 'defaults')) {
      if (key.text !== 'run') this.#unsupported(key, 'in defaults');
      for (const { key: name, value: setting } of source.entries(value, 'defaults.run')) {
        if (name.text === 'shell') defaults.shell = source.text(setting, 'shell');
        else if (name.text === 'working-directory') {
          defaults.workingDirectory = source.text(setting, 'working-directory');
        } else this.#unsupported(name, 'in defaults.run');
      }
    }
    return defaults;
  }

  #permissions(node: Node | null): Permissions {
    const source = this.#source;
    if (source.isNothing(node) || source.isMap(node)) {
      const scopes = source.entries(node, 'permissions').map(({ key, value }) => {
        return [key.text, source.text(value, key.text).text as Access] as const;
      });
      return { scopes: Object.fromEntries(scopes) };
    }
    const all = source.text(node, 'permissions');
    if (all.text === 'read-all') return { all: 'read', scopes: {} };
    if (all.text === 'write-all') return { all: 'write', scopes: {} };
    return source.fail(
      all,
      `permissions "${all.text}" are not known`,
      'write read-all, write-all or a map of scopes',
    );
  }

  #concurrency(node: Node | null): Concurrency {
    const source = this.#source;
    if (!source.isMap(node)) {
      const group = source.text(node, 'concurrency');
      return { group, line: group.line, column: group.column };
    }
    let group: Text | undefined;
    let cancelInProgress: Text | undefined;
    for (const { key, value } of source.entries(node, 'concurrency')) {
      if (key.text === 'group') group = source.text(value, 'group');
      else if (key.text === 'cancel-in-progress') cancelInProgress = source.text(value, key.text);
      // How many runs may wait says nothing about the one run there is here.
      else if (key.text !== 'queue') this.#unsupported(key, 'in concurrency');
    }
    if (!group) return source.fail(node, 'concurrency has no group', 'give it a "group"');
    return { group, cancelInProgress, ...source.place(node) };
  }

  #jobs(node: Node | null): WorkflowJob[] {
    const source = this.#source;
    const jobs = source.entries(node, 'jobs').map(({ key, value }) => this.#job(key, value));
    const ids = new Map(jobs.map((job) => [job.id.toLowerCase(), job]));
    for (const job of jobs) {
      for (const need of job.needs) {
        if (ids.has(need.text.toLowerCase())) continue;
        const mend = `name one of: ${jobs.map(({ id }) => id).join(', ')}`;
        source.fail(need, `job "${job.id}" needs "${need.text}", which does not exist`, mend);
      }
    }
    for (const job of jobs) {
      const circle = circleFrom(job, ids);
      if (circle) {
        const reason = `these jobs wait for each other: ${circle.join(' → ')}`;
        source.fail(job.needs[0] ?? job, reason, 'take one of the "needs" out');
      }
    }
    return jobs;
  }

  #job(id: Text, node: Node | null): WorkflowJob {
    const source = this.#source;
    const job: WorkflowJob = {
      id: id.text,
      line: id.line,
      column: id.column,
      needs: [],
      runsOn: [],
      outputs: {},
      env: {},
      defaults: {},
      services: [],
      steps: [],
    };
    for (const { key, value } of source.entries(node, `the job ${id.text}`)) {
      const text = () => source.text(value, key.text);
      if (key.text === 'name') job.name = text();
      else if (key.text === 'needs') job.needs = source.texts(value, 'needs');
      else if (key.text === 'if') job.if = text();
      else if (key.text === 'runs-on') job.runsOn = this.#runsOn(value);
      else if (key.text === 'permissions') job.permissions = this.#permissions(value);
      else if (key.text === 'environment') job.environment = this.#environment(value);
      else if (key.text === 'concurrency') job.concurrency = this.#concurrency(value);
      else if (key.text === 'outputs') job.outputs = this.#map(value, 'outputs');
      else if (key.text === 'env') job.env = this.#map(value, 'env');
      else if (key.text === 'defaults') job.defaults = this.#defaults(value);
      else if (key.text === 'timeout-minutes') job.timeoutMinutes = text();
      else if (key.text === 'continue-on-error') job.continueOnError = text();
      else if (key.text === 'strategy') job.strategy = this.#strategy(value);
      else if (key.text === 'container') job.container = this.#service({ ...key, text: 'container' }, value);
      else if (key.text === 'services') job.services = this.#services(value);
      else if (key.text === 'steps') {
        job.steps = source.items(value, 'steps').map((step) => this.#step(step));
      } else if (key.text === 'uses') {
        const mend = "write the called workflow's jobs out in this file";
        source.fail(key, `a job that calls a workflow ("uses") is not supported by this runner`, mend);
      } else this.#unsupported(key, 'in a job');
    }
    return job;
  }

  #runsOn(node: Node | null): Text[] {
    const source = this.#source;
    if (!source.isMap(node)) return source.texts(node, 'runs-on');
    const entries = source.entries(node, 'runs-on');
    return entries.flatMap(({ key, value }) => (key.text === 'labels' ? source.texts(value, 'labels') : []));
  }

  #environment(node: Node | null): WorkflowJob['environment'] {
    const source = this.#source;
    if (!source.isMap(node)) return { name: source.text(node, 'environment') };
    let name: Text | undefined;
    let url: Text | undefined;
    for (const { key, value } of source.entries(node, 'environment')) {
      if (key.text === 'name') name = source.text(value, 'name');
      else if (key.text === 'url') url = source.text(value, 'url');
      // Whether GitHub records a deployment makes no difference here.
      else if (key.text !== 'deployment') this.#unsupported(key, 'in environment');
    }
    return name ? { name, url } : source.fail(node, 'the environment has no name', 'give it a "name"');
  }

  #strategy(node: Node | null): Strategy {
    const source = this.#source;
    const strategy: Strategy = { ...source.place(node) };
    for (const { key, value } of source.entries(node, 'strategy')) {
      if (key.text === 'matrix') strategy.matrix = source.plain(value);
      else if (key.text === 'fail-fast') strategy.failFast = source.text(value, key.text);
      else if (key.text === 'max-parallel') strategy.maxParallel = source.text(value, key.text);
      else this.#unsupported(key, 'in strategy');
    }
    return strategy;
  }

  #services(node: Node | null): Service[] {
    const source = this.#source;
    return source.entries(node, 'services').map(({ key, value }) => this.#service(key, value));
  }

  #service(id: Text, node: Node | null): Service {
    const source = this.#source;
    const service: Service = { id: id.text, line: id.line, column: id.column, image: '', ports: [] };
    if (!source.isMap(node)) return { ...service, image: source.text(node, id.text).text };
    for (const { key, value } of source.entries(node, id.text)) {
      // Only what a stand-in can tell of: the rest describes a container that is not started here.
      if (key.text === 'image') service.image = source.text(value, 'image').text;
      if (key.text === 'ports') service.ports = source.texts(value, 'ports').map((port) => port.text);
    }
    return service;
  }

  #step(node: Node): WorkflowStep {
    const source = this.#source;
    const step: StepBase & Partial<Omit<UsesStep, 'kind'>> & Partial<Omit<ScriptStep, 'kind'>> = {
      ...source.place(node),
      env: {},
    };
    let input: TextMap = {};
    for (const { key, value } of source.entries(node, 'a step')) {
      const text = () => source.text(value, key.text);
      if (key.text === 'id') step.id = text().text;
      else if (key.text === 'name') step.name = text();
      else if (key.text === 'if') step.if = text();
      else if (key.text === 'env') step.env = this.#map(value, 'env');
      else if (key.text === 'timeout-minutes') step.timeoutMinutes = text();
      else if (key.text === 'continue-on-error') step.continueOnError = text();
      else if (key.text === 'run') step.run = text();
      else if (key.text === 'shell') step.shell = text();
      else if (key.text === 'working-directory') step.workingDirectory = text();
      else if (key.text === 'with') input = this.#map(value, 'with');
      else if (key.text === 'uses') step.uses = this.#uses(text());
      else this.#unsupported(key, 'in a step');
    }
    const { run, uses, shell, workingDirectory, ...base } = step;
    if (run) return { ...base, kind: 'run', run, shell, workingDirectory };
    if (uses) return { ...base, kind: 'uses', uses, with: input };
    return source.fail(node, 'the step has neither "uses" nor "run"', 'give it one of them');
  }

  #uses(text: Text): Uses {
    const parsed = parseUses(text.text);
    if (parsed) return { ...text, ...parsed };
    const mend = 'write owner/repository@version, owner/repository/path@version, ./path or docker://image';
    return this.#source.fail(text, `uses "${text.text}" has no form that GitHub knows`, mend);
  }

  #secretsUsed(key: string, node: Node | null): SecretUse[] {
    const source = this.#source;
    const inTree = (root: Node | null, job?: string): SecretUse[] =>
      source.scalars(root).flatMap((text) => {
        return secretsIn(text.text).map((name) => {
          const quoted = name.replaceAll(/[^\w]/g, '\\$&');
          const spelled = new RegExp(`${reference('secrets', quoted)}\\b`, 'i');
          return { name, job, ...source.find(text, spelled) };
        });
      });
    if (key === 'env') return inTree(node);
    return source.entries(node, 'jobs').flatMap(({ key: id, value }) => inTree(value, id.text));
  }
}

/** The pattern of `context.name` and `context['name']`, where `name` is a pattern itself. */
const reference = (context: string, name: string) => `\\b${context}\\s*(?:\\.\\s*|\\[\\s*')${name}`;

/** A condition needs no `${{ }}` around it, so they are looked for in all of a text. */
function variablesIn(texts: readonly Text[]): string[] {
  const spelled = new RegExp(reference('vars', '([a-z_]\\w*)'), 'gi');
  const names = texts.flatMap(({ text }) =>
    [...text.matchAll(spelled)].map(([, name]) => name!.toUpperCase()),
  );
  return [...new Set(names)];
}

function secretsIn(text: string): string[] {
  try {
    return namesUsed(text, 'secrets');
  } catch (error) {
    // Text that GitHub does not evaluate at all, such as a description, may hold anything.
    if (error instanceof ExpressionError) return [];
    throw error;
  }
}

function circleFrom(start: WorkflowJob, jobs: Map<string, WorkflowJob>): string[] | undefined {
  const walk = (job: WorkflowJob, trail: string[]): string[] | undefined => {
    for (const need of job.needs) {
      const next = jobs.get(need.text.toLowerCase());
      if (next === start) return [...trail, start.id];
      if (!next || trail.includes(next.id)) continue;
      const found = walk(next, [...trail, next.id]);
      if (found) return found;
    }
    return undefined;
  };
  return walk(start, [start.id]);
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { checkTemplate, ExpressionError } from './expressions.ts';
import type { Phase } from './job-spec.ts';

/** An action.yml that the runner would refuse to load, or that this one cannot run. */
export class ManifestError extends Error {
  override name = 'ManifestError';
  readonly file: string;
  constructor(file: string, message: string) {
    super(`${file}: ${message}`);
    this.file = file;
  }
}

export interface ManifestInput {
  /** As declared. */
  name: string;
  /** A literal or a template with expressions; undefined when there is none. */
  default?: string;
  deprecationMessage?: string;
}

export interface Manifest {
  file: string;
  name: string;
  inputs: ManifestInput[];
  outputs: string[];
  /** As written in lower case; whatever it says, Node 24 runs it. */
  using: string;
  scripts: Partial<Record<Phase, string>>;
  /** Raw conditions; `always()` unless given. */
  conditions: { pre: string; post: string };
}

const runsKeys = new Set(['using', 'main', 'pre', 'pre-if', 'post', 'post-if']);
/** What the runner starts with Node 24 since Node 20 was removed from it (2026-09-16). */
const nodeVersions = new Set(['node12', 'node16', 'node20', 'node24']);
/** The contexts that the default of an input may read. */
export const defaultContexts = ['github', 'strategy', 'matrix', 'job', 'runner'] as const;

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/**
 * Reads the text of an action.yml of a JavaScript action. Its `runs:` is a closed mapping: an unknown key
 * there is an error; elsewhere unknown keys are ignored.
 */
export function parseManifest(text: string, file: string): Manifest {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    throw new ManifestError(file, `is not YAML: ${(error as Error).message.split('\n')[0]}`);
  }
  const top = record(document);
  if (!top) throw new ManifestError(file, 'is not a mapping');
  const runs = record(top.runs);
  if (!runs) throw new ManifestError(file, "Required property is missing: 'runs'");
  if (typeof runs.using !== 'string') {
    throw new ManifestError(file, "Required property is missing: 'runs.using'");
  }
  const using = runs.using.toLowerCase();
  if (using === 'composite' || using === 'docker') {
    throw new ManifestError(
      file,
      `'using: ${runs.using}' is not run here; expected node24, or a declared stand-in for the step`,
    );
  }
  if (!nodeVersions.has(using)) {
    throw new ManifestError(
      file,
      `'using: ${runs.using}' is not supported, use 'docker', 'node12', 'node16', 'node20' or 'node24' instead.`,
    );
  }
  for (const key of Object.keys(runs)) {
    if (!runsKeys.has(key)) {
      throw new ManifestError(
        file,
        `Unexpected value '${key}' in runs; expected ${[...runsKeys].join(', ')}`,
      );
    }
  }
  const scriptOf = (key: Phase): string | undefined => {
    const value = runs[key];
    if (value === undefined) return undefined;
    if (typeof value !== 'string' || value === '') {
      throw new ManifestError(file, `runs.${key} must be the path of a script`);
    }
    return value;
  };
  const main = scriptOf('main');
  if (main === undefined) throw new ManifestError(file, "Required property is missing: 'runs.main'");
  const scripts: Manifest['scripts'] = { main };
  for (const phase of ['pre', 'post'] as const) {
    const script = scriptOf(phase);
    if (script !== undefined) scripts[phase] = script;
  }
  if (top.inputs !== undefined && top.inputs !== null && !record(top.inputs)) {
    throw new ManifestError(file, 'inputs must be a mapping');
  }
  const inputs = Object.entries(record(top.inputs) ?? {}).map(([name, value]): ManifestInput => {
    const declared = record(value) ?? {};
    const input: ManifestInput = { name };
    if (declared.default !== undefined) {
      input.default = declared.default === null ? '' : String(declared.default);
      try {
        checkTemplate(input.default, defaultContexts);
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        throw new ManifestError(
          file,
          `the default of input '${name}': ${error.message}; it may read ${defaultContexts.join(', ')}`,
        );
      }
    }
    if (typeof declared.deprecationMessage === 'string') {
      input.deprecationMessage = declared.deprecationMessage;
    }
    return input;
  });
  const conditionOf = (key: 'pre-if' | 'post-if') => {
    const value = runs[key];
    return value === undefined || value === null || value === '' ? 'always()' : String(value);
  };
  return {
    file,
    name: typeof top.name === 'string' ? top.name : '',
    inputs,
    outputs: Object.keys(record(top.outputs) ?? {}),
    using,
    scripts,
    conditions: { pre: conditionOf('pre-if'), post: conditionOf('post-if') },
  };
}

/** Finds and reads the manifest in an action's directory: action.yml, then action.yaml. */
export function loadManifest(directory: string): Manifest {
  for (const name of ['action.yml', 'action.yaml']) {
    const file = join(directory, name);
    if (existsSync(file)) return parseManifest(readFileSync(file, 'utf8'), file);
  }
  throw new ManifestError(
    directory,
    "Can't find 'action.yml' or 'action.yaml' here. Did you forget to run actions/checkout before running your local action?",
  );
}

/** INPUT_ and the name: only the space becomes `_`, then upper case; dashes and dots stay. */
export function inputVariable(name: string): string {
  return `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`;
}

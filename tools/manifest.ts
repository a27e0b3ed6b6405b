import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const root = fileURLToPath(new URL('..', import.meta.url));

export interface ManifestInput {
  description: string;
  required?: boolean;
  default?: string | number | boolean;
}

/** An action.yml as written. */
export interface Manifest {
  name: string;
  description: string;
  inputs: Record<string, ManifestInput>;
  outputs: Record<string, { description: string }>;
  runs: Record<string, string>;
}

export interface Action {
  /** Folder name, which is the action's name. */
  name: string;
  directory: string;
  manifest: Manifest;
}

/** Every folder below actions/ that has an action.yml. */
export function actions(): Action[] {
  const folder = join(root, 'actions');
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'action.yml')))
    .sort()
    .map((name) => {
      const directory = join(folder, name);
      return { name, directory, manifest: parse(readFileSync(join(directory, 'action.yml'), 'utf8')) };
    });
}

/**
 * What the bundle has to know of its action.yml. A default that is an expression cannot be evaluated by the
 * action: the runner has done so when the input was left out, so for an emptied one there is no default.
 */
export function contractOf({ name, manifest }: Action) {
  const defaultOf = (input: ManifestInput) => {
    const text = String(input.default ?? '');
    return text.includes('${{') ? '' : text;
  };
  return {
    name,
    inputs: Object.fromEntries(
      Object.entries(manifest.inputs).map(([key, input]) => [key, defaultOf(input)]),
    ),
    outputs: Object.keys(manifest.outputs ?? {}),
  };
}

/** A wrong command line; the message is what the docker client prints. */
export class UsageError extends Error {}

export type FlagKind = 'value' | 'list' | 'boolean';

export interface Parsed {
  values: Record<string, string>;
  lists: Record<string, string[]>;
  on: Set<string>;
  rest: string[];
}

/**
 * Reads flags as the docker client does: `--name value`, `--name=value`, `-n value`, `-nvalue`, joined short booleans.
 * `names` maps every spelling to the long name; with `stopAtFirst`, flags end at the first plain word.
 */
export function parseFlags(
  argv: string[],
  kinds: Record<string, FlagKind>,
  names: Record<string, string> = {},
  stopAtFirst = false,
): Parsed {
  const parsed: Parsed = { values: {}, lists: {}, on: new Set(), rest: [] };
  const take = (name: string, value: string) => {
    if (kinds[name] === 'list') {
      parsed.lists[name] ??= [];
      parsed.lists[name].push(value);
    } else parsed.values[name] = value;
  };
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '--') {
      parsed.rest.push(...argv.slice(at + 1));
      break;
    }
    if (word.startsWith('--')) {
      const [flag = '', ...given] = word.slice(2).split('=');
      const name = names[flag] ?? flag;
      const kind = kinds[name];
      if (!kind) throw new UsageError(`unknown flag: --${flag}`);
      if (kind === 'boolean') {
        if (given.length === 0 || given.join('=') === 'true') parsed.on.add(name);
        else if (given.join('=') === 'false') parsed.on.delete(name);
        else throw new UsageError(`invalid argument "${given.join('=')}" for "--${flag}" flag`);
      } else if (given.length) take(name, given.join('='));
      else if (at + 1 < argv.length) take(name, argv[++at]!);
      else throw new UsageError(`flag needs an argument: --${flag}`);
    } else if (word.startsWith('-') && word.length > 1) {
      for (let letter = 1; letter < word.length; letter++) {
        const short = word[letter]!;
        const name = names[short];
        const kind = name === undefined ? undefined : kinds[name];
        if (name === undefined || !kind)
          throw new UsageError(`unknown shorthand flag: '${short}' in ${word}`);
        if (kind === 'boolean') {
          parsed.on.add(name);
          continue;
        }
        const attached = word.slice(letter + 1).replace(/^=/, '');
        if (attached) take(name, attached);
        else if (at + 1 < argv.length) take(name, argv[++at]!);
        else throw new UsageError(`flag needs an argument: '${short}' in ${word}`);
        break;
      }
    } else if (stopAtFirst) {
      parsed.rest.push(...argv.slice(at));
      break;
    } else parsed.rest.push(word);
  }
  return parsed;
}

/**
 * Renders the part of Go's templates that scripts use with `--format`: `{{json .}}`, `{{json .A.B}}`, `{{.A.B}}`
 * and plain text; `\n` and `\t` may be written as such.
 */
export function renderTemplate(template: string, data: unknown): string {
  return template
    .replaceAll('\\n', '\n')
    .replaceAll('\\t', '\t')
    .replace(/\{\{\s*(.*?)\s*\}\}/g, (_, inner: string) => {
      const match = /^(json\s+)?\.([\w.-]*)$/.exec(inner);
      if (!match) {
        throw new UsageError(
          `template parsing error: {{${inner}}} is more than the lab's process engine renders`,
        );
      }
      let value = data;
      for (const key of (match[2] ?? '').split('.').filter(Boolean)) {
        if (value === null || typeof value !== 'object' || !(key in value)) {
          throw new UsageError(`template: :1: map has no entry for key "${key}"`);
        }
        value = (value as Record<string, unknown>)[key];
      }
      if (match[1]) return JSON.stringify(value ?? null);
      return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? '');
    });
}

// Writes what is made in the READMEs: the tables, from each action.yml, and what an action's docs/made.ts adds.
// With --check it only tells which are stale.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchDocument, benchSummary } from '../test/bench/record.ts';
import { type Action, actions, root } from './manifest.ts';

const cell = (text: string) =>
  text
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .replaceAll('|', '\\|');
const table = (headings: string[], rows: string[][]) =>
  [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const inputTable = ({ manifest }: Action) =>
  table(
    ['Input', 'Default', 'Meaning'],
    Object.entries(manifest.inputs).map(([name, { required, default: value, description }]) => {
      const shown = value === undefined || value === '' ? '' : `\`${cell(String(value))}\``;
      return [`\`${name}\``, required ? '**required**' : shown, cell(description)];
    }),
  );

const outputTable = ({ manifest }: Action) =>
  table(
    ['Output', 'Meaning'],
    Object.entries(manifest.outputs ?? {}).map(([name, { description }]) => [
      `\`${name}\``,
      cell(description),
    ]),
  );

const actionTable = (all: Action[]) =>
  table(
    ['Action', 'What it does'],
    all.map(({ name, manifest }) => [`[${name}](actions/${name}/README.md)`, cell(manifest.description)]),
  );

/** A README with what stands between `<!-- name:start -->` and `<!-- name:end -->` made anew. */
export function withTables(text: string, tables: Record<string, string>, file: string): string {
  let result = text;
  for (const [name, content] of Object.entries(tables)) {
    const pattern = new RegExp(`(<!-- ${name}:start[^>]*-->)[\\s\\S]*?(<!-- ${name}:end -->)`);
    if (!pattern.test(result))
      throw new Error(`${file} has no <!-- ${name}:start --> … <!-- ${name}:end -->`);
    result = result.replace(pattern, (_, start, end) => `${start}\n${content}\n${end}`);
  }
  return result;
}

/** What an action makes for its README besides the tables: sections by the name of their marks, and whole files. */
interface Made {
  sections: Record<string, string>;
  files: Record<string, string>;
}

async function madeBy({ directory }: Action): Promise<Made> {
  const path = join(directory, 'docs/made.ts');
  return existsSync(path) ? ((await import(path)) as Made) : { sections: {}, files: {} };
}

/** Every generated document and what it should hold. */
export async function documents(): Promise<Array<{ path: string; content: string }>> {
  const all = actions();
  const made: Array<{ path: string; content: string }> = [];
  for (const action of all) {
    const { sections, files } = await madeBy(action);
    const path = join(action.directory, 'README.md');
    const parts = { inputs: inputTable(action), outputs: outputTable(action), ...sections };
    made.push({ path, content: withTables(readFileSync(path, 'utf8'), parts, path) });
    for (const [file, content] of Object.entries(files))
      made.push({ path: join(action.directory, file), content });
  }
  const path = join(root, 'README.md');
  if (existsSync(path)) {
    const parts = { actions: actionTable(all), bench: benchSummary() };
    made.push({ path, content: withTables(readFileSync(path, 'utf8'), parts, path) });
    const korean = join(root, 'README.ko.md');
    made.push({
      path: korean,
      content: withTables(readFileSync(korean, 'utf8'), { bench: benchSummary() }, korean),
    });
    made.push({ path: join(root, 'docs/proof/bench.md'), content: benchDocument() });
  }
  return made;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check');
  for (const { path, content } of await documents()) {
    if (existsSync(path) && readFileSync(path, 'utf8') === content) continue;
    if (check) {
      console.error(`${path.slice(root.length)} is not what action.yml and docs/ make. Next: pnpm run docs`);
      process.exitCode = 1;
    } else writeFileSync(path, content);
  }
}

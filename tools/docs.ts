// Writes the tables in the READMEs from each action.yml. With --check it only tells which are stale.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** Every generated document and what it should hold. */
export function documents(): Array<{ path: string; content: string }> {
  const all = actions();
  const made = all.map((action) => {
    const path = join(action.directory, 'README.md');
    return {
      path,
      content: withTables(
        readFileSync(path, 'utf8'),
        { inputs: inputTable(action), outputs: outputTable(action) },
        path,
      ),
    };
  });
  const path = join(root, 'README.md');
  if (existsSync(path))
    made.push({ path, content: withTables(readFileSync(path, 'utf8'), { actions: actionTable(all) }, path) });
  return made;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check');
  for (const { path, content } of documents()) {
    if (readFileSync(path, 'utf8') === content) continue;
    if (check) {
      console.error(
        `${path.slice(root.length)}: its tables are not those of action.yml. Next: pnpm run docs`,
      );
      process.exitCode = 1;
    } else writeFileSync(path, content);
  }
}

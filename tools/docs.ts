// Writes what is made in the READMEs: the tables, from each action.yml and from docs/proof, and what an action's
// docs/made.ts adds.
// With --check it only tells which are stale.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Proof } from '@lockkeeper/faults';
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

/** The words of the table of `pnpm faults --record`, in the language of a README. */
interface FaultWords {
  headings: string[];
  guarantees: Record<string, string>;
  summary(played: number, held: number, others: number, proof: Proof): string;
}

const english: FaultWords = {
  headings: ['Guarantee', 'Trials', 'Broken'],
  guarantees: {},
  summary: (played, held, others, { date, commit, machine, seed, cases }) =>
    `${played} of ${cases.length} cases are played, ${held} are held by tests of their own, ${others} are not ours. ${date}, commit ${commit}, ${machine}, seed ${seed}.`,
};

const korean: FaultWords = {
  headings: ['보장', '시험', '깨짐'],
  guarantees: {
    'Nothing left open': '열린 채로 남는 것이 없습니다',
    'Nothing left broken': '망가진 채로 남는 것이 없습니다',
    'Nothing dropped': '유실되는 요청이 없습니다',
    'Nothing leaked': '새는 것이 없습니다',
    'Nobody guesses': '아무도 추측하지 않습니다',
  },
  summary: (played, held, others, { date, commit, machine, seed, cases }) =>
    `사례 ${cases.length}개 가운데 ${played}개는 직접 재현하고, ${held}개는 별도의 테스트가 지키며, ${others}개는 해당되지 않습니다. ${date}, 커밋 ${commit}, ${machine}, 시드 ${seed}.`,
};

/** What `pnpm faults --record` saw, by guarantee. */
function faultTable({ headings, guarantees, summary }: FaultWords): string {
  const proof = JSON.parse(readFileSync(join(root, 'docs/proof/faults.json'), 'utf8')) as Proof;
  const played = proof.cases.filter(({ tried }) => tried > 0).length;
  const held = proof.cases.filter((one) => one.tried === 0 && one.heldBy.length > 0).length;
  return [
    table(
      headings,
      proof.guarantees.map(({ name, tried, broken }) => [
        guarantees[name] ?? name,
        String(tried),
        String(broken),
      ]),
    ),
    '',
    summary(played, held, proof.cases.length - played - held, proof),
  ].join('\n');
}

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
  const readmes: Array<[file: string, tables: () => Record<string, string>]> = [
    ['README.md', () => ({ actions: actionTable(all), faults: faultTable(english), bench: benchSummary() })],
    ['README.ko.md', () => ({ faults: faultTable(korean), bench: benchSummary() })],
  ];
  for (const [file, tables] of readmes) {
    const path = join(root, file);
    if (!existsSync(path)) continue;
    made.push({ path, content: withTables(readFileSync(path, 'utf8'), tables(), path) });
  }
  if (existsSync(join(root, 'docs')))
    made.push({ path: join(root, 'docs/proof/bench.md'), content: benchDocument() });
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

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { parseArguments } from '../packages/rehearsal/src/arguments.ts';
import { root } from '../tools/manifest.ts';

// The commands that the documents tell people to type.

interface Command {
  /** Where it stands. */
  at: string;
  /** The version of pnpm, where one is named. */
  version?: string;
  script: string;
  args: string[];
}

const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};
const documents = globSync(['*.md', 'docs/**/*.md', 'actions/*/README.md'], { cwd: root });

/** Blocks of code, and code between backticks, line by line. */
const codeIn = (text: string) => [
  ...[...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].flatMap(([, block]) => block!.split('\n')),
  ...[...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!),
];

const commands = documents.flatMap((file) =>
  codeIn(readFileSync(join(root, file), 'utf8')).flatMap((line): Command[] => {
    const found = /^(?:npx --yes pnpm@([\d.]+)|pnpm) (?:run )?([\w:-]+)((?: [^#]*)?)(?:#.*)?$/.exec(
      line.trim(),
    );
    if (!found) return [];
    const [, version, script, rest = ''] = found;
    return [
      { at: `${file}: ${line.trim()}`, version, script: script!, args: rest.split(' ').filter(Boolean) },
    ];
  }),
);
const rehearsals = commands.filter(({ script }) => script === 'rehearse');

it('finds the commands that it judges', () => {
  expect(commands.length).toBeGreaterThan(20);
  expect(rehearsals.length).toBeGreaterThan(6);
});

it('names only scripts that there are', () =>
  expect(commands.filter(({ script }) => !Object.hasOwn(scripts, script)).map(({ at }) => at)).toEqual([]));

it('names one version of pnpm, the one that CI runs', () => {
  const [, ours] = /npx --yes pnpm@([\d.]+)/.exec(readFileSync(join(root, '.ci/run'), 'utf8'))!;
  expect([...new Set(commands.flatMap(({ version }) => version ?? []))]).toEqual([ours]);
});

it.each(rehearsals)('can be typed: $at', ({ args }) => {
  const { workflow } = parseArguments(args)!;
  const theirs = /^(my-workflow\.yml|path\/to\/your-workflow\.yml|workflows-examples\/<file>)$/;
  expect(theirs.test(workflow) || existsSync(join(root, workflow))).toBe(true);
});

import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from '@jest/globals';
import { root } from '../tools/manifest.ts';

const documents = globSync(['*.md', 'docs/**/*.md', 'actions/*/README.md', 'packages/*/README.md'], {
  cwd: root,
});

/** The anchor that GitHub gives a heading. */
const anchor = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
const anchorsOf = (path: string) =>
  [...readFileSync(path, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchor(heading!));

it('finds the documents whose links it judges', () => {
  expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/from-ssh-action.md']));
});

it.each(documents)('%s links only to files and headings that there are', (document) => {
  const path = join(root, document);
  const links = [...readFileSync(path, 'utf8').matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)];
  const dead = links.filter(([, link]) => {
    const [file = '', heading] = link!.split('#');
    const target = file ? join(dirname(path), file) : path;
    return !existsSync(target) || (heading !== undefined && !anchorsOf(target).includes(heading));
  });
  expect(dead.map(([, link]) => link)).toEqual([]);
});

it('lists every decision in CONTRIBUTING.md, by its title', () => {
  const contributing = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
  const decisions = globSync('docs/decisions/*.md', { cwd: root });
  expect(decisions.length).toBeGreaterThan(10);
  const unlisted = decisions.filter((file) => {
    const [, title] = /^# \d+\. (.+)$/m.exec(readFileSync(join(root, file), 'utf8')) ?? [];
    return !contributing.includes(`[${title}](${file})`);
  });
  expect(unlisted).toEqual([]);
});

it.each(globSync('docs/decisions/*.md', { cwd: root }))('%s says why, and what it costs', (file) => {
  const text = readFileSync(join(root, file), 'utf8');
  expect([...text.matchAll(/^\*\*(.+?)\.\*\* \S/gm)].map(([, part]) => part)).toEqual([
    'Context',
    'Choice',
    'Why',
    'What it costs',
  ]);
});

it('names for each of the five guarantees the tests that try to break it', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, section = ''] = readme.split('## Five guarantees\n');
  const guarantees = section
    .split('\n## ')[0]!
    .split('\n')
    .filter((line) => /^\d\. /.test(line));
  expect(guarantees).toHaveLength(5);
  for (const guarantee of guarantees) {
    const tests = [...guarantee.matchAll(/\]\(([^)]+\.test\.ts)\)/g)].map(([, file]) => file!);
    expect(tests.length).toBeGreaterThan(0);
    for (const file of tests)
      expect(readFileSync(join(root, file), 'utf8')).toMatch(/\b(it|describe|test\w+)(\.each)?\(/);
  }
});

/** What a translation must have in common with its original, in the order in which it stands there. */
function shapeOf(file: string) {
  const text = readFileSync(join(root, file), 'utf8')
    // Each names the other, and only the original says where its table comes from.
    .replace(/^\[[^\]]+\]\(README(\.ko)?\.md\)$/m, '')
    .replace(/^<!-- .* -->$/gm, '');
  const code = [...text.matchAll(/^```.*\n[\s\S]*?^```$/gm)].map(([block]) => block);
  const prose = text.replace(/^```.*\n[\s\S]*?^```$/gm, '');
  const all = (pattern: RegExp) => [...prose.matchAll(pattern)].map(([found]) => found);
  return {
    headings: all(/^#+(?= )/gm),
    code,
    links: all(/\]\([^)]+\)/g).sort(),
    inlineCode: all(/`[^`\n]+`/g).sort(),
    rows: all(/^\| .*\|$/gm).map((row) => row.split(' | ').length),
    items: all(/^(-|\d\.)(?= )/gm),
    bold: all(/\*\*[^*]+\*\*/g).length,
  };
}

it('says in Korean all that it says in English: the same headings, code, links, rows and points', () => {
  const english = shapeOf('README.md');
  expect(english.headings.length).toBeGreaterThan(6);
  expect(english.links.length).toBeGreaterThan(40);
  expect(shapeOf('README.ko.md')).toEqual(english);
});

it('leads from each language to the other', () => {
  expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('(README.ko.md)');
  expect(readFileSync(join(root, 'README.ko.md'), 'utf8')).toContain('(README.md)');
});

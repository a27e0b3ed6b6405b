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

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type Bundled, licenceFile, packagesOf } from '../tools/licences.ts';
import { actions, root } from '../tools/manifest.ts';

const one = (name: string, licence: string, ...texts: string[]): Bundled => ({
  name,
  version: '1.0.0',
  licence,
  texts,
});

describe('the licences of a bundle', () => {
  it('list each package, and give each text once, with all that it is for', () => {
    const [list, ...sections] = licenceFile([
      one('a', 'MIT', 'The text'),
      one('b', 'MIT', 'The text', 'A notice'),
    ]).split(/\n\n-+\n\n/);
    expect(list).toBe('a 1.0.0: MIT\nb 1.0.0: MIT');
    expect(sections).toEqual(['a 1.0.0\nb 1.0.0\n\nThe text', 'b 1.0.0\n\nA notice\n']);
  });

  it("give a package that ships no text of Apache's licence that of another", () =>
    expect(licenceFile([one('a', 'Apache-2.0'), one('b', 'Apache-2.0', 'Apache')])).toContain(
      'a 1.0.0\nb 1.0.0\n\nApache\n',
    ));

  it.each([
    ['is under copyleft', one('x', 'GPL-3.0', 'text'), 'x 1.0.0 is under GPL-3.0.'],
    ['may be under copyleft', one('x', '(MIT OR AGPL-3.0)', 'text'), 'x 1.0.0 is under (MIT OR AGPL-3.0).'],
    ['says nothing', one('x', '', 'text'), 'x 1.0.0 is under no licence.'],
    ['does not ship its text', one('x', 'MIT'), 'x 1.0.0 ships no text of its licence, MIT.'],
    ['ships no text when nothing does', one('x', 'Apache-2.0'), 'x 1.0.0 ships no text'],
  ])('refuse a package that %s', (_, bad, problem) => expect(() => licenceFile([bad])).toThrow(problem));

  it('are those of the package that a file belongs to, however deep', () => {
    const ssh2 = join(root, 'packages/ssh/node_modules/ssh2');
    const files = ['lib/client.js', 'lib/protocol/Protocol.js'].map((file) => join(ssh2, file));
    expect(packagesOf([...files, join(root, 'packages/ssh/src/index.ts')])).toEqual([
      { name: 'ssh2', version: '1.17.0', licence: 'MIT', texts: [expect.stringContaining('Brian White')] },
    ]);
  });
});

it.each(actions().map(({ name, directory }) => [name, join(directory, 'dist')]))(
  "%s ships the licences of the packages that its bundle's own comments name",
  (_, dist) => {
    // The bundler names there the files of ES modules, and what those import.
    const code = readdirSync(dist)
      .filter((file) => file.endsWith('.js'))
      .map((file) => readFileSync(join(dist, file), 'utf8'))
      .join('\n');
    const named = [...code.matchAll(/^\S* (?:CONCATENATED|EXTERNAL) MODULE: (\S+)$/gm)].flatMap(
      ([, file]) => /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file!)?.[1] ?? [],
    );
    const [list = ''] = readFileSync(join(dist, 'licenses.txt'), 'utf8').split('\n\n');
    const listed = list.split('\n').map((line) => /^(\S+) \d\S*: \S+$/.exec(line)?.[1]);
    expect(new Set(named).size).toBeGreaterThan(5);
    expect([...new Set(named)].filter((name) => !listed.includes(name))).toEqual([]);
  },
);

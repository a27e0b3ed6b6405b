import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { differences } from '../tools/build.ts';
import { withTables } from '../tools/docs.ts';
import { actions, root } from '../tools/manifest.ts';

// What keeps generated files honest has to fail when they are not.

describe('the check of dist/', () => {
  let directory: string;
  const made = new Map([
    ['index.js', 'one'],
    ['lib/part.js', 'two'],
  ]);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'lockkeeper-dist-'));
    mkdirSync(join(directory, 'dist/lib'), { recursive: true });
    for (const [name, content] of made) writeFileSync(join(directory, 'dist', name), content);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('passes what the sources make', () => expect(differences(directory, made)).toEqual([]));

  it('sees a changed file', () => {
    writeFileSync(join(directory, 'dist/index.js'), 'other');
    expect(differences(directory, made)).toEqual(['dist/index.js is stale']);
  });

  it('sees a file that is missing', () => {
    rmSync(join(directory, 'dist/lib/part.js'));
    expect(differences(directory, made)).toEqual(['dist/lib/part.js is missing']);
  });

  it('sees a file that nothing makes any more', () => {
    writeFileSync(join(directory, 'dist/lib/new.js'), '');
    expect(differences(directory, made)).toEqual(['dist/lib/new.js should not be there']);
  });

  it('sees that there is no dist/ at all', () => {
    rmSync(join(directory, 'dist'), { recursive: true });
    expect(differences(directory, made)).toHaveLength(2);
  });
});

it('commits bundles that name no path of the machine that made them', () => {
  const naming = actions().flatMap(({ name, directory }) =>
    readdirSync(join(directory, 'dist'))
      .filter((file) => readFileSync(join(directory, 'dist', file), 'utf8').includes(root))
      .map((file) => `${name}/dist/${file}`),
  );
  expect(naming).toEqual([]);
});

describe('the tables of a README', () => {
  const readme = 'a\n<!-- inputs:start (x) -->\nold\n<!-- inputs:end -->\nb';

  it('are made anew between their marks, and nothing else is touched', () =>
    expect(withTables(readme, { inputs: 'a $1 b' }, 'README.md')).toBe(
      'a\n<!-- inputs:start (x) -->\na $1 b\n<!-- inputs:end -->\nb',
    ));

  it('need their marks', () =>
    expect(() => withTables(readme, { outputs: '' }, 'README.md')).toThrow(
      'README.md has no <!-- outputs:start --> … <!-- outputs:end -->',
    ));
});

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { nameOf, turnsOf } from '../src/plan.ts';
import { table } from '../src/table.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const numbered = (letter: string, last: number) =>
  Array.from({ length: last }, (_, n) => `${letter}${String(n + 1).padStart(2, '0')}`);

describe('the table', () => {
  it('has every case of the failure model and of the threat model, once and in order', () =>
    expect(table.map(({ id }) => id)).toEqual([...numbered('F', 30), ...numbered('T', 25)]));

  it('plays each, names the test that holds it, or says why it is not ours', () =>
    expect(
      table.filter(({ runs = [], heldBy = [], because }) => runs.length + heldBy.length === 0 && !because),
    ).toEqual([]));

  it('says why, where a fault is tried in main alone or in post alone', () =>
    expect(
      table.flatMap(({ runs = [] }) => runs).filter(({ only }) => only && !/\w+ \w+ \w+/.test(only.because)),
    ).toEqual([]));

  it('tries a fault in post wherever it names a moment there, and one in main likewise', () =>
    expect(
      table
        .flatMap(({ runs = [] }) => runs)
        .filter((run) =>
          run.only?.phase === 'main' ? run.atInPost || run.post : run.only && (run.at || run.main),
        ),
    ).toEqual([]));

  it('calls no two by the same name', () => {
    const names = turnsOf(table).map(nameOf);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  });

  it.each(table.flatMap(({ id, heldBy = [] }) => heldBy.map((held) => [id, ...held.split(' › ')] as const)))(
    '%s is held by %s › %s',
    (_, file = '', test = '') => {
      const path = join(root, file);
      expect(existsSync(path)).toBe(true);
      // As the title of a test or of what groups tests, not in a comment.
      const title = test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      expect(test).not.toBe('');
      expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`\\(\\s*['"\`][^'"\`\\n]*${title}`));
    },
  );
});

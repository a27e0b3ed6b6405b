import { describe, expect, it } from '@jest/globals';
import { nameOf, turnsOf } from '../src/plan.ts';
import { table } from '../src/table.ts';
import { breaks, broken, bundleOf } from './break.ts';

describe('the deliberate breaks', () => {
  it('are one of each guarantee', () =>
    expect(breaks.map(({ guarantee }) => guarantee)).toEqual([
      'Nothing left open',
      'Nothing left broken',
      'Nothing dropped',
      'Nothing leaked',
      'Nobody guesses',
    ]));

  it.each(breaks)('fit the committed bundle: $what', (one) =>
    expect(broken(bundleOf(one), one)).not.toBe(bundleOf(one)),
  );

  it.each(breaks)('are shown by a case of the table: $what', ({ shownBy }) =>
    expect(turnsOf(table).map(nameOf)).toContain(shownBy),
  );

  it('fail loudly where they do not fit any more', () =>
    expect(() => broken('other text', breaks[0]!)).toThrow(
      /does not fit .*post\.js: .* 0 times, expected once/,
    ));
});

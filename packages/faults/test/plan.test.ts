import { describe, expect, it } from '@jest/globals';
import { parseArguments } from '../src/arguments.ts';
import type { FaultCase } from '../src/case.ts';
import { nameOf, turnsOf } from '../src/plan.ts';

const table: FaultCase[] = [
  {
    id: 'F03',
    what: 'one',
    runs: [
      { what: 'in both', scene: 'server' },
      { what: 'in main', scene: 'fleet', only: { phase: 'main', because: 'post does nothing' } },
    ],
  },
  { id: 'F04', what: 'other', because: 'it is not ours' },
];
const names = (given: Parameters<typeof turnsOf>[1]) => turnsOf(table, given).map(nameOf);

describe('what is tried', () => {
  it('is each disturbance in main and in post, unless it belongs to one of them', () =>
    expect(names({})).toEqual(['F03 in both (main)', 'F03 in both (post)', 'F03 in main (main)']));

  it('is what the pattern names, whatever its case', () =>
    expect(names({ pattern: 'BOTH (post' })).toEqual(['F03 in both (post)']));

  it('is a few where there is little time', () =>
    expect(names({ quick: true })).toEqual(['F03 in both (main)']));
});

describe('the command line', () => {
  it('takes a pattern and a seed', () =>
    expect(parseArguments(['F16', '--seed', '7'])).toMatchObject({ pattern: 'F16', seed: 7, record: false }));

  it.each([
    [['--seed', 'x'], /--seed: "x" is not a whole number/],
    [['--parallel', '0'], /--parallel: "0" is not a whole number of 1 or more/],
    [['--fast'], /--fast is not an option/],
    [['F01', 'F02'], /one pattern at a time/],
    [['F01', '--record'], /the proof is of the whole table/],
  ])('refuses %j', (argv, message) => expect(() => parseArguments(argv)).toThrow(message));
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { overruns } from '../tools/budget.ts';
import { actions, root } from '../tools/manifest.ts';

const budget = { 'slack-notify': { bytes: 1_000_000, startUp: 3 } };
const now = (bytes: number, startUp: number) => ({ 'slack-notify': { bytes, startUp } });

describe('the budget of the bundles', () => {
  it('holds for a bundle that grew by a tenth, starts somewhat slower, or shrank', () => {
    expect(overruns(budget, now(1_100_000, 5.9))).toEqual([]);
    expect(overruns(budget, now(500_000, 1))).toEqual([]);
  });

  it('names what outgrew it, what it may be, what it is now, and the command that states it', () =>
    expect(overruns(budget, now(1_100_001, 3))).toEqual([
      'actions/slack-notify/dist has 1100001 bytes, budget.json says 1000000: 10.0 % more, 10 % are free. ' +
        'Next: find out what came into the bundle, or state it: pnpm budget, then commit budget.json',
    ]));

  it('names a bundle that takes twice as long to load', () =>
    expect(overruns(budget, now(1_000_000, 6.1))).toEqual([
      'actions/slack-notify/dist takes 6.1 times the processor time of an empty script to load, budget.json says 3.0. ' +
        'Next: find out what is loaded before it is needed, or state it: pnpm budget, then commit budget.json',
    ]));

  it('leaves no bundle out, and keeps none that is gone', () => {
    expect(overruns({}, now(1, 1))).toEqual([
      expect.stringMatching(/^actions\/slack-notify\/dist is not in/),
    ]);
    expect(overruns(budget, {})).toEqual([expect.stringMatching(/slack-notify\/dist, which is not there/)]);
  });

  it('is stated for each of the actions', () => {
    const stated = JSON.parse(readFileSync(join(root, 'budget.json'), 'utf8'));
    expect(Object.keys(stated)).toEqual(actions().map(({ name }) => name));
  });
});

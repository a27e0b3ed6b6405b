import { describe, expect, it } from '@jest/globals';
import { firstStays } from '../src/deploy.ts';

describe('the first host stays when another one fails', () => {
  it.each([
    ['unchanged', 'r1', 'rollback-all', true],
    ['deployed', 'r1', 'rollback-all', false],
    // Nothing ran there before, so there is nothing to go back to.
    ['deployed', undefined, 'rollback-all', true],
    ['deployed', 'r1', 'rollback-failed', true],
    ['rolled-back', 'r1', 'rollback-failed', false],
    [undefined, undefined, 'rollback-failed', false],
  ] as const)('having been %s, before: %s, with on-failure: %s: %s', (result, previous, onFailure, stays) =>
    expect(firstStays({ onFailure }, result && { result, previous })).toBe(stays),
  );
});

import { expect, it } from '@jest/globals';
import { logFold } from '../src/view.ts';

it('folds the inputs that the runner prints, and marks what is wrong', () => {
  const fold = logFold();
  const lines = [
    '##[group]Run x@v1',
    'with:',
    '  a: b',
    '##[endgroup]',
    'opened',
    '##[error]no route',
    '##[group]Stack',
    'at x',
    '##[endgroup]',
    '',
  ];
  expect(lines.flatMap(fold)).toEqual(['    opened', '    ✗ no route', '    ▾ Stack', '    at x']);
});

import { expect, it } from '@jest/globals';
import { reportInterruption } from '../src/interruption.ts';

const run = { repository: 'octo/shop', runId: '7' };
const back = { host: 'a', good: true, message: 'a: interrupted. Serving now: r1.', next: '' };
const stuck = {
  host: 'b',
  good: false,
  message: 'b: interrupted. What serves now is not known.',
  next: "ssh b 'x'",
};

it('tells of all hosts in one annotation, and to run again when all are well', () => {
  expect(reportInterruption([back, { ...back, host: 'c', message: 'c: nothing' }], run)).toMatchObject({
    good: true,
    message: 'a: interrupted. Serving now: r1.\nc: nothing',
    next: 'gh run rerun 7 --repo octo/shop',
  });
});

it('is bad when one host is, and names the command that shows more of that one', () => {
  const report = reportInterruption([back, stuck], run);
  expect(report).toMatchObject({ good: false, next: "ssh b 'x'" });
  expect(report.summary).toContain('❌ compose-deploy was interrupted');
  expect(report.summary).toContain('- b: interrupted.');
});

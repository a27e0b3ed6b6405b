import { expect, it } from '@jest/globals';
import { portableTests } from '../tools/portable.ts';

const portable = portableTests();

it('runs on every system what needs Node alone: decisions, inputs, probes, the contract of each action', () => {
  expect(portable).toEqual(
    expect.arrayContaining([
      'actions/rolling-alb-deploy/test/plan.test.ts',
      'packages/compose/test/inputs.test.ts',
      'packages/probe/test/probe.test.ts',
      'test/contract.test.ts',
    ]),
  );
  expect(portable.length).toBeGreaterThan(60);
});

it.each([
  ['a lab', 'actions/rolling-alb-deploy/test/permissions.test.ts'],
  ['the lab itself', 'packages/lab/test/registry.test.ts'],
  ['a runner', 'actions/health-gate/test/dist.test.ts'],
  ['processes', 'packages/compose/test/step.test.ts'],
  ['processes, by what it imports of its neighbours', 'packages/compose/test/lock.test.ts'],
])('leaves to Linux what starts %s', (_, file) => expect(portable).not.toContain(file));

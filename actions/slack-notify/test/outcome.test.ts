import { describe, expect, it } from '@jest/globals';
import { judge, type Needs, type Status } from '../src/outcome.ts';
import { job, start } from './scene.ts';

const self = { runnerName: 'runner of notify', jobId: 'notify' };
const now = start + 60_000;

describe('the status that is told', () => {
  it.each<[string, Status | undefined, Needs, Status]>([
    ['the job’s own when nothing else is known', 'success', {}, 'success'],
    ['a failure in needs beats a green job', 'success', { test: 'success', deploy: 'failure' }, 'failure'],
    ['a failure beats a cancellation', 'cancelled', { deploy: 'failure' }, 'failure'],
    ['a cancellation in needs beats a green job', 'success', { deploy: 'cancelled' }, 'cancelled'],
    [
      'what followed a success and was skipped leaves the success',
      'success',
      { deploy: 'success', tag: 'skipped' },
      'success',
    ],
    ['all skipped is not a success', 'success', { deploy: 'skipped' }, 'skipped'],
    ['a status given as skipped stays', 'skipped', {}, 'skipped'],
    ['needs alone decide when the status was emptied', undefined, { deploy: 'success' }, 'success'],
  ])('%s', (_, status, needs, expected) =>
    expect(judge({ status, needs, jobs: undefined, self, now }).status).toBe(expected),
  );

  it.each(['failure', 'timed_out', 'startup_failure'])('is failure when another job ended %s', (conclusion) =>
    expect(
      judge({
        status: 'success',
        needs: {},
        jobs: [job('deploy', conclusion), job('notify', null)],
        self,
        now,
      }),
    ).toMatchObject({
      status: 'failure',
      failed: [{ name: 'deploy' }],
    }),
  );

  it('is not failure because of a step of our own job that was allowed to fail', () =>
    expect(
      judge({ status: 'success', needs: {}, jobs: [job('notify', null, 'Lint')], self, now }),
    ).toMatchObject({
      status: 'success',
      failed: [],
    }));

  it('names the step of our own job when that is what failed', () =>
    expect(
      judge({ status: 'failure', needs: {}, jobs: [job('notify', null, 'Deploy')], self, now }).failed,
    ).toEqual([
      {
        name: 'notify',
        step: 'Deploy',
        url: 'https://github.com/octo/app/actions/runs/99/job/6#step:2:1',
        durationMs: 60_000,
      },
    ]));

  it('finds our own job by name where the runner has none', () => {
    const mine = { ...job('notify (eu)', null, 'Deploy'), runnerName: '' };
    expect(
      judge({ status: 'failure', needs: {}, jobs: [mine], self: { ...self, runnerName: '' }, now }).failed,
    ).toMatchObject([{ name: 'notify (eu)', step: 'Deploy' }]);
  });

  it('names the jobs of needs when the API could not be asked', () =>
    expect(
      judge({ status: 'success', needs: { a: 'failure', b: 'success' }, jobs: undefined, self, now }).failed,
    ).toEqual([{ name: 'a' }]));
});

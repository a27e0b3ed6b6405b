import { describe, expect, it } from '@jest/globals';
import { job, self, start } from '../docs/scenes.ts';
import { type Job, judge, type Needs, type Status } from '../src/outcome.ts';

const now = start + 600_000;
const told = (given: { status?: Status | undefined; needs?: Needs; jobs?: Job[]; self?: typeof self }) =>
  judge({ status: 'success', needs: {}, self, now, ...given });
const own = (ending?: string, part: Partial<Job> = {}) => job('notify', null, ending, part);

describe('the status that is told', () => {
  it.each<[string, Status | undefined, Needs, Status]>([
    ['the job’s own when nothing else is known', 'success', {}, 'success'],
    ['a failure in needs beats a green job', 'success', { test: 'success', deploy: 'failure' }, 'failure'],
    ['a failure in needs beats a status given as success', 'success', { deploy: 'failure' }, 'failure'],
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
  ])('%s', (_, status, needs, expected) => expect(told({ status, needs }).status).toBe(expected));

  it.each(['failure', 'timed_out', 'startup_failure', 'action_required'])(
    'is failure when another job ended as %s',
    (conclusion) =>
      expect(told({ jobs: [job('deploy', conclusion), own()] })).toMatchObject({
        status: 'failure',
        ended: [{ name: 'deploy' }],
      }),
  );

  it('is cancelled when another job was, and tells in which step', () =>
    expect(told({ jobs: [job('deploy', 'cancelled', 'Roll'), own()] })).toMatchObject({
      status: 'cancelled',
      ended: [{ name: 'deploy', step: 'Roll' }],
    }));

  it.each(['neutral', 'skipped', 'stale', 'a word of next year'])(
    'takes no harm from a job that ended as %s',
    (conclusion) => expect(told({ jobs: [job('deploy', conclusion), own()] }).status).toBe('success'),
  );

  it.each([
    ['the job', 'lint'],
    ['a leg of it', 'lint (3.13)'],
    ['a job that it calls', 'lint / style'],
  ])('is success when %s that failed was allowed to', (_, name) =>
    expect(
      told({ needs: { lint: 'success', deploy: 'success' }, jobs: [job(name, 'failure', 'Lint'), own()] }),
    ).toMatchObject({
      status: 'success',
      ended: [],
    }),
  );

  it('is not success because another job of a like name was', () =>
    expect(told({ needs: { lint: 'success' }, jobs: [job('lint-all', 'failure'), own()] }).status).toBe(
      'failure',
    ));
});

describe('what failed', () => {
  it('is told with its step, the place in its log and its duration', () =>
    expect(told({ jobs: [job('deploy (eu, 2)', 'failure', 'Health gate'), own()] }).ended).toEqual([
      {
        name: 'deploy (eu, 2)',
        step: 'Health gate',
        url: 'https://github.com/octo/app/actions/runs/99/job/1014#step:4:1',
        durationMs: 240_000,
      },
    ]));

  it('is told in the order in which it failed', () =>
    expect(
      told({
        jobs: [
          job('late', 'failure', 'x', { completedAt: start + 9 }),
          job('early', 'failure', 'x', { completedAt: start + 1 }),
        ],
      }).ended.map(({ name }) => name),
    ).toEqual(['early', 'late']));

  it('is, of a cancelled run, not what was cancelled before it began', () =>
    expect(
      told({ jobs: [job('next', 'cancelled'), job('deploy', 'cancelled', 'Roll')] }).ended.map(
        ({ name }) => name,
      ),
    ).toEqual(['deploy']));

  it('is what needs names when the API could not be asked', () =>
    expect(told({ needs: { a: 'failure', b: 'success' } }).ended).toEqual([{ name: 'a' }]));

  it('is what needs names when the API does not show it yet', () =>
    expect(told({ needs: { a: 'failure' }, jobs: [job('a', null), own()] }).ended).toEqual([{ name: 'a' }]));
});

describe('our own job, which still runs', () => {
  it('is what failed when it is said to have', () =>
    expect(told({ status: 'failure', jobs: [own('Deploy')] }).ended).toMatchObject([
      { name: 'notify', step: 'Deploy', durationMs: 600_000 },
    ]));

  it('is not, because of a step that was allowed to fail', () =>
    expect(told({ jobs: [own('Lint')] })).toMatchObject({ status: 'success', ended: [] }));

  it('is not named beside one that failed, because of a step that was allowed to', () =>
    expect(
      told({ jobs: [job('deploy', 'failure', 'Roll'), own('Lint')] }).ended.map(({ name }) => name),
    ).toEqual(['deploy']));

  it('is known by its runner, whatever its name', () =>
    expect(
      told({
        status: 'failure',
        jobs: [job('Tell everybody', null, 'Deploy', { runnerName: self.runnerName })],
      }).ended,
    ).toMatchObject([{ name: 'Tell everybody', step: 'Deploy' }]));

  it.each(['notify', 'notify (eu)', 'release / notify', 'release / inner / notify (eu, 2)'])(
    'is known by its name, %s, where no runner is told',
    (name) =>
      expect(
        told({ status: 'failure', jobs: [own('Deploy', { name, runnerName: '' })] }).ended,
      ).toMatchObject([{ name, step: 'Deploy' }]),
  );

  it('is not guessed where two could be meant', () =>
    expect(
      told({
        status: 'failure',
        jobs: ['notify (a)', 'notify (b)'].map((name) => own('Deploy', { name, runnerName: '' })),
      }).ended,
    ).toEqual([]));
});

describe('the duration', () => {
  it('is counted from the beginning of this attempt', () =>
    expect(judge({ status: 'success', needs: {}, startedAt: now - 5_000, self, now }).durationMs).toBe(
      5_000,
    ));
  it('is not told where the beginning is not known', () => expect(told({})).not.toHaveProperty('durationMs'));
  it('is never negative, however the clocks differ', () =>
    expect(judge({ status: 'success', needs: {}, startedAt: now + 5_000, self, now }).durationMs).toBe(0));
});

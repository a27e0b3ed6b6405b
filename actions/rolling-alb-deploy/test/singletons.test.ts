import { describe, expect, it } from '@jest/globals';
import {
  type Candidate,
  hasLost,
  holderOf,
  singletonNote,
  takesOver,
  wayBackOf,
} from '../src/plan/singletons.ts';
import { nextStep } from '../src/roll/roll.ts';
import { record } from './stand.ts';

const services = ['beat', 'cron'];
const host = (id: string, runs: string[] | undefined, healthy = true): Candidate => ({ id, healthy, runs });

describe('the host that runs the singleton services', () => {
  it.each<[string, Candidate[], string]>([
    ['is the one that runs them, healthy or not', [host('i-a', []), host('i-b', services, false)], 'i-b'],
    ['is the one that runs most of them', [host('i-a', ['beat']), host('i-b', services)], 'i-b'],
    ['is the same for every run where several do', [host('i-b', services), host('i-a', services)], 'i-a'],
    ['is a healthy one where nobody does', [host('i-a', [], false), host('i-b', [])], 'i-b'],
    ['is a healthy one before our first deploy', [host('i-b', undefined), host('i-c', undefined)], 'i-b'],
    ['runs no other service for it', [host('i-a', ['web', 'worker']), host('i-b', ['cron'])], 'i-b'],
  ])('%s', (_what, candidates, holder) =>
    expect(holderOf(candidates, services, { whole: true })).toEqual({ holder }),
  );

  it.each<[string, Candidate[], object]>([
    ['keeps them', [host('i-a', []), host('i-b', services)], { holder: 'i-b' }],
    ['is not begun: another host may have them', [host('i-a', []), host('i-b', [])], { holder: '' }],
    [
      'is refused where it has some of them',
      [host('i-a', ['beat'])],
      {
        problem: expect.stringMatching(/i-a runs beat, and not all of beat, cron; deploy to the whole fleet/),
      },
    ],
    [
      'is refused where nobody can tell',
      [host('i-a', []), host('i-b', undefined)],
      { problem: expect.stringMatching(/nothing was deployed to i-b by us yet/) },
    ],
  ])('%s, where targets names a part of the fleet', (_what, candidates, holding) =>
    expect(holderOf(candidates, services, { whole: false })).toEqual(holding),
  );

  it('is nobody where there are none', () =>
    expect(holderOf([host('i-a', undefined)], [], { whole: false })).toEqual({ holder: '' }));
});

describe('a host that goes back', () => {
  const onNew = { release: 'new', rotation: 'in', finished: true } as const;
  it.each([
    ['leaves them to the holder that stays on the new release', 'i-b', onNew, 'leaves'],
    ['leaves them to the holder that ran the release already', 'i-b', { ...onNew, skipped: true }, 'leaves'],
    [
      'runs what it ran before when the holder goes back too',
      'i-b',
      { ...onNew, goal: 'old' },
      'as-recorded',
    ],
    ['runs what it ran before when the holder was not reached', 'i-b', { goal: 'old' }, 'as-recorded'],
    ['runs what it ran before when the holder has left', 'i-b', { ...onNew, left: true }, 'as-recorded'],
    [
      'that is the holder runs what it ran before',
      'i-a',
      { goal: 'old', release: 'switching' },
      'as-recorded',
    ],
  ] as const)('%s', (_what, id, holder, role) =>
    expect(wayBackOf(id, 'i-a', [record('i-a', holder), record('i-b', { goal: 'old' })])).toBe(role),
  );
});

describe('a holder that left', () => {
  const gone = record('i-a', { left: true, finished: true });
  const done = { release: 'new', finished: true, changed: true } as const;

  it.each([
    ['has left', 'i-a', [gone], true],
    ['is there', 'i-b', [gone, record('i-b')], false],
    ['was a newcomer that could not be deployed to', 'i-c', [gone, record('i-b')], true],
    ['is not needed', '', [gone], false],
  ])('%s', (_what, holder, hosts, lost) => expect(hasLost(holder, hosts)).toBe(lost));

  it('is followed by one that is drained and switched once more, after all others', () => {
    const hosts = [
      gone,
      record('i-b', { ...done, batch: 1 }),
      record('i-c', { ...done, skipped: true, batch: -1 }),
    ];
    const [, b, heir] = takesOver('i-c', hosts);
    expect(b).toEqual(hosts[1]);
    expect(heir).toMatchObject({ batch: 2, skipped: false, finished: false });
    expect(nextStep(heir!)).toBe('take-out');
  });
});

it.each([
  [['beat'], 'i-a', 'beat runs on i-a alone'],
  [services, 'i-a', 'beat, cron run on i-a alone'],
  [['beat'], '', 'beat is left to hosts that targets does not name'],
  [[], '', ''],
])('the plan says of %j held by "%s": %s', (names, holder, note) =>
  expect(singletonNote(names, holder)).toBe(note),
);

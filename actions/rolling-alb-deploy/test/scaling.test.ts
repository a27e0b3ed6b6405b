import { describe, expect, it } from '@jest/globals';
import { belonging, type ScalingFacts, scalingProblems, scalingRemarks } from '../src/plan/scaling.ts';

const facts = (change: Partial<ScalingFacts['group']> = {}, refresh?: string) =>
  new Map<string, ScalingFacts>([
    [
      'web',
      {
        group: {
          name: 'web',
          minSize: 1,
          maxSize: 4,
          desired: 3,
          suspended: [],
          targetGroups: [],
          members: ['i-a', 'i-b', 'i-c'].map((id, n) => ({ id, zone: 'abc'[n]!, lifecycle: 'InService' })),
          ...change,
        },
        refresh,
      },
    ],
  ]);
const withState = (lifecycle: string) => facts({ members: [{ id: 'i-a', zone: 'a', lifecycle }] });

describe('what a host is to its Auto Scaling group', () => {
  it.each([
    ['InService', false, { kind: 'member', scaling: 'web', standby: false }],
    ['Standby', true, { kind: 'member', scaling: 'web', standby: true }],
    ['EnteringStandby', true, { kind: 'member', scaling: 'web', standby: true }],
    ['Standby', false, { kind: 'free', warning: expect.stringContaining('stays in standby') }],
    ['Pending', false, { kind: 'coming', why: 'i-a is Pending in the Auto Scaling group web' }],
    ['Pending:Wait', false, { kind: 'coming', why: expect.anything() }],
    ['Terminating', false, { kind: 'leaving', why: expect.anything() }],
    ['Terminating:Wait', true, { kind: 'leaving', why: expect.anything() }],
  ])('%s, recorded: %s', (lifecycle, recorded, expected) =>
    expect(belonging('i-a', 'web', withState(lifecycle), recorded)).toEqual(expected),
  );

  it('is nothing where its tag is out of date', () => {
    expect(belonging('i-z', 'web', facts(), false)).toEqual({ kind: 'free' });
    expect(belonging('i-z', 'gone', facts(), false)).toEqual({ kind: 'free' });
    expect(belonging('i-z', '', facts(), false)).toEqual({ kind: 'free' });
  });
});

describe('an Auto Scaling group', () => {
  it('without Launch is refused: nobody would come back from standby', () =>
    expect(scalingProblems(facts({ suspended: ['AZRebalance', 'Launch'] }))).toEqual([
      expect.stringMatching(/Launch of the Auto Scaling group web is suspended.*resume-processes/),
    ]));

  it('in an instance refresh is refused', () =>
    expect(scalingProblems(facts({}, 'InProgress'))).toEqual([
      expect.stringMatching(/instance refresh .* web is under way \(InProgress\)/),
    ]));

  it('that is in order is not', () => expect(scalingProblems(facts())).toEqual([]));

  it('at its minimum is told to be lowered, and by how much', () => {
    const { notes } = scalingRemarks(facts({ minSize: 3 }), [['i-a'], ['i-b']]);
    expect(notes.join('\n')).toContain('web is at its minimum of 3: it is lowered by 1 ');
  });

  it('that may rebalance its zones is warned about where several leave at once', () => {
    expect(scalingRemarks(facts(), [['i-a']]).warnings).toEqual([]);
    expect(scalingRemarks(facts(), [['i-a', 'i-b']]).warnings).toEqual([
      expect.stringMatching(/rebalance its zones while 2 members are in standby/),
    ]);
    expect(scalingRemarks(facts({ suspended: ['AZRebalance'] }), [['i-a', 'i-b']]).warnings).toEqual([]);
  });

  it('nobody of which moves is not spoken of', () =>
    expect(scalingRemarks(facts({ minSize: 3 }), [['i-z']])).toEqual({ warnings: [], notes: [] }));
});

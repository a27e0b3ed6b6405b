import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { judge } from '../src/prove/verdict.ts';
import { replicasFor, roleOnWayBack, type SingletonRole, scaleArguments } from '../src/singletons.ts';
import { planChanges } from '../src/stage/plan.ts';

const container = (service: string) =>
  ({ service, oneOff: false, status: 'running', image: 'sha256:1', configHash: 'h' }) as Container;

describe('a singleton service', () => {
  it.each<[SingletonRole, number, number]>([
    // The host that runs it, and what the release's record says there.
    ['runs', 1, 1],
    ['runs', 0, 1],
    // The others.
    ['leaves', 1, 0],
    ['leaves', 0, 0],
    // Going back: as it was with that release.
    ['as-recorded', 1, 1],
    ['as-recorded', 0, 0],
  ])('on a host that %s it, recorded with %i, is wanted %i times', (role, recorded, wanted) => {
    const record = { services: ['web', 'beat'], replicas: { web: 2, beat: recorded } };
    expect(replicasFor(record, ['beat'], role)).toEqual({ web: 2, beat: wanted });
  });

  it('is scaled to none in each up that sees it, and named in no other: Compose refuses that', () => {
    expect(scaleArguments({ web: 2, beat: 0 }, ['web', 'beat'])).toEqual(['--scale', 'beat=0']);
    expect(scaleArguments({ web: 2, beat: 0 }, ['web'])).toEqual([]);
  });

  it.each<[string, Container[], string]>([
    ['that ran here goes', [container('beat')], 'remove'],
    ['that runs elsewhere needs nothing here', [], 'unchanged'],
  ])('%s, says the plan', (_what, containers, change) => {
    const wanted = {
      services: ['beat'],
      known: ['beat'],
      hashes: { beat: 'h' },
      images: {},
      changedMounts: {},
    };
    expect(planChanges(containers, { ...wanted, replicas: { beat: 0 } })).toEqual([
      { service: 'beat', change, why: 'is not to run on this host' },
    ]);
  });

  it('that is still there where it is not to run is no good end', () => {
    const expectations = [{ service: 'beat', replicas: 0 }];
    expect(judge([], expectations, 'h').state).toBe('good');
    expect(judge([container('beat')], expectations, 'h')).toMatchObject({
      state: 'waiting',
      reason: 'beat: still runs here, and is to go',
    });
  });
});

describe('a host of a fleet that goes back', () => {
  it.each<[string, boolean, boolean | undefined, SingletonRole]>([
    ['the first one', true, true, 'as-recorded'],
    ['another, the first having stayed', false, true, 'leaves'],
    ['another, the first having gone back too, or not running them', false, false, 'as-recorded'],
    ['another, nothing known of the first', false, undefined, 'as-recorded'],
  ])('%s', (_what, isFirst, firstRuns, role) => expect(roleOnWayBack(isFirst, firstRuns)).toBe(role));
});

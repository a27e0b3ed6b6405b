import { describe, expect, it } from '@jest/globals';
import type { FleetMember } from '../src/plan/members.ts';
import { planRoll } from '../src/plan/plan.ts';
import { decide } from '../src/roll/roll.ts';
import { arn, group, health, planSettings } from './stand.ts';

const member = (id: string, change: Partial<FleetMember> = {}): FleetMember => ({
  id,
  address: { host: id },
  memberships: [{ group: arn, port: 8000 }],
  healthy: true,
  missing: false,
  draining: false,
  scaling: '',
  standby: false,
  state: 'healthy',
  ...change,
});

describe('a member of an Auto Scaling group', () => {
  const asg = { scaling: 'web' };
  // What a lost run left is `touched`: post and the next run bring it back.
  it.each<[string, Partial<FleetMember>, boolean, object, string | undefined]>([
    ['in service, to be changed', {}, false, { rotation: 'in', touched: false, finished: false }, 'take-out'],
    ['in service, on the release', {}, true, { finished: true, skipped: true, batch: -1 }, undefined],
    [
      'in standby and out since a lost run',
      { standby: true, missing: true, healthy: false },
      false,
      { rotation: 'out', touched: true, batch: 0 },
      'switch',
    ],
    [
      'in standby and still draining',
      { standby: true, missing: true, draining: true, healthy: false },
      false,
      { rotation: 'draining', touched: true, batch: 0 },
      'drain',
    ],
    [
      'in standby, serving the release already',
      { standby: true },
      true,
      { rotation: 'watched', skipped: true, finished: false, touched: true },
      'rejoin',
    ],
    ['in standby, serving another', { standby: true }, false, { rotation: 'in', touched: true }, 'take-out'],
  ])('%s', (_what, change, unchanged, record, step) => {
    const one = member('i-a', { ...asg, ...change });
    const others = [member('i-0', asg), member('i-z', asg)];
    const places = [one, ...others].filter(({ missing }) => !missing).map(({ id }) => health(id));
    const { hosts } = planRoll(
      [{ group: group(), health: places }],
      [...others, one],
      new Map([['i-a', { unchanged }]]),
      planSettings(),
    );
    const planned = hosts.find(({ id }) => id === 'i-a')!;
    expect(planned).toMatchObject({ scaling: 'web', standby: change.standby ?? false });
    expect(planned).toMatchObject(record);
    expect(decide([planned])?.step).toBe(step);
  });
});

describe('a host in two target groups', () => {
  const admin = group({ arn: 'arn:admin', name: 'admin', port: 9000, unhealthyRouting: { count: 2 } });
  const both = { memberships: [...member('i-a').memberships, { group: admin.arn, port: 9000 }] };
  const at9000 = (id: string) => health(id, { port: 9000 });

  it('leaves only if each of them has enough without it, by the thresholds of each', () => {
    const { problems, required } = planRoll(
      [
        { group: group(), health: [health('i-a'), health('i-b'), health('i-c')] },
        { group: admin, health: [at9000('i-a'), at9000('i-b')] },
      ],
      [member('i-a', both), member('i-b', both), member('i-c')],
      new Map(),
      planSettings(),
    );
    expect([...required.values()].map(({ count }) => count)).toEqual([1, 2]);
    expect(problems).toHaveLength(2);
    for (const problem of problems) expect(problem).toMatch(/leave 1 of 2 targets of admin in service/);
  });

  it('moves once, with all its places', () => {
    const { hosts, batches } = planRoll(
      [
        { group: group(), health: [health('i-a'), health('i-b')] },
        { group: { ...admin, unhealthyRouting: { count: 1 } }, health: [at9000('i-a'), at9000('i-b')] },
      ],
      [member('i-a', both), member('i-b', both)],
      new Map(),
      planSettings(),
    );
    expect(batches).toEqual([['i-a'], ['i-b']]);
    expect(hosts.map(({ memberships }) => memberships)).toEqual([both.memberships, both.memberships]);
  });
});

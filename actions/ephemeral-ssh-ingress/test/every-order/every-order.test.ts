import { describe, expect, it } from '@jest/globals';
import type { IngressRule } from '@lockkeeper/aws';
import { decideJoin } from '../../src/join.ts';
import { hasLiveLease, leaseKey } from '../../src/lease.ts';
import { decideLeave, learnLeave } from '../../src/leave.ts';
import { patience } from '../../src/patience.ts';
import { expiredLease, type Setting, units } from './model.ts';
import { exploreEveryOrder } from './search.ts';

const ours = { 'managed-by': 'ephemeral-ssh-ingress' };

describe('whatever the order of their calls, and with late reads, a live lease has its rule and nothing is left for', () => {
  it.each<[string, number, Setting]>([
    ['one run', 10, { actors: ['run'] }],
    ['two runs', 1_000, { actors: ['run', 'run'] }],
    ['two runs, one of which is killed', 2_000, { actors: ['run', 'run'], kills: 1 }],
    ['two runs, both of which are killed', 2_000, { actors: ['run', 'run'], kills: 2 }],
    ['two runs, with reads two steps late', 2_000, { actors: ['run', 'run'], late: 2 }],
    [
      'a run and a sweep that meet an expired lease',
      1_000,
      { actors: ['run', 'sweep'], rule: { ...ours, 'lease-x': expiredLease }, kills: 1 },
    ],
    [
      'two sweeps of a rule whose closer died',
      100,
      { actors: ['sweep', 'sweep'], rule: { ...ours, 'closing-x': '1' }, kills: 1 },
    ],
    ['two runs that meet somebody else’s rule', 10, { actors: ['run', 'run'], rule: { owner: 'me' } }],
    ['three runs', 40_000, { actors: ['run', 'run', 'run'] }],
  ])(
    '%s',
    (_, states, setting) => {
      const explored = exploreEveryOrder(setting);
      expect(explored.flaw).toBeUndefined();
      expect(explored.states).toBeGreaterThan(states);
    },
    60_000,
  );
});

describe('the search finds the flaw of', () => {
  const rule = (id: string) => ({ id, tags: {} }) as IngressRule;
  it.each<[string, Omit<Setting, 'actors'>, string]>([
    [
      'a joiner that does not look whether somebody is closing',
      {
        decideJoin: (joiner, ...rest) =>
          typeof joiner.view === 'object' && leaseKey(joiner.nonce) in joiner.view.tags
            ? { kind: 'hold', rule: joiner.view, how: 'joined' }
            : decideJoin(joiner, ...rest),
      },
      'holds a lease without its rule',
    ],
    [
      'a joiner that does not read again',
      {
        decideJoin: (joiner, ...rest) =>
          joiner.view === 'unread' && joiner.written
            ? { kind: 'hold', rule: rule(joiner.written), how: 'joined' }
            : decideJoin(joiner, ...rest),
      },
      'holds a lease without its rule',
    ],
    [
      'a leaver that does not read again',
      {
        decideLeave: (leaver, ...rest) =>
          leaver.view === 'unread' && leaver.announcedAt !== undefined
            ? { kind: 'revoke' }
            : decideLeave(leaver, ...rest),
      },
      'holds a lease without its rule',
    ],
    [
      'a leaver that acts on a read older than its announcement',
      {
        late: 2,
        decideLeave: (leaver, now, awsNow, limits) => {
          const step = decideLeave(leaver, now, awsNow, limits);
          const { view, announcedAt, leases } = leaver;
          if (typeof view === 'string' || announcedAt === undefined) return step;
          return hasLiveLease(view, awsNow, leases) ? step : { kind: 'revoke' };
        },
      },
      'holds a lease without its rule',
    ],
    [
      'a leaver that removes its lease after its announcement, when it happens to see it',
      {
        decideLeave: (leaver, ...rest) => {
          const seen =
            typeof leaver.view === 'object' &&
            leaver.leases.some((key) => key in (leaver.view as IngressRule).tags);
          return decideLeave({ ...leaver, removed: leaver.removed || !seen }, ...rest);
        },
        learnLeave: (leaver, step, answer) => ({
          ...learnLeave(leaver, step, answer),
          ...(step.kind === 'remove' ? { announcedAt: leaver.announcedAt } : {}),
        }),
      },
      'all have ended, and the rule is still there',
    ],
    [
      'a joiner that is impatient',
      { patience: { ...units, closerPatience: 2 } },
      'holds a lease without its rule',
    ],
    [
      'a closer that takes its time',
      { patience: { ...units, closerLimit: 2 } },
      'holds a lease without its rule',
    ],
  ])('%s', (_, broken, what) => {
    const { flaw } = exploreEveryOrder({ actors: ['run', 'run'], ...broken });
    expect(flaw?.what).toContain(what);
    expect(flaw!.trace.length).toBeGreaterThan(3);
  });
});

it('gives a dead closer longer than a live one can take, its last call included', () => {
  const longestCall = 25_000;
  expect(patience.closerPatience).toBeGreaterThan(patience.closerLimit + longestCall);
});

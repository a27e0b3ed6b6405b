import { expect, it } from '@jest/globals';
import { expiredLease, type Setting } from './model.ts';
import { exploreEveryOrder } from './search.ts';

// Beside every-order.test.ts: what takes a minute.
const old = { 'managed-by': 'ephemeral-ssh-ingress', 'lease-x': expiredLease };

it.each<[string, number, Setting]>([
  ['three runs, one of which is killed', 80_000, { actors: ['run', 'run', 'run'], kills: 1 }],
  [
    'two runs and a sweep that meet an expired lease, one of them killed',
    100_000,
    { actors: ['run', 'run', 'sweep'], rule: old, kills: 1 },
  ],
  [
    'two runs, one of which is killed, with reads two steps late',
    8_000,
    { actors: ['run', 'run'], kills: 1, late: 2 },
  ],
])(
  'whatever the order of their calls, a live lease has its rule and nothing is left for %s',
  (_, states, setting) => {
    const explored = exploreEveryOrder(setting);
    expect(explored.flaw).toBeUndefined();
    expect(explored.states).toBeGreaterThan(states);
  },
  240_000,
);

import { resultOf } from '../../actions/rolling-alb-deploy/src/roll/roll.ts';
import { runRoll } from '../../actions/rolling-alb-deploy/src/roll/run-roll.ts';
import { group, stand } from '../../actions/rolling-alb-deploy/test/stand.ts';
import type { Section } from './figures.ts';

/** Milliseconds of `docker compose up` and of the defaults' stability window. */
const switching = 15_000;
/** Of the target group, in ms. */
const deregistrationDelay = 60_000;

export interface Cost {
  /** Calls to AWS by the roll: looks at the group, and changes. */
  looks: number;
  changes: number;
  seconds: number;
}

/** A roll in simulated time over so many hosts, each a target of `groups` groups, `batch` hosts at once. */
export async function costOf(hosts: number, groups: number, batch: number): Promise<Cost> {
  const ids = Array.from({ length: hosts }, (_, n) => `i-${n}`);
  const more = Array.from({ length: groups - 1 }, (_, n) =>
    group({ arn: `${group().arn}-${n}`, name: `web-${n}`, port: 8001 + n, deregistrationDelay }),
  );
  const s = stand({ ids, target: group({ deregistrationDelay }), more, minimum: Math.min(1, hosts - batch) });
  const context = s.context('rollback-all', new AbortController().signal);
  const calls = { looks: 0, changes: 0 };
  const counted =
    <A extends unknown[], R>(kind: keyof typeof calls, call: (...args: A) => R) =>
    (...args: A) => {
      calls[kind]++;
      return call(...args);
    };
  const from = s.clock.now();
  const records = await runRoll(
    ids.map((id, n) => s.record(id, { batch: Math.floor(n / batch) })),
    {
      ...context,
      gate: {
        health: counted('looks', context.gate.health),
        register: counted('changes', context.gate.register),
        deregister: counted('changes', context.gate.deregister),
      },
      fleet: (id) => ({
        ...context.fleet(id),
        async switchOver() {
          await s.clock.sleep(switching);
          await context.fleet(id).switchOver();
        },
      }),
    },
  );
  const result = resultOf(records, 'rollback-all');
  if (result !== 'deployed') throw new Error(`the roll over ${hosts} hosts ended as ${result}`);
  return { ...calls, seconds: (s.clock.now() - from) / 1_000 };
}

/** What a roll costs as a fleet grows: with time and batches, not with the square of the targets. */
export async function costSection(): Promise<Section> {
  const fleets = [
    { hosts: 2, groups: 1, batch: 1 },
    { hosts: 10, groups: 1, batch: 1 },
    { hosts: 100, groups: 1, batch: 1 },
    { hosts: 100, groups: 1, batch: 25 },
    { hosts: 1, groups: 2, batch: 1 },
    { hosts: 10, groups: 2, batch: 1 },
    { hosts: 50, groups: 2, batch: 1 },
    { hosts: 50, groups: 2, batch: 10 },
  ];
  const rows: Section['rows'] = [];
  for (const { hosts, groups, batch } of fleets) {
    const { looks, changes, seconds } = await costOf(hosts, groups, batch);
    const batches = Math.ceil(hosts / batch);
    rows.push({
      fleet: `${hosts} hosts, ${hosts * groups} targets`.replace('1 hosts', '1 host'),
      batch,
      changes,
      looks,
      seconds,
      perBatch: (looks + changes) / batches,
      secondsPerBatch: seconds / batches,
    });
  }
  return {
    name: 'cost',
    title: 'What a roll costs as the fleet grows',
    columns: [
      { key: 'fleet', heading: 'fleet' },
      { key: 'batch', heading: 'hosts at once' },
      { key: 'changes', heading: 'changes' },
      { key: 'looks', heading: 'looks' },
      { key: 'seconds', heading: 'seconds' },
      { key: 'perBatch', heading: 'calls a batch', digits: 1 },
      { key: 'secondsPerBatch', heading: 'seconds a batch', digits: 1 },
    ],
    rows,
    notes: [
      'Calls to AWS of the roll itself in simulated time, with a deregistration delay of 60 s, health checks every 10 s and 15 s to switch a host: they grow with batches and the time that those take, not with the square of the targets.',
    ],
  };
}

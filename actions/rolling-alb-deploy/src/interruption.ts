import { UserError } from '@lockkeeper/action';
import { fleetRecord } from './hosts/fleet-record.ts';
import { Recovery } from './hosts/recovery.ts';
import type { RollingInputs } from './inputs.ts';
import type { Outside } from './outside.ts';
import { wayBackOf } from './plan/singletons.ts';
import { lookAtGroups, statesOf } from './plan/survey.ts';
import type { Ended } from './report/interruption-line.ts';
import { names } from './roll/place.ts';
import { finishRoll, isUnfinished } from './roll/post-roll.ts';
import { inStandby, leftOut } from './roll/roll.ts';
import type { RollContext } from './roll/roll-context.ts';
import { Timeline } from './roll/timeline.ts';
import type { RollState } from './state.ts';

/** Milliseconds for one host to go back. */
const hostBudget = 45_000;

/**
 * Ends what a main that was killed or cancelled left. `inputs` give the keys alone; where they cannot be read any
 * more it is in words why, and then targets go back in rotation without a hand on their hosts.
 */
export async function endInterrupted(
  state: RollState,
  inputs: RollingInputs | string,
  outside: Outside,
): Promise<Ended> {
  const { gate, scaling, run, log, clock, signal } = outside;
  const groups = await lookAtGroups(gate, state.groups);
  const recovery = typeof inputs === 'string' ? undefined : Recovery.of(state, inputs, outside);
  let { hosts, minimums } = state;
  if (isUnfinished(hosts, minimums)) {
    const working = hosts.filter(({ finished, touched }) => touched && !finished);
    log.info(`main did not end; bringing back ${names(working) || 'what it left'}`);
    hosts = await finishRoll(hosts, {
      groups: new Map(groups.map(({ group }) => [group.arn, group])),
      gate,
      scaling,
      minimums,
      fleet: recovery
        ? recovery.hosts(hosts, hostBudget, (id) => wayBackOf(id, state.holder, hosts))
        : unreachable(String(inputs)),
      settings: {
        drain: state.drain,
        healthyTimeout: state.healthyTimeout,
        bakeTime: 0,
        standbyPatience: 0,
        onFailure: 'rollback-failed',
        required: new Map(state.required.map(({ group, count, because }) => [group, { count, because }])),
      },
      clock,
      log,
      signal,
      timeline: new Timeline(),
      evidence: (id, { details }) => {
        if (details) log.remote(id, `${details}\n`);
      },
      // Nothing is written down: nobody reads what post saves, and where it cannot be saved targets go back all the same.
      save: (saved) => {
        hosts = [...saved];
      },
      saveMinimums: (saved) => {
        minimums = [...saved];
      },
    });
  }
  // The record stays open where the next run has something to put right.
  const open = leftOut(hosts).length + inStandby(hosts).length + minimums.length > 0;
  const { release } = state;
  await recovery?.tidy(fleetRecord({ runUrl: run.runUrl, release, open, at: clock.now() }, hosts, minimums));
  return {
    state,
    hosts,
    minimums,
    states: statesOf(await lookAtGroups(gate, state.groups).catch(() => groups)),
  };
}

function unreachable(why: string): RollContext['fleet'] {
  const refuse = () => Promise.reject(new UserError(why));
  return () => ({
    switchOver: refuse,
    goBack: refuse,
    connections: async () => undefined,
    settle: async () => {},
    unwell: async () => undefined,
  });
}

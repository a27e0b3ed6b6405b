import { UserError } from '@lockkeeper/action';
import { drainLimit } from './drain.ts';
import { afterInterruption, type HostRecord, inStandby, leftOut, registerOnly } from './roll.ts';
import type { Minimum, RollContext } from './roll-context.ts';
import { runRoll } from './run-roll.ts';

/** Milliseconds of post's 120 s for work on hosts, and then for registering and a look at the result. */
const workBudget = 70_000;
const registerBudget = 35_000;
/** The longest drain that still leaves time to bring the old release back. */
const longestDrain = 40_000;

/** Whether anything is left to do after main. */
export function isUnfinished(hosts: readonly HostRecord[], minimums: readonly Minimum[] = []): boolean {
  return (
    hosts.some((host) => !host.finished && (host.touched || host.changed)) ||
    leftOut(hosts).length + inStandby(hosts).length + minimums.length > 0
  );
}

/**
 * Ends what a main that died (or was cancelled) left: the old release on the hosts it was working on, and every
 * target that it took out back in rotation. Works from the records alone; doing it twice does nothing more.
 */
export async function finishRoll(start: readonly HostRecord[], context: RollContext): Promise<HostRecord[]> {
  const { settings, groups, clock, log } = context;
  const delay = Math.max(0, ...[...groups.values()].map(({ deregistrationDelay }) => deregistrationDelay));
  const drain = { ...settings.drain, timeout: Math.min(settings.drain.timeout ?? delay, longestDrain) };
  // An address that leaves may not return before its delay is over.
  const barred = [...groups.values()].some(
    ({ targetType, deregistrationDelay }) => targetType === 'ip' && deregistrationDelay > longestDrain,
  );
  const canDrain = !barred && drainLimit(drain, delay, drain.kind === 'idle') <= longestDrain;

  let latest = afterInterruption(start, { canDrain });
  const save = (hosts: readonly HostRecord[]) => {
    latest = [...hosts];
    context.save(hosts);
  };
  const within = (budget: number) => {
    const time = new AbortController();
    const done = new AbortController();
    clock
      .sleep(budget, done.signal)
      .then(() => time.abort(new UserError('the time of the post step is over')))
      .catch(() => {});
    return { signal: AbortSignal.any([context.signal, time.signal]), end: () => done.abort() };
  };

  const work = within(workBudget);
  try {
    return await runRoll(latest, {
      ...context,
      save,
      signal: work.signal,
      settings: { ...settings, drain, bakeTime: 0, standbyPatience: 0, onFailure: 'rollback-failed' },
    });
  } catch (error) {
    if (!work.signal.aborted) throw error;
    log.info('no time is left for work on hosts; everything goes back in rotation as it is');
  } finally {
    work.end();
  }
  latest = registerOnly(latest);
  const rest = within(registerBudget);
  try {
    return await runRoll(latest, {
      ...context,
      save,
      signal: rest.signal,
      settings: {
        ...settings,
        drain,
        bakeTime: 0,
        standbyPatience: 0,
        onFailure: 'stop',
        healthyTimeout: registerBudget - 5_000,
      },
    });
  } catch (error) {
    if (!rest.signal.aborted) throw error;
    return latest;
  } finally {
    rest.end();
  }
}

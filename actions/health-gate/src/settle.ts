import type { Log } from '@lockkeeper/action';
import {
  type Expectation,
  neededInARow,
  type Observation,
  observe,
  type Sample,
  type Tally,
  tallyOf,
  type Verdict,
  verdictOf,
} from '@lockkeeper/probe';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import type { GateInputs } from './inputs.ts';

/** Asks one URL once; throws nothing but the signal's reason. */
export type Ask = (url: URL, how: { turn: number; timeout: number; signal?: AbortSignal }) => Promise<Sample>;

/** One URL under watch, and who watches. */
export interface Watch {
  url: URL;
  /** As people read it. */
  name: string;
  /** What of the expectation this kind of URL can be held to. */
  expectation: Expectation;
  ask: Ask;
  /** Milliseconds that one question may take. */
  probeTimeout: number;
  clock: Clock;
  log: Log;
  /** Why the watch is to end before its time; undefined while it goes on. */
  interrupted(): string | undefined;
  /** Aborted by the same cause. */
  signal: AbortSignal;
  /** The run was cancelled: also what is under way ends. */
  cancelled?: AbortSignal;
}

export interface Settled extends Verdict {
  observations: Observation[];
  tally: Tally;
}

/** A last probe may outlive the deadline by this much: it is owed an answer, but not all of its own time. */
const grace = 500;
const silence = 30_000;

/** Asks until enough good answers came in a row, or until they cannot come any more. */
export async function settle(watch: Watch, inputs: GateInputs): Promise<Settled> {
  const { url, name, expectation, ask, clock, log } = watch;
  const { interval, probeTimeout, criteria, dryRun } = inputs;
  const deadline = new Deadline(clock, inputs.timeout);
  const observations: Observation[] = [];
  const speak = speaker(log, clock, silence);
  for (let turn = 0; ; turn++) {
    const began = clock.now();
    const timeout = dryRun ? probeTimeout : Math.min(probeTimeout, deadline.remaining() + grace);
    const sample = await ask(url, { turn, timeout, signal: watch.cancelled }).catch((error) => {
      if (watch.interrupted()) return undefined;
      throw error;
    });
    const cutShort = sample && !sample.answered && sample.kind === 'timeout' && timeout < probeTimeout;
    // Our deadline cut it, not the app: it tells something only where there is nothing else.
    if (sample && !(cutShort && observations.length > 0)) {
      const seen = observe(sample, expectation);
      observations.push(seen);
      const line = sayObservation(seen);
      speak(
        `${name}: ${line}`,
        `(${formatDuration(seen.ms)}, after ${formatDuration(deadline.elapsed())}${observations.length > 1 ? `, probe ${observations.length}` : ''})`,
      );
    }
    const tally = tallyOf(observations);
    const next = Math.max(0, began + interval - clock.now());
    const left =
      dryRun || next > deadline.remaining() ? 0 : Math.floor((deadline.remaining() - next) / interval) + 1;
    const verdict = sample ? verdictOf(tally, criteria, expectation, left) : undefined;
    if (verdict) return { ...verdict, observations, tally };
    const why = watch.interrupted();
    if (why) return { ...unfinished(why, deadline.elapsed(), observations.at(-1)), observations, tally };
    await clock.sleep(next, watch.signal).catch(() => {});
  }
}

/** What is waited for, for the log. */
export function sayPlan(inputs: GateInputs, expectation: Expectation): string {
  const { interval, timeout, criteria, dryRun } = inputs;
  if (dryRun) return 'asking once, because this is a dry run';
  const needed = neededInARow(criteria, expectation);
  const version = expectation.version === undefined ? '' : ` with version ${expectation.version}`;
  return `asking every ${formatDuration(interval)} until ${needed} good answers${version} came in a row, at most ${formatDuration(timeout)}`;
}

/** Pure. */
export const sayObservation = ({ problem, version }: Observation): string =>
  problem ?? `good${version ? `, version ${version}` : ''}`;

/** Of what was broken off nothing can be said; no measurement is never success. Pure. */
export const unfinished = (why: string, elapsed: number, last: Observation | undefined): Verdict => ({
  verdict: 'inconclusive',
  reason: `broken off after ${formatDuration(elapsed)}, because ${why}${last ? `; last: ${sayObservation(last)}` : ''}`,
});

/** Speaks on change, and once in a while (ms) when nothing changes. */
export function speaker(log: Log, clock: Clock, every: number): (line: string, aside: string) => void {
  let said = '';
  let at = 0;
  return (line, aside) => {
    if (line === said && clock.now() - at < every) return;
    log.info(line === said ? `${line} still ${aside}` : `${line} ${aside}`);
    said = line;
    at = clock.now();
  };
}

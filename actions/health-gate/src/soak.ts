import {
  addToSoak,
  emptySoak,
  type LimitRow,
  limitRows,
  type Observation,
  observe,
  percentile,
  type SoakTally,
  soakVerdict,
  type Verdict,
} from '@lockkeeper/probe';
import { formatDuration } from '@lockkeeper/wait';
import { EvenSample } from './even-sample.ts';
import { type GateInputs, type Soak, soakGap } from './inputs.ts';
import { unfinished, type Watch } from './settle.ts';

export interface Soaked extends Verdict {
  /** Of this length, in milliseconds. */
  ms: number;
  /** All of them, or an even sample of a long soak. */
  observations: Observation[];
  /** Those that are only counted. */
  leftOut: number;
  tally: SoakTally;
  maxP95: number;
  limits: LimitRow[];
}

/** About 2 MB of report. Counts and times are of all. */
const mostKept = 10_000;
const sayEvery = 10_000;
const problemsSaid = 5;

/** Keeps asking for the time of the soak, `concurrency` at a time, and holds the limits. */
export async function soakFor(
  { ms, concurrency, limits: given }: Soak,
  { criteria }: Pick<GateInputs, 'criteria'>,
  watch: Watch,
  connectionErrorsBefore: number,
): Promise<Soaked> {
  const { url, name, expectation, ask, clock, log } = watch;
  const limits = {
    ...given,
    maxConnectionErrors: criteria.maxConnectionErrors,
    ...(expectation.version === undefined ? {} : { version: expectation.version }),
  };
  const tally = emptySoak(connectionErrorsBefore);
  const sample = new EvenSample<Observation>(mostKept);
  const problems = new Set<string>();
  const start = clock.now();
  const end = start + ms;
  const decided = new AbortController();
  const halt = AbortSignal.any([watch.signal, decided.signal]);
  let [asked, underWay, last] = [0, 0, undefined as Observation | undefined];
  let verdict: Verdict | undefined;
  let saidAt = start;

  const elapsed = () => (clock.now() - start) / 1000;
  const ahead = () => {
    const left = Math.max(0, end - clock.now());
    // Each prober may have one under way, and begins the others a gap apart.
    const answers = left > 0 ? concurrency * (Math.floor(left / soakGap) + 2) : underWay;
    return { answers, seconds: left / 1000 };
  };
  let [judgedAt, judgedAhead] = [0, ahead()];
  const judge = () => {
    [judgedAt, judgedAhead] = [elapsed(), ahead()];
    return soakVerdict(tally, limits, judgedAt, judgedAhead);
  };
  const say = (seen: Observation) => {
    if (seen.problem && problems.size < problemsSaid && !problems.has(seen.problem)) {
      problems.add(seen.problem);
      log.info(`${name}: ${seen.problem} (${formatDuration(elapsed() * 1000)} into the soak)`);
    }
    if (clock.now() - saidAt < sayEvery) return;
    saidAt = clock.now();
    log.info(`${name}: soak, ${formatDuration(elapsed() * 1000)} of ${formatDuration(ms)}: ${soFar(tally)}`);
  };

  const prober = async (index: number) => {
    // Side by side, not all at the same moment.
    await clock.sleep((index * soakGap) / concurrency, halt).catch(() => {});
    while (!halt.aborted && clock.now() < end) {
      const began = clock.now();
      underWay++;
      const answer = await ask(url, { turn: asked++, timeout: watch.probeTimeout, signal: halt })
        .catch((error) => {
          if (halt.aborted) return undefined;
          throw error;
        })
        .finally(() => underWay--);
      if (!answer) return;
      last = observe(answer, expectation);
      addToSoak(tally, last, limits);
      sample.add(last);
      say(last);
      verdict ??= judge();
      if (verdict) return decided.abort();
      await clock.sleep(Math.max(0, began + soakGap - clock.now()), halt).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, index) => prober(index)));
  const why = watch.interrupted();
  verdict ??= why ? unfinished(why, elapsed() * 1000, last) : judge()!;
  return {
    ...verdict,
    ms: clock.now() - start,
    observations: sample.kept,
    leftOut: sample.added - sample.kept.length,
    tally,
    maxP95: limits.maxP95,
    limits: limitRows(tally, limits, judgedAt, judgedAhead),
  };
}

function soFar({ good, bad, times }: SoakTally): string {
  const p95 = percentile(
    times.toSorted((a, b) => a - b),
    95,
  );
  return `${good} good answers, ${bad} bad, p95 ${Math.round(p95)} ms`;
}

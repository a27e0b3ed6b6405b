import { formatDuration } from '@lockkeeper/wait';
import type { Observation } from './expectation.ts';
import { type Counts, count, percentile } from './statistics.ts';
import { mixedVersions, tooManyUnanswered, type Verdict } from './verdict.ts';

/** What must hold while it is under watch. */
export interface SoakLimits {
  /** Of the answers, from 0 to 1. */
  maxErrorRate: number;
  /** Milliseconds. */
  maxP95: number;
  /** Good answers a second. */
  minRps: number;
  /** Good answers, fewer of which prove nothing. */
  minSamples: number;
  maxConnectionErrors: number;
  /** The only version that may answer. */
  version?: string;
}

/**
 * What a soak amounts to so far. Times and rates are of good answers alone: a quick refusal must not make a slow
 * app look fast.
 */
export interface SoakTally {
  good: number;
  bad: number;
  unanswered: number;
  /** Answers of something in front of the app: neither good nor bad. */
  unmeasured: number;
  lastUnmeasured?: string;
  /** Good ones that took longer than the limit of the 95th percentile. */
  slow: number;
  /** Milliseconds of each good answer, in order of arrival. */
  times: number[];
  /** Milliseconds of each until its connection stood. */
  connectTimes: number[];
  /** Since the first good answer, those before the soak included. */
  connectionErrorsAfterGood: number;
  lastConnectionError?: string;
  lastProblem?: string;
  versions: Counts;
  servedBy: Counts;
  wrongVersion: boolean;
}

export const emptySoak = (connectionErrorsBefore = 0): SoakTally => ({
  good: 0,
  bad: 0,
  unanswered: 0,
  unmeasured: 0,
  slow: 0,
  times: [],
  connectTimes: [],
  connectionErrorsAfterGood: connectionErrorsBefore,
  versions: new Map(),
  servedBy: new Map(),
  wrongVersion: false,
});

/** Counts one more observation in. */
export function addToSoak(tally: SoakTally, seen: Observation, { maxP95 }: Pick<SoakLimits, 'maxP95'>): void {
  const { outcome, ms, connectMs, problem, version, rightVersion, unmeasured, servedBy } = seen;
  if (outcome === 'no-answer') {
    tally.unanswered++;
    tally.connectionErrorsAfterGood++;
    tally.lastConnectionError = problem;
  } else if (unmeasured) {
    tally.unmeasured++;
    tally.lastUnmeasured = problem;
  } else if (outcome === 'bad') {
    tally.bad++;
    tally.lastProblem = problem;
  } else {
    tally.good++;
    tally.times.push(ms);
    tally.connectTimes.push(connectMs ?? 0);
    if (ms > maxP95) tally.slow++;
  }
  if (servedBy !== undefined) count(tally.servedBy, servedBy);
  if (version === undefined) return;
  count(tally.versions, version);
  if (rightVersion === false) tally.wrongVersion = true;
}

/** What can still come: so many answers at most, and so many seconds. */
export interface Ahead {
  answers: number;
  seconds: number;
}

/** One limit and what was measured against it. A soak that ends early leaves `open` what it could still have held. */
export interface LimitRow {
  name: 'errors' | 'p95' | 'good answers' | 'samples';
  allowed: string;
  measured: string;
  state: 'held' | 'broken' | 'open';
}

/** Every limit with its measurement, over `seconds` of soak. Pure. */
export function limitRows(tally: SoakTally, limits: SoakLimits, seconds: number, ahead: Ahead): LimitRow[] {
  const { good, bad } = tally;
  const answers = good + bad;
  const p95 = percentile(sorted(tally.times), 95);
  const now = limitsHeld(tally, limits, seconds);
  const best = limitsHeld(atBest(tally, ahead), limits, seconds + ahead.seconds);
  const state = (name: LimitRow['name']) => (now[name] ? 'held' : best[name] ? 'open' : 'broken');
  return [
    {
      name: 'errors',
      allowed: `at most ${percent(limits.maxErrorRate)}`,
      measured: `${percent(answers === 0 ? 0 : bad / answers)} (${bad} of ${answers})`,
      state: state('errors'),
    },
    {
      name: 'p95',
      allowed: `at most ${limits.maxP95} ms`,
      measured: `${upwards(p95)} ms`,
      state: state('p95'),
    },
    {
      name: 'good answers',
      allowed: limits.minRps > 0 ? `at least ${limits.minRps} a second` : 'any',
      measured: `${rate(good, seconds)} a second`,
      state: state('good answers'),
    },
    {
      name: 'samples',
      allowed: `at least ${limits.minSamples}`,
      measured: `${good}`,
      state: state('samples'),
    },
  ];
}

type Answers = Pick<SoakTally, 'good' | 'bad' | 'slow'>;

const atBest = ({ good, bad, slow }: SoakTally, ahead: Ahead): Answers => ({
  good: good + ahead.answers,
  bad,
  slow,
});

function limitsHeld({ good, bad, slow }: Answers, limits: SoakLimits, seconds: number) {
  return {
    // The share of a percentage is seldom a binary fraction: 0.29 × 100 is less than 29.
    errors: bad <= limits.maxErrorRate * (good + bad) + 1e-9,
    // Nearest rank: the value at this place in the sorted row is the percentile, so this many may lie above.
    p95: slow <= good - Math.ceil((95 * good) / 100),
    'good answers': good >= limits.minRps * seconds,
    samples: good >= limits.minSamples,
  };
}

/**
 * Judges a soak: undefined while the outcome is open. When even good and fast answers could not mend a limit,
 * failure is certain and the verdict is now. Fewer measurements than asked for are inconclusive. Pure.
 */
export function soakVerdict(
  tally: SoakTally,
  limits: SoakLimits,
  seconds: number,
  ahead: Ahead,
): Verdict | undefined {
  if (tally.wrongVersion)
    return { verdict: 'unhealthy', reason: `in the soak, ${sayVersions(tally, limits.version!)}` };
  if (tally.connectionErrorsAfterGood > limits.maxConnectionErrors)
    return { verdict: 'unhealthy', reason: tooManyUnanswered(tally, limits) };

  const best = atBest(tally, ahead);
  const held = limitsHeld(best, limits, seconds + ahead.seconds);
  const rest = ahead.answers === 0 ? '' : ', which no rest of the soak can mend';
  const row = (name: LimitRow['name']) =>
    limitRows(tally, limits, seconds, ahead).find((one) => one.name === name)!;

  // Bad answers are measurements, too, though they prove nothing good.
  if (!held.errors && best.good + best.bad >= limits.minSamples)
    return { verdict: 'unhealthy', reason: `${sayRow(row('errors'))}${rest}; last: ${tally.lastProblem}` };
  const { unmeasured } = tally;
  if (unmeasured > limits.maxErrorRate * (best.good + best.bad + unmeasured) + 1e-9)
    return {
      verdict: 'inconclusive',
      reason: `${unmeasured} of ${tally.good + tally.bad + unmeasured} answers were not the app's${rest}; last: ${tally.lastUnmeasured}`,
    };
  if (!held.samples) {
    const last = tally.lastProblem ?? tally.lastConnectionError;
    return {
      verdict: 'inconclusive',
      reason: `${tally.good} good answers in ${formatDuration(seconds * 1000)} of soak, at least ${limits.minSamples} needed to judge${rest}${last ? `; last: ${last}` : ''}`,
    };
  }
  const broken = [
    ...(held.p95 ? [] : [`${sayRow(row('p95'))}${farAway(tally)}`]),
    ...(held['good answers'] ? [] : [sayRow(row('good answers'))]),
  ];
  if (broken.length > 0) return { verdict: 'unhealthy', reason: `${broken.join('; ')}${rest}` };
  if (ahead.answers > 0) return undefined;
  return {
    verdict: 'healthy',
    reason: `soaked ${formatDuration(seconds * 1000)}: p95 ${row('p95').measured}, errors ${row('errors').measured}, ${row('good answers').measured}`,
  };
}

const sayRow = ({ name, measured, allowed }: LimitRow) =>
  `${name} ${measured}, ${allowed} ${allowed.startsWith('at most') ? 'allowed' : 'needed'}`;

function sayVersions({ versions }: SoakTally, expected: string): string {
  return versions.size > 1
    ? mixedVersions(versions, expected)
    : `${[...versions.keys()][0]} answered, expected ${expected}`;
}

/** Where most of the time goes by before the app is asked, it is not the app that is slow. */
function farAway({ times, connectTimes }: SoakTally): string {
  const [whole, connecting] = [percentile(sorted(times), 50), percentile(sorted(connectTimes), 50)];
  return connecting > whole / 2
    ? ` (${Math.round(connecting)} ms of the median ${Math.round(whole)} ms pass until the connection stands: the way there is slow, not the app)`
    : '';
}

const sorted = (values: number[]) => values.toSorted((a, b) => a - b);
const percent = (share: number) => `${Number((share * 100).toFixed(2))} %`;
/** Not rounded onto the good side of a limit that is broken. */
const upwards = (ms: number) => Math.ceil(ms - 0.001);
const rate = (good: number, seconds: number) =>
  seconds > 0 ? `${Math.floor((good / seconds) * 10) / 10}` : '0';

import { describeSource, type Expectation, isHash, type Observation, sameVersion } from './expectation.ts';
import { type Counts, count, sayShares } from './statistics.ts';

export interface Criteria {
  consecutiveSuccesses: number;
  /** With an expected version: this many in a row must carry it. */
  versionSuccesses: number;
  /** Unanswered probes tolerated once one was good. */
  maxConnectionErrors: number;
}

/** What a row of observations amounts to so far. */
export interface Tally {
  probes: number;
  answered: number;
  good: number;
  /** Those of which the app was asked; the others met something in front of it. */
  measured: number;
  /** Good ones in a row, up to the last. */
  streak: number;
  connectionErrorsAfterGood: number;
  /** Of the last answers that named their version. */
  recentVersions: Counts;
  /** The right version came, and no other since. */
  changedOver: boolean;
  /** The right version came, and every probe since was good. */
  goodSinceChange: boolean;
  versionsSeen: string[];
  lastVersion?: string;
  lastProblem?: string;
  lastConnectionError?: string;
}

/** Answers that show which versions serve now; older ones are history. */
const window = 10;

/** Counts observations, oldest first. Pure. */
export function tallyOf(observations: readonly Observation[]): Tally {
  const tally: Tally = {
    probes: observations.length,
    answered: 0,
    good: 0,
    measured: 0,
    streak: 0,
    connectionErrorsAfterGood: 0,
    recentVersions: new Map(),
    changedOver: false,
    goodSinceChange: false,
    versionsSeen: [],
  };
  let sinceChange: number | undefined;
  for (const { outcome, version, rightVersion, unmeasured, problem } of observations) {
    if (outcome !== 'no-answer') tally.answered++;
    if (!unmeasured) tally.measured++;
    if (outcome === 'good') {
      tally.good++;
      tally.streak++;
    } else {
      tally.streak = 0;
      tally.lastProblem = problem;
      if (outcome === 'no-answer' && tally.good > 0) {
        tally.connectionErrorsAfterGood++;
        tally.lastConnectionError = problem;
      }
    }
    if (sinceChange !== undefined) sinceChange++;
    if (version === undefined) continue;
    tally.lastVersion = version;
    if (!tally.versionsSeen.includes(version)) tally.versionsSeen.push(version);
    if (!rightVersion) tally.changedOver = false;
    else if (sinceChange === undefined) {
      sinceChange = 1;
      tally.changedOver = true;
    }
  }
  tally.goodSinceChange = sinceChange !== undefined && tally.streak >= sinceChange;
  const named = observations.flatMap(({ version }) => (version === undefined ? [] : [version]));
  for (const version of named.slice(-window)) count(tally.recentVersions, version);
  return tally;
}

export interface Verdict {
  verdict: 'healthy' | 'unhealthy' | 'inconclusive';
  reason: string;
}

/** Good answers in a row that make it healthy. */
export const neededInARow = (criteria: Criteria, expectation: Pick<Expectation, 'version'>): number =>
  expectation.version === undefined
    ? criteria.consecutiveSuccesses
    : Math.max(criteria.versionSuccesses, criteria.consecutiveSuccesses);

/** `2 versions: v1 5 of 10, v2 5 of 10; expected v2 alone`. */
export const mixedVersions = (counts: Counts, expected: string): string =>
  `${counts.size} versions: ${sayShares(counts)}; expected ${expected} alone`;

/**
 * Judges one URL: undefined while it is too early to say. `probesLeft` is how many can still be made; when
 * even good ones could not make it healthy, failure is certain and the verdict is now. No measurement is
 * never success. Pure.
 */
export function verdictOf(
  tally: Tally,
  criteria: Criteria,
  expectation: Pick<Expectation, 'version' | 'versionFrom'>,
  probesLeft: number,
): Verdict | undefined {
  if (tally.connectionErrorsAfterGood > criteria.maxConnectionErrors)
    return { verdict: 'unhealthy', reason: tooManyUnanswered(tally, criteria) };
  const needed = neededInARow(criteria, expectation);
  if (tally.streak >= needed) {
    const version = tally.lastVersion === undefined ? '' : `, version ${tally.lastVersion}`;
    return { verdict: 'healthy', reason: `${tally.streak} good answers in a row${version}` };
  }
  if (tally.streak + probesLeft >= needed) return undefined;
  if (tally.probes === 0)
    return { verdict: 'inconclusive', reason: 'nothing was measured before the time was up' };
  if (tally.measured === 0)
    return { verdict: 'inconclusive', reason: `the app was never reached: ${tally.lastProblem}` };
  const { version: expected } = expectation;
  if (expected !== undefined && tally.answered > 0) {
    const wrong = wrongVersion(tally, expected, expectation);
    if (wrong) return { verdict: 'unhealthy', reason: wrong };
  }
  if (tally.streak === tally.probes || tally.goodSinceChange)
    return {
      verdict: 'inconclusive',
      reason: `${tally.streak} good answers in a row${expected === undefined ? '' : `, version ${tally.lastVersion}`}, ${needed} needed, before the time was up`,
    };
  return {
    verdict: 'unhealthy',
    reason: `${tally.good} of ${tally.probes} probes were good, never ${needed} in a row; last: ${tally.lastProblem}`,
  };
}

export const tooManyUnanswered = (
  {
    connectionErrorsAfterGood,
    lastConnectionError,
  }: Pick<Tally, 'connectionErrorsAfterGood' | 'lastConnectionError'>,
  { maxConnectionErrors }: Pick<Criteria, 'maxConnectionErrors'>,
): string =>
  `${connectionErrorsAfterGood} probes were not answered after the first good one (${maxConnectionErrors} allowed): ${lastConnectionError}`;

/** The three ways for a version to be wrong: unknown, mixed, or another than expected. */
function wrongVersion(
  tally: Tally,
  expected: string,
  { versionFrom }: Pick<Expectation, 'versionFrom'>,
): string | undefined {
  if (tally.changedOver) return undefined;
  const [recent] = tally.recentVersions.keys();
  if (recent === undefined)
    return `the version is unknown: ${tally.lastProblem ?? `none at ${describeSource(versionFrom!)}`}`;
  if (tally.recentVersions.size > 1) return mixedVersions(tally.recentVersions, expected);
  if (sameVersion(expected, recent)) return undefined;
  const kind =
    isHash(expected) === isHash(recent)
      ? ''
      : '; one is a commit hash, the other is not: is it the same kind?';
  return `still serves ${recent}, expected ${expected}${kind}`;
}

import { describeSource, type Expectation, type Observation, sameVersion } from './expectation.ts';

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
  good: number;
  /** Good ones in a row, up to the last. */
  streak: number;
  connectionErrorsAfterGood: number;
  /** Version → how many of the last `window` answers that named one carried it. */
  recentVersions: Map<string, number>;
  versionsSeen: string[];
  lastVersion?: string;
  lastProblem?: string;
  answered: number;
}

const window = 10;

/** Counts observations, oldest first. */
export function tallyOf(observations: readonly Observation[]): Tally {
  const tally: Tally = {
    probes: observations.length,
    good: 0,
    streak: 0,
    connectionErrorsAfterGood: 0,
    recentVersions: new Map(),
    versionsSeen: [],
    answered: 0,
  };
  for (const { outcome, version, problem } of observations) {
    if (outcome !== 'no-answer') tally.answered++;
    if (outcome === 'good') {
      tally.good++;
      tally.streak++;
    } else {
      tally.streak = 0;
      tally.lastProblem = problem;
      if (outcome === 'no-answer' && tally.good > 0) tally.connectionErrorsAfterGood++;
    }
    if (version !== undefined) {
      tally.lastVersion = version;
      if (!tally.versionsSeen.includes(version)) tally.versionsSeen.push(version);
    }
  }
  const named = observations
    .flatMap(({ version }) => (version === undefined ? [] : [version]))
    .slice(-window);
  for (const version of named)
    tally.recentVersions.set(version, (tally.recentVersions.get(version) ?? 0) + 1);
  return tally;
}

export interface Verdict {
  verdict: 'healthy' | 'unhealthy' | 'inconclusive';
  reason: string;
}

/**
 * Judges one URL: undefined while it is too early to say. `final` when the time is up. No measurement is
 * never success.
 */
export function verdictOf(
  tally: Tally,
  criteria: Criteria,
  expectation: Pick<Expectation, 'version' | 'versionFrom'>,
  final: boolean,
): Verdict | undefined {
  const expected = expectation.version;
  const needed =
    expected === undefined
      ? criteria.consecutiveSuccesses
      : Math.max(criteria.versionSuccesses, criteria.consecutiveSuccesses);
  if (tally.streak >= needed) {
    const version = tally.lastVersion === undefined ? '' : `, version ${tally.lastVersion}`;
    return { verdict: 'healthy', reason: `${tally.streak} good answers in a row${version}` };
  }
  if (tally.connectionErrorsAfterGood > criteria.maxConnectionErrors)
    return {
      verdict: 'unhealthy',
      reason: `${tally.connectionErrorsAfterGood} probes were not answered after the first good one (${criteria.maxConnectionErrors} allowed): ${tally.lastProblem}`,
    };
  if (!final) return undefined;
  if (tally.probes === 0)
    return { verdict: 'inconclusive', reason: 'nothing was measured before the time was up' };
  if (expected !== undefined && tally.answered > 0) {
    const recent = [...tally.recentVersions];
    const total = recent.reduce((sum, [, count]) => sum + count, 0);
    if (recent.length > 1) {
      const shares = recent.map(([version, count]) => `${version} ${count} of ${total}`).join(', ');
      return {
        verdict: 'unhealthy',
        reason: `${recent.length} versions: ${shares}; expected ${expected} alone`,
      };
    }
    if (recent.length === 0)
      return {
        verdict: 'unhealthy',
        reason: `the version is unknown: ${tally.lastProblem ?? `none at ${describeSource(expectation.versionFrom!)}`}`,
      };
    if (!sameVersion(expected, recent[0]![0]))
      return { verdict: 'unhealthy', reason: `still serves ${recent[0]![0]}, expected ${expected}` };
  }
  if (tally.streak === tally.probes)
    return {
      verdict: 'inconclusive',
      reason: `${tally.streak} good answers in a row, ${needed} needed, before the time was up`,
    };
  return {
    verdict: 'unhealthy',
    reason: `${tally.good} of ${tally.probes} probes were good, never ${needed} in a row; last: ${tally.lastProblem}`,
  };
}

export type { Outside } from './attempt.ts';
export {
  atPath,
  describeSource,
  type Expectation,
  type Observation,
  observe,
  parseStatus,
  parseVersionSource,
  sameVersion,
  type VersionSource,
} from './expectation.ts';
export { explainNoAnswer, noRoute } from './no-answer.ts';
export { type ProbeTarget, probe } from './probe.ts';
export { type Answer, endpoint, type NoAnswer, type PassedOver, type Sample } from './sample.ts';
export {
  type Ahead,
  addToSoak,
  emptySoak,
  type LimitRow,
  limitRows,
  type SoakLimits,
  type SoakTally,
  soakVerdict,
} from './soak.ts';
export { type Counts, count, percentile, ranked, sayShares } from './statistics.ts';
export {
  type Criteria,
  neededInARow,
  type Tally,
  tallyOf,
  type Verdict,
  verdictOf,
} from './verdict.ts';

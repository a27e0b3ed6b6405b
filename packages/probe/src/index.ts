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
export { explainNoAnswer } from './no-answer.ts';
export { type ProbeTarget, probe } from './probe.ts';
export type { Answer, NoAnswer, Sample } from './sample.ts';
export { type Criteria, type Tally, tallyOf, type Verdict, verdictOf } from './verdict.ts';

export type { Disturbance, FaultCase, HeldBy } from './case.ts';
export { nameOf, turnsOf } from './plan.ts';
export { play, type Trial } from './play.ts';
export type { Proof } from './report.ts';
export { table } from './table.ts';

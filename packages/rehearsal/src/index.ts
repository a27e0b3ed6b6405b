export { explanationOf, seenAfter } from './facts.ts';
export { type FaultName, faults } from './fault.ts';
export { type Facts, type Guarantee, judgeGuarantees } from './guarantee.ts';
export { type Rehearsal, type RehearsalSettings, rehearse, shippedPolicy } from './rehearsal.ts';
export { renderReport } from './report.ts';

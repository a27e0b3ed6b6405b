export { type FaultName, faults } from './fault.ts';
export { type Facts, type Guarantee, judgeGuarantees } from './guarantee.ts';
export {
  downtimeOf,
  explanationOf,
  failureOf,
  type Rehearsal,
  type RehearsalSettings,
  rehearse,
  shippedPolicy,
  tellsSlack,
} from './rehearsal.ts';
export { renderReport } from './report.ts';

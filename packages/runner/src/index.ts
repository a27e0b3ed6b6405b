export { type Leak, leakedForms, leaksBelow, leaksIn } from './canary.ts';
export { type EnvironmentLayers, stepEnvironment } from './environment.ts';
export { defaultEvent, matchesFilter, type RunFacts } from './event.ts';
export {
  ExpressionError,
  type ExpressionStatus,
  evaluateCondition,
  evaluateTemplate,
  evaluateValue,
} from './expressions.ts';
export { type JobControl, runJob } from './job.ts';
export type * from './job-result.ts';
export type * from './job-spec.ts';
export { loadManifest, type Manifest, ManifestError } from './manifest.ts';
export { encodings, SecretMasker } from './mask.ts';
export { nodePath } from './node-path.ts';
export { checkRun, type PlanOptions } from './plan-run.ts';
export {
  type JobReport,
  renderReport,
  type StandInUse,
  type StepReport,
  type WorkflowResult,
} from './report.ts';
export {
  type ActionResult,
  type ActionRun,
  type LogMoment,
  type PhaseRun,
  pushContext,
  runAction,
} from './run-action.ts';
export {
  type IdTokenRequest,
  type RunOptions,
  runWorkflow,
  type WorkflowEvent,
} from './run-workflow.ts';
export { WorkflowError } from './source.ts';
export { type ActionStandIn, loadStandIns, type StandIns } from './stand-in.ts';
export {
  loadWorkflow,
  parseUses,
  permits,
  type Uses,
  type Workflow,
  type WorkflowJob,
  type WorkflowStep,
} from './workflow.ts';

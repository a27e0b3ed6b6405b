export { type EnvironmentLayers, stepEnvironment } from './environment.ts';
export {
  ExpressionError,
  type ExpressionStatus,
  evaluateCondition,
  evaluateTemplate,
  evaluateValue,
} from './expressions.ts';
export type * from './job.ts';
export { runJob } from './job.ts';
export { loadManifest, type Manifest, ManifestError } from './manifest.ts';
export { encodings, SecretMasker } from './mask.ts';
export { nodePath } from './node-path.ts';
export {
  type ActionResult,
  type ActionRun,
  type LogMoment,
  type PhaseRun,
  pushContext,
  runAction,
} from './run-action.ts';

export { connections } from './connections.ts';
export { type HostOutcome, deployRelease } from './deploy-release.ts';
export { readReleaseInputs } from './inputs.ts';
export type {
  ReleaseImage,
  Result,
  RolledBack,
  ServiceChange,
  ServiceState,
  StagedRelease,
  Verdict,
} from './outcome.ts';
export { openProject, Project, type ProjectContext } from './project.ts';
export { releaseId } from './release-id.ts';
export type { HealthProbe, ReleaseSettings } from './settings.ts';

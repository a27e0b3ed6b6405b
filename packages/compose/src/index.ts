export { deployRelease, type HostOutcome } from './deploy-release.ts';
export { secretValues } from './env-file.ts';
export { readReleaseInputs } from './inputs.ts';
export { Locked } from './lock.ts';
export type {
  ReleaseImage,
  Result,
  RolledBack,
  ServiceChange,
  ServiceState,
  StagedRelease,
  Verdict,
} from './outcome.ts';
export { openProject, type Project, type ProjectContext } from './project.ts';
export { type Recovered, recoverHost } from './recover-host.ts';
export { releaseId, releaseIdPattern, releaseNonce } from './release-id.ts';
export type { HealthProbe, ReleaseSettings } from './settings.ts';

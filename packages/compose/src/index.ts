export { deployRelease, type HostOutcome } from './deploy-release.ts';
export { Locked } from './host/lock.ts';
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
export { openProject, type Project, type UnderWay } from './project.ts';
export { askHealth } from './prove/health-url.ts';
export { releaseId, releaseIdPattern, releaseNonce } from './record/release-id.ts';
export { type Recovered, recoverHost } from './recover-host.ts';
export type { HealthProbe, ReleaseSettings } from './settings.ts';
export { roleOnWayBack, type SingletonRole } from './singletons.ts';
export type { ProjectContext, Repository } from './site.ts';
export { secretValues } from './stage/env-file.ts';
export { runnerDocker } from './transfer/runner-docker.ts';
export type { RunnerImages } from './transfer/runner-images.ts';

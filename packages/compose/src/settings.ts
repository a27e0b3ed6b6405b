import type { FileSource } from './files/file-source.ts';
import type { ImageSource } from './stage/image-source.ts';

/** What the release inputs say, shared by every action that ships a release to a host. Durations are milliseconds. */
export interface ReleaseSettings {
  /** On the host: absolute, or starting with `~/`. */
  projectDirectory: string;
  /** Relative to the project directory; none means Compose's own choice. */
  composeFiles: string[];
  /** None means the name that Compose itself resolves. */
  projectName?: string;
  files: FileSource;
  images: ImageSource;
  profiles: string[];
  /** None means all. */
  services: string[];
  /** Service → `repository@sha256:…`: exactly this image, whatever tag the Compose file names. */
  pinnedImages: Record<string, string>;
  /** Variables for Compose; they beat the env file and the host's own. */
  environment: Record<string, string>;
  /** The whole env file; undefined leaves the host's own as it lies there. */
  envFile?: string;
  /** Relative to the project directory. */
  envFilePath: string;
  requiredEnv: string[];
  registry?: { server: string; username: string; password: string };
  preDeploy: string;
  postDeploy: string;
  preRollback: string;
  strategy: 'recreate' | 'stop-first' | 'blue-green';
  /** With `blue-green`: services that get a second container beside the first. */
  blueGreenServices: string[];
  /** Shell lines that make the proxy look again; '' where it looks by itself. */
  blueGreenReload: string;
  /** Services that run on one host of a fleet only. */
  singletonServices: string[];
  healthTimeout: number;
  stabilityWindow: number;
  health?: HealthProbe;
  rollback: boolean;
  /** `previous` or a release id: go to that release instead of deploying. */
  rollbackTo?: string;
  removeOrphans: boolean;
  keepReleases: number;
  stageTimeout: number;
  commandTimeout: number;
  lockTimeout: number;
  dryRun: boolean;
}

/** One HTTP question to the app, asked from the host. */
export interface HealthProbe {
  url: string;
  /** Accepted status codes as inclusive ranges. */
  status: Array<[number, number]>;
  /** `database=true`: path into the JSON body → the value as text. */
  json: Array<[string, string]>;
  headers: Array<[string, string]>;
}

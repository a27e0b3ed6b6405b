import type { Log } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import type { Clock } from '@lockkeeper/wait';
import type { RolledBack, ServiceChange, StagedRelease, Verdict } from './outcome.ts';
import type { ReleaseSettings } from './settings.ts';

export interface ProjectContext {
  shell: Shell;
  settings: ReleaseSettings;
  /** The id of this run's release, the same on all hosts. */
  release: string;
  commit: string;
  /** Who holds the lock: shown to those who wait. */
  owner: { repository: string; runUrl: string };
  /** Tells this run's lock from any other's; saved in state before the lock is taken, so that post can release it. */
  lockToken: string;
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

/** A Compose project on one host, locked for this run. Used in the order of the methods. */
export interface Project {
  readonly host: string;
  /** As Compose resolves it. */
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  /** The release that serves, as recorded; undefined before the first. */
  readonly serving: string | undefined;

  /** Pulls and records the release; changes no container. `images` pins services to digests that another host resolved. */
  stage(images?: Record<string, string>): Promise<StagedRelease>;
  /** `previous` or an id → the id of a recorded release that can be switched to. */
  resolveRelease(name: string): Promise<string>;
  /** What `docker compose up` of that release would do. */
  plan(id: string): Promise<ServiceChange[]>;
  /** Runs the hook with the new release's Compose; nothing is replaced yet. */
  preDeploy(id: string): Promise<void>;
  /** Replaces the containers. What ran before is recorded on the host first. */
  switchTo(id: string): Promise<void>;
  /** Waits until it is proven, or throws nothing and says why not. */
  verify(id: string): Promise<Verdict>;
  postDeploy(id: string): Promise<void>;
  /** The release serves from now on: record, audit, prune. */
  settle(id: string): Promise<void>;
  /** Back to what ran before `switchTo` (or to `to`), verified. Never throws for a release that does not come back. */
  rollBack(reason: string, to?: string): Promise<RolledBack>;
  /** Established connections to the port inside the service's containers; undefined when that cannot be told. */
  connections(port: number): Promise<number | undefined>;
  /** The fleet this host belongs to, for a later run that finds this one interrupted. */
  writeFleet(targets: unknown): Promise<void>;
  readFleet(): Promise<unknown>;
  /** Releases the lock. */
  close(): Promise<void>;
}

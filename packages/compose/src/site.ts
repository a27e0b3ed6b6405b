import type { Log } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import type { Clock } from '@lockkeeper/wait';
import type { Container } from './host/containers.ts';
import type { DockerHost } from './host/docker.ts';
import type { Lock } from './host/lock.ts';
import { type Memories, meet } from './prove/left-behind.ts';
import type { HostState } from './record/host-state.ts';
import type { PendingRecord, ReleaseList } from './record/release-record.ts';
import type { ReleaseSettings } from './settings.ts';
import { replicasFor, type SingletonRole } from './singletons.ts';
import type { RunnerImages } from './transfer/runner-images.ts';

/** The repository of the run. */
export interface Repository {
  /** Its page, from which git fetches too: `https://github.com/octo/shop`. */
  url: string;
  /** The directory of the runner that it is checked out into; '' where there is none. */
  workspace: string;
}

export interface ProjectContext {
  shell: Shell;
  settings: ReleaseSettings;
  /** The id of this run's release, the same on all hosts. */
  release: string;
  commit: string;
  repository: Repository;
  /** Who holds the lock: shown to those who wait. */
  owner: { repository: string; runUrl: string };
  /** Tells this run's lock from any other's (letters and digits); saved in state before the lock is taken, so that post can release it. */
  lockToken: string;
  /** Whether this host is the one of the fleet that runs the `singleton-services`. */
  runsSingletons: boolean;
  /** Milliseconds that a lost connection may stay away; some minutes unless given. */
  reconnectWithin?: number;
  /** The runner's own images; needed for `images: transfer` alone. */
  runnerImages?: RunnerImages;
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

interface Found {
  /** Of the project, absolute. */
  directory: string;
  /** Kilobytes of disk. */
  free: number | undefined;
  docker: DockerHost;
  state: HostState;
  /** None on a dry run. */
  lock?: Lock;
  serving: string | undefined;
  pending: PendingRecord | undefined;
}

/** A project on a host, opened: where it lies, what its record says, and how far this run is. Each verb works on it. */
export class Site {
  readonly context: ProjectContext;
  readonly host: string;
  readonly directory: string;
  readonly free: number | undefined;
  readonly docker: DockerHost;
  readonly state: HostState;
  readonly lock?: Lock;
  /** The project's name as Compose resolves it; '' before a verb found it out. */
  name = '';
  /** The release that serves, as recorded. */
  serving: string | undefined;
  /** What was begun and not ended, by this run or an earlier one. */
  pending: PendingRecord | undefined;
  /** All releases, once one of them was settled on: then old ones may go. */
  releases: ReleaseList | undefined;
  /** Services whose mounted files changed with the staged release, though Compose sees no change. */
  remounted: string[] = [];
  /** What this host does with the singleton services. */
  singletons: SingletonRole;
  /** What containers that stay may remember of those that are replaced. */
  readonly memories: Memories = new Map();
  /** Milliseconds in which replaced services were not proven yet. */
  downtime = 0;
  #replacedAt: number | undefined;
  readonly #tookOver: boolean;

  constructor(context: ProjectContext, found: Found) {
    this.context = context;
    this.host = context.shell.name;
    this.directory = found.directory;
    this.free = found.free;
    this.docker = found.docker;
    this.state = found.state;
    this.lock = found.lock;
    this.serving = found.serving;
    this.pending = found.pending;
    this.#tookOver = found.pending !== undefined;
    this.singletons = context.runsSingletons ? 'runs' : 'leaves';
  }

  get settings(): ReleaseSettings {
    return this.context.settings;
  }

  /** For records: ISO 8601, UTC. */
  now(): string {
    return new Date(this.context.clock.now()).toISOString();
  }

  /** Service → containers that this host is to have of a release. */
  replicasOf(record: Parameters<typeof replicasFor>[0]): Record<string, number> {
    return replicasFor(record, this.settings.singletonServices, this.singletons);
  }

  /** Before containers are replaced: after a run that was cut short nobody knows who remembers what. */
  remember(containers: readonly Container[]): void {
    meet(this.memories, containers, !this.#tookOver);
  }

  /** Services are being replaced: users may be without them until `proven`. */
  replacing(since = this.context.clock.now()): void {
    this.#replacedAt ??= since;
  }

  proven(): void {
    if (this.#replacedAt !== undefined) this.downtime += this.context.clock.now() - this.#replacedAt;
    this.#replacedAt = undefined;
  }
}

/** How a deploy ended; the output `result` of the actions. */
export type Result =
  | 'deployed'
  | 'unchanged'
  | 'rolled-back'
  | 'rollback-failed'
  | 'locked'
  | 'failed'
  | 'ran';

/** One service that a release would change, and why; `unchanged` services are listed too. */
export interface ServiceChange {
  service: string;
  change: 'create' | 'recreate' | 'start' | 'remove' | 'unchanged' | 'orphan';
  /** In words: `image 1f0c… → 9ab2…`, `configuration changed`, `not running`. */
  why: string;
}

export interface ServiceState {
  service: string;
  state: 'healthy' | 'running' | 'completed' | 'starting' | 'failed' | 'missing';
  /** `2 of 2 healthy`, `GET /health/ answered 503 (3 of 3)`. */
  detail: string;
}

/** What a release turned out to be. */
export interface Verdict {
  good: boolean;
  services: ServiceState[];
  /** One line: what failed and what was seen; '' when good. */
  reason: string;
  /** Last health checks and log lines of what failed. */
  details: string;
  /** The command on the host that shows more. */
  next: string;
  /** Milliseconds from the start of the verification. */
  took: number;
}

/** An image of a release: the reference that the Compose file names, the id it stands for, its digest when it has one. */
export interface ReleaseImage {
  reference: string;
  id: string;
  digest?: string;
}

/** A release that lies ready on the host; nothing of it runs yet. */
export interface StagedRelease {
  id: string;
  images: Record<string, ReleaseImage>;
  plan: ServiceChange[];
  /** By our own hash of files, env and images, and nothing to change by the plan. */
  unchanged: boolean;
  /** What was checked out, of `files: git`. */
  commit?: string;
}

/** How going back ended. */
export interface RolledBack {
  /** The release that serves now; undefined when nothing does (a first deploy that was stopped). */
  serving?: string;
  verified: boolean;
  /** `Rolled back to 20261121-031200-a1b2c3d-k3f9, verified.` or why not. */
  message: string;
}

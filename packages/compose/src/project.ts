import type { Writable } from 'node:stream';
import { UserError } from '@lockkeeper/action';
import { connections } from './host/connections.ts';
import { DockerHost } from './host/docker.ts';
import { Lock } from './host/lock.ts';
import { onHost } from './host/next-command.ts';
import { preflight } from './host/preflight.ts';
import { SteadyShell } from './host/steady-shell.ts';
import type { RolledBack, StagedRelease, Verdict } from './outcome.ts';
import { verify } from './prove/verify.ts';
import { HostState } from './record/host-state.ts';
import type { PendingRecord } from './record/release-record.ts';
import { needsRollBack, rollBack } from './roll-back/roll-back.ts';
import { runLines } from './run-lines.ts';
import type { SingletonRole } from './singletons.ts';
import { type ProjectContext, Site } from './site.ts';
import { prune } from './stage/prune.ts';
import { discardRelease, type Resolved, resolveRelease, stageRelease } from './stage/stage.ts';
import { settle } from './switch/settle.ts';
import { preDeploy, runHook, switchTo } from './switch/switch.ts';
import { setPhase } from './switch/under-way.ts';

/** A change that was begun. `placed`: tags and env file, no container; `left`: stays by the user's wish. */
export type UnderWay = Pick<PendingRecord, 'to' | 'from' | 'phase'>;

/** A Compose project on one host, locked for this run. Used in the order of the methods. */
export interface Project {
  readonly host: string;
  /** As Compose resolves it; '' before `stage` or `resolveRelease`. */
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  /** The release that serves, as recorded (what ran before our first deploy is recorded by `stage`); undefined where nothing runs. */
  readonly serving: string | undefined;
  /** An earlier run was interrupted between the change and the proof; `rollBack` goes back to what ran before it. */
  readonly interrupted: boolean;
  /** What was begun and not ended, by this run or an earlier one; known once `needsRollBack` was asked. */
  readonly underWay: UnderWay | undefined;
  /** Milliseconds in which at least one service was replaced and not yet proven; 0 before `switchTo`. */
  readonly downtime: number;

  /** Brings files and images of the release to the host and records it; changes no container. `resolved` is what another host found out. */
  stage(resolved?: Resolved): Promise<StagedRelease>;
  /** `previous` or an id → a recorded release that can be switched to, its images all on the host. */
  resolveRelease(name: string): Promise<StagedRelease>;
  /** Runs the `pre-deploy` hook with the new release's Compose; nothing is replaced yet. */
  preDeploy(id: string): Promise<void>;
  /** Replaces the containers. What ran before is written down on the host first. */
  switchTo(id: string): Promise<void>;
  /** Waits until the release is proven or has failed; at most `timeout` ms (default: the health timeout). */
  verify(id: string, timeout?: number): Promise<Verdict>;
  postDeploy(id: string): Promise<void>;
  /** From now on the release serves: record and audit. */
  settle(id: string): Promise<void>;
  /** A staged release that is not wanted after all goes away. */
  discard(id: string): Promise<void>;
  /** Whether something was begun that `rollBack` would undo. */
  needsRollBack(): Promise<boolean>;
  /**
   * Back to what ran before the change, or to the named release, verified. Throws only when cancelled.
   * `singletons` tells a host of a fleet to leave the singleton services to another host.
   */
  rollBack(
    reason: string,
    options?: { to?: string; timeout?: number; singletons?: SingletonRole },
  ): Promise<RolledBack>;
  /**
   * Runs shell lines with the serving release's Compose, or with the files as they lie before our first deploy; their
   * stdout is shown, or goes into a stream, which then ends with the connection. Throws UserError.
   */
  runLines(lines: string, stdout?: Writable): Promise<void>;
  /** For `rollback: false`: the failed release stays, the way back stays known to the next run. */
  leaveAsItIs(): Promise<void>;
  /** From now on this host is the one that runs the singleton services; to be said before `stage` or `switchTo`. */
  holdSingletons(): void;
  /** Those of these services that have a running container here. */
  running(services: readonly string[]): Promise<string[]>;
  /** Established connections to the published port; undefined when that cannot be told. */
  connections(port: number): Promise<number | undefined>;
  /** A note for later runs, such as the fleet this host belongs to; undefined reads as none. */
  writeNote(name: 'fleet', value: unknown): Promise<void>;
  readNote(name: 'fleet'): Promise<unknown>;
  /** Lets go what is no longer kept, where it was settled what serves, and releases the lock. */
  close(): Promise<void>;
  /** Ends the signs of life and leaves the lock to the post step of the same run. */
  leave(): void;
}

/** Milliseconds: an instance on EC2 restarts in a minute or two. */
const reconnectWithin = 5 * 60_000;

/**
 * Checks the host, waits for the lock and opens the project. Throws UserError with the named cause, `Locked`
 * when another run holds it.
 */
export async function openProject(context: ProjectContext): Promise<Project> {
  const { settings, lockToken, owner, log, clock, signal } = context;
  const within = context.reconnectWithin ?? reconnectWithin;
  const shell = new SteadyShell(context.shell, { within, clock, log });
  const { kind, directory, free } = await preflight(shell, settings.projectDirectory);
  const state = new HostState(shell, directory);
  const lock = settings.dryRun
    ? undefined
    : await Lock.take(shell, {
        directory,
        token: lockToken,
        owner: `${owner.repository} ${owner.runUrl}`,
        timeout: settings.lockTimeout,
        log,
        clock,
        signal,
      });
  const { commandTimeout } = settings;
  const docker = new DockerHost(shell, {
    kind,
    directory,
    lockToken,
    lock,
    commandTimeout,
    log,
    clock,
    signal,
  });
  const current = lock?.found ?? (await state.current());
  if (current.unreadable) {
    await lock?.release();
    throw new UserError(
      `${shell.name}: what an earlier run had begun is not known, ${state.path}/pending.json cannot be read; nothing was changed`,
      {
        next: `${onHost(shell, 'docker compose ps --all; rm .lockkeeper/pending.json', directory)}, if what runs there may stay`,
      },
    );
  }
  const { serving, pending } = current;
  const found = { directory, free, docker, state, lock, serving, pending };
  return new HostProject(new Site({ ...context, shell }, found));
}

/** The verbs, each in the folder of its name; what they share is the site. */
class HostProject implements Project {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  get host(): string {
    return this.#site.host;
  }

  get name(): string {
    return this.#site.name;
  }

  get directory(): string {
    return this.#site.directory;
  }

  get serving(): string | undefined {
    return this.#site.serving;
  }

  get downtime(): number {
    return this.#site.downtime;
  }

  get interrupted(): boolean {
    const { pending, context } = this.#site;
    return pending !== undefined && pending.token !== context.lockToken;
  }

  get underWay(): UnderWay | undefined {
    return this.#site.pending;
  }

  stage(resolved: Resolved = {}): Promise<StagedRelease> {
    return stageRelease(this.#site, resolved);
  }

  resolveRelease(name: string): Promise<StagedRelease> {
    return resolveRelease(this.#site, name);
  }

  discard(id: string): Promise<void> {
    return discardRelease(this.#site, id);
  }

  preDeploy(id: string): Promise<void> {
    return preDeploy(this.#site, id);
  }

  switchTo(id: string): Promise<void> {
    return switchTo(this.#site, id);
  }

  verify(id: string, timeout?: number): Promise<Verdict> {
    return verify(this.#site, id, timeout);
  }

  postDeploy(id: string): Promise<void> {
    return runHook(this.#site, id, 'post-deploy', this.#site.settings.postDeploy);
  }

  settle(id: string): Promise<void> {
    return settle(this.#site, id);
  }

  needsRollBack(): Promise<boolean> {
    return needsRollBack(this.#site);
  }

  rollBack(
    reason: string,
    options: { to?: string; timeout?: number; singletons?: SingletonRole } = {},
  ): Promise<RolledBack> {
    return rollBack(this.#site, reason, options);
  }

  runLines(lines: string, stdout?: Writable): Promise<void> {
    return runLines(this.#site, lines, stdout);
  }

  leaveAsItIs(): Promise<void> {
    return setPhase(this.#site, 'left');
  }

  holdSingletons(): void {
    this.#site.singletons = 'runs';
  }

  async running(services: readonly string[]): Promise<string[]> {
    const { docker, state, serving } = this.#site;
    this.#site.name ||= serving ? (await state.release(serving)).project : '';
    if (!this.#site.name) return [];
    const containers = await docker.containersOf(this.#site.name);
    return services.filter((service) =>
      containers.some(
        (container) => container.service === service && !container.oneOff && container.status === 'running',
      ),
    );
  }

  async connections(port: number): Promise<number | undefined> {
    const { docker, name } = this.#site;
    const containers = (await docker.containersOf(name)).filter(({ status }) => status === 'running');
    let total: number | undefined;
    for (const { ports, pid, hostNetwork, addresses } of containers) {
      const binding = ports.find(({ host }) => host === port);
      if (!binding || pid <= 0 || hostNetwork) continue;
      const tables = await docker.tcpTables(pid);
      if (tables === undefined) return undefined;
      total = (total ?? 0) + connections(tables, { port: binding.container, addresses });
    }
    return total;
  }

  writeNote(name: 'fleet', value: unknown): Promise<void> {
    return this.#site.state.writeNote(name, value);
  }

  readNote(name: 'fleet'): Promise<unknown> {
    return this.#site.state.readNote(name);
  }

  async close(): Promise<void> {
    // Last, for it may take a while and nobody waits for it: a host that goes back is in rotation again by now.
    await prune(this.#site);
    await this.#site.lock?.release();
  }

  leave(): void {
    this.#site.lock?.leave();
  }
}

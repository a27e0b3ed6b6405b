import { createHash } from 'node:crypto';
import { type Log, UserError } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { type ComposeConfig, parseConfig, parseHashes, withDependencies } from './compose-config.ts';
import { connections } from './connections.ts';
import { type Container, leftovers, parseContainers } from './containers.ts';
import { parseEnvFile } from './env-file.ts';
import { askHealth } from './health-url.ts';
import * as scripts from './host-scripts.ts';
import { HostState, lastLine, must } from './host-state.ts';
import { Lock } from './lock.ts';
import type { ReleaseImage, RolledBack, ServiceChange, StagedRelease, Verdict } from './outcome.ts';
import { planChanges } from './plan.ts';
import { type ComposeKind, preflight } from './preflight.ts';
import { obsoleteReleases, type PendingRecord, previousRelease, type ReleaseRecord } from './record.ts';
import { logIn } from './registry-login.ts';
import { releaseIdPattern } from './release-id.ts';
import type { ReleaseSettings } from './settings.ts';
import { type Expectation, type Judgement, judge } from './verdict.ts';

export interface ProjectContext {
  shell: Shell;
  settings: ReleaseSettings;
  /** The id of this run's release, the same on all hosts. */
  release: string;
  commit: string;
  /** Who holds the lock: shown to those who wait. */
  owner: { repository: string; runUrl: string };
  /** Tells this run's lock from any other's (letters and digits); saved in state before the lock is taken, so that post can release it. */
  lockToken: string;
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

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
  /** Milliseconds in which at least one service was replaced and not yet proven; 0 before `switchTo`. */
  readonly downtime: number;

  /** Pulls and records the release; changes no container. `pins` are digests that another host resolved, by service. */
  stage(pins?: Readonly<Record<string, string>>): Promise<StagedRelease>;
  /** `previous` or an id → a recorded release that can be switched to, its images all on the host. */
  resolveRelease(name: string): Promise<StagedRelease>;
  /** Runs the `pre-deploy` hook with the new release's Compose; nothing is replaced yet. */
  preDeploy(id: string): Promise<void>;
  /** Replaces the containers. What ran before is written down on the host first. */
  switchTo(id: string): Promise<void>;
  /** Waits until the release is proven or has failed; at most `timeout` ms (default: the health timeout). */
  verify(id: string, timeout?: number): Promise<Verdict>;
  postDeploy(id: string): Promise<void>;
  /** From now on the release serves: record, audit, prune. */
  settle(id: string): Promise<void>;
  /** A staged release that is not wanted after all goes away. */
  discard(id: string): Promise<void>;
  /** Whether something was begun that `rollBack` would undo. */
  needsRollBack(): Promise<boolean>;
  /** Back to what ran before the change, or to the named release, verified. Throws only when cancelled. */
  rollBack(reason: string, options?: { to?: string; timeout?: number }): Promise<RolledBack>;
  /** For `rollback: false`: the failed release stays, the way back stays known to the next run. */
  leaveAsItIs(): Promise<void>;
  /** Established connections to the published port; undefined when that cannot be told. */
  connections(port: number): Promise<number | undefined>;
  /** A note for later runs, such as the fleet this host belongs to; undefined reads as none. */
  writeNote(name: 'fleet', value: unknown): Promise<void>;
  readNote(name: 'fleet'): Promise<unknown>;
  /** Releases the lock. */
  close(): Promise<void>;
  /** Ends the signs of life and leaves the lock to the post step of the same run. */
  leave(): void;
}

/**
 * Checks the host, waits for the lock and opens the project. Throws UserError with the named cause, `Locked`
 * when another run holds it.
 */
export async function openProject(context: ProjectContext): Promise<Project> {
  const { shell, settings, log, clock, signal } = context;
  const { kind, directory, free } = await preflight(shell, settings.projectDirectory);
  const state = new HostState(shell, directory);
  if (settings.dryRun)
    return new HostProject({ ...context, kind, directory, free, state, ...(await state.current()) });
  const lock = await Lock.take(shell, {
    directory,
    token: context.lockToken,
    owner: `${context.owner.repository} ${context.owner.runUrl}`,
    timeout: settings.lockTimeout,
    log,
    clock,
    signal,
  });
  return new HostProject({ ...context, kind, directory, free, state, lock, ...lock.found });
}

interface Opened extends ProjectContext {
  kind: ComposeKind;
  directory: string;
  /** Kilobytes of disk. */
  free: number | undefined;
  state: HostState;
  lock?: Lock;
  serving: string | undefined;
  pending: PendingRecord | undefined;
}

const defaultFiles = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const overrideFiles = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];
const pollEvery = 500;

class HostProject implements Project {
  readonly host: string;
  readonly directory: string;
  name = '';
  serving: string | undefined;
  downtime = 0;
  readonly #open: Opened;
  readonly #state: HostState;
  readonly #shell: Shell;
  readonly #settings: ReleaseSettings;
  #pending: PendingRecord | undefined;
  #switchedAt: number | undefined;
  #changed: ServiceChange[] = [];

  constructor(open: Opened) {
    this.#open = open;
    this.#shell = open.shell;
    this.#state = open.state;
    this.#settings = open.settings;
    this.host = open.shell.name;
    this.directory = open.directory;
    this.serving = open.serving;
    this.#pending = open.pending;
  }

  get interrupted(): boolean {
    return this.#pending !== undefined && this.#pending.token !== this.#open.lockToken;
  }

  // Staging

  async stage(pins: Readonly<Record<string, string>> = {}): Promise<StagedRelease> {
    const { log, release: id } = this.#open;
    const settings = this.#settings;
    const directory = settings.dryRun ? await this.#temporary() : this.#state.releasePath(id);
    try {
      const { files, hostEnv } = await this.#lookForFiles();
      const env = settings.envFile ?? hostEnv;
      this.#requireEnvironment(env ?? '');
      const { config, hashes, args } = await this.#layOut(directory, { files, env });
      const all = withDependencies(config, settings.services);
      const wantedPins = { ...pins, ...settings.pinnedImages };
      this.#checkServices(config, [...settings.services, ...Object.keys(settings.pinnedImages)]);
      const containers = await this.#checkOwnership(config, files);

      if (settings.dryRun) {
        const images = await this.#imagesAtHand(config, all, wantedPins);
        const plan = this.#plan(config, hashes, all, images, containers, {});
        return { id, images, plan, unchanged: false };
      }

      await this.#recordWhatRuns(containers, { files, hostEnv, config });
      this.#checkSpace();
      const images = await this.#pull(directory, config, all, wantedPins, containers);
      const mounts = await this.#mounts(config, all);
      const record: ReleaseRecord = {
        version: 1,
        id,
        commit: this.#open.commit,
        createdAt: this.#now(),
        baseline: false,
        project: this.name,
        services: all,
        named: settings.services,
        replicas: Object.fromEntries(
          all.map((service) => [service, config.services[service]?.replicas ?? 1]),
        ),
        images,
        hashes,
        mounts,
        content: '',
        envFile: settings.envFile === undefined ? null : settings.envFilePath,
        verifiedAt: null,
      };
      record.content = contentHash(record, settings.environment, env);
      await this.#state.saveRelease(record, { [`${directory}/args`]: args });
      const before = this.serving ? await this.#state.release(this.serving) : undefined;
      const plan = this.#plan(config, hashes, all, images, containers, changedMounts(before, record));
      const unchanged =
        !this.#pending &&
        before?.content === record.content &&
        plan.every(({ change }) => change === 'unchanged' || change === 'orphan');
      for (const { service, change, why } of plan) log.info(`${this.host}: ${service}: ${change}, ${why}`);
      return { id, images, plan, unchanged };
    } finally {
      if (settings.dryRun) await this.#state.remove(directory);
    }
  }

  async resolveRelease(name: string): Promise<StagedRelease> {
    const list = await this.#state.releases();
    const id = name === 'previous' ? previousRelease(list, this.#pending?.from ?? this.serving) : name;
    if (!id)
      throw new UserError(`${this.host} has no previous release to go back to`, {
        next: `cat ${this.#state.path}/audit.log`,
      });
    if (!releaseIdPattern.test(id) || !list.releases.some((release) => release.id === id))
      throw new UserError(
        `${this.host} has no release ${id}; it has ${list.releases.map((release) => release.id).join(', ') || 'none'}`,
      );
    const record = await this.#state.release(id);
    this.name = record.project;
    const present = await this.#imageIds(Object.values(record.images).map((image) => image.id));
    for (const [service, image] of Object.entries(record.images))
      if (!present.has(image.id))
        throw new UserError(`the image of ${service} in release ${id} is no longer on ${this.host}`, {
          next: `docker pull ${image.digest ?? image.reference}`,
        });
    const containers = await this.#containers();
    if (!this.#settings.dryRun) {
      await this.#recordWhatRuns(containers, { ...(await this.#lookForFiles()), config: undefined });
    }
    const plan = planChanges(containers, {
      services: record.services,
      known: record.services,
      hashes: record.hashes,
      images: record.images,
      changedMounts: {},
    });
    return { id, images: record.images, plan, unchanged: false };
  }

  async discard(id: string): Promise<void> {
    const record = await this.#state.release(id).catch(() => undefined);
    if (record) await this.#untag([record]);
    await this.#state.remove(this.#state.releasePath(id));
  }

  // Switching

  async preDeploy(id: string): Promise<void> {
    if (!this.#settings.preDeploy.trim()) return;
    await this.#place(id, 'placed');
    await this.#hook(id, 'pre-deploy', this.#settings.preDeploy);
  }

  async switchTo(id: string): Promise<void> {
    const { log, clock } = this.#open;
    const placed = this.#pending?.to === id && this.#pending.token === this.#open.lockToken;
    const before = placed ? undefined : await this.#place(id, 'switched');
    if (placed) await this.#setPhase('switched');
    const record = await this.#state.release(id);
    this.#switchedAt = clock.now();
    await this.#up(record, log, before ?? (await this.#containers()));
  }

  async postDeploy(id: string): Promise<void> {
    if (this.#settings.postDeploy.trim()) await this.#hook(id, 'post-deploy', this.#settings.postDeploy);
  }

  async settle(id: string): Promise<void> {
    this.#open.lock?.check();
    const record = await this.#state.release(id);
    const left = this.serving;
    // A rollback asked for by a person leaves a release that is not to be chosen again by itself.
    if (this.#settings.rollbackTo && left && left !== id)
      await this.#state.markBad(left, 'left by rollback-to');
    await this.#state.settle(
      { ...record, verifiedAt: this.#now() },
      `${id} serves (before: ${left ?? 'nothing'}) ${this.#open.owner.runUrl}`,
    );
    this.#pending = undefined;
    this.serving = id;
    await this.#prune(id);
  }

  /** Write-ahead, then env file and tags: from here on the host's Compose means the new release. */
  async #place(id: string, phase: PendingRecord['phase']): Promise<Container[]> {
    this.#open.lock?.check();
    const record = await this.#state.release(id);
    this.name = record.project;
    const containers = await this.#containers();
    const references = movableReferences(record);
    const ids = await this.#imageIds(references);
    const tags = Object.fromEntries(
      references.map((reference) => [reference, ids.get(reference)?.id ?? null]),
    );
    await this.#begin(id, this.serving ?? null, containers, tags, phase);
    await this.#put(record);
    return containers;
  }

  /** Writes down what is about to change and the way back. */
  async #begin(
    to: string,
    from: string | null,
    containers: readonly Container[],
    tags: Record<string, string | null>,
    phase: PendingRecord['phase'],
  ): Promise<void> {
    const byService: Record<string, string[]> = {};
    for (const { service, id, oneOff } of containers)
      if (!oneOff) byService[service] = [...(byService[service] ?? []), id];
    // What a run before us began and did not end started from what truly served: keep that as the way back.
    const inherited = this.#pending;
    this.#pending = {
      version: 1,
      token: this.#open.lockToken,
      to,
      from: inherited ? inherited.from : from,
      at: this.#now(),
      runUrl: this.#open.owner.runUrl,
      phase,
      containers: inherited?.containers ?? byService,
      tags: { ...tags, ...inherited?.tags },
    };
    await this.#state.setPending(this.#pending);
  }

  /** The release's env file and image tags become the host's. */
  async #put(record: ReleaseRecord): Promise<void> {
    if (record.envFile !== null) {
      const env = await this.#state.read(`${this.#state.releasePath(record.id)}/env`);
      if (env !== undefined) await this.#state.write({ [`${this.directory}/${record.envFile}`]: env });
    }
    const pairs = Object.values(record.images).flatMap(({ id, reference }) =>
      movable(reference) ? [id, reference] : [],
    );
    await this.#tag(pairs);
  }

  async #up(record: ReleaseRecord, log: Log, before: readonly Container[], only?: string[]): Promise<void> {
    this.#open.lock?.check();
    await this.#repair(before);
    const directory = this.#state.releasePath(record.id);
    const plan = planChanges(before, {
      services: record.services,
      known: record.services,
      hashes: record.hashes,
      images: record.images,
      changedMounts: {},
    });
    const replaced = plan.filter(({ change }) => change === 'recreate').map(({ service }) => service);
    if (this.#settings.strategy === 'stop-first' && replaced.length > 0) {
      log.info(
        `${this.host}: stopping ${replaced.join(', ')} first; users are without it until the new one is up`,
      );
      await this.#compose(directory, ['stop', ...replaced], 'docker compose stop');
    }
    const services = only ?? record.named;
    const flags = ['--no-build', '--pull', 'never'];
    if (this.#settings.removeOrphans && !only) flags.push('--remove-orphans');
    if (only) flags.push('--no-deps');
    await this.#compose(directory, ['up', '-d', ...flags, ...services], 'docker compose up');
    // Compose does not look into mounted files: a changed nginx.conf alone recreates nothing.
    const mounted = this.#changed.filter(({ why }) => why.includes('mounted'));
    if (mounted.length === 0 || only) return;
    const after = await this.#containers();
    const forced = mounted
      .map(({ service }) => service)
      .filter((service) => sameContainers(before, after, service));
    if (forced.length > 0)
      await this.#compose(
        directory,
        ['up', '-d', '--no-build', '--pull', 'never', '--no-deps', '--force-recreate', ...forced],
        'docker compose up',
      );
  }

  async #repair(containers: readonly Container[]): Promise<void> {
    for (const { id, rename } of leftovers(containers)) {
      this.#open.log.warning(
        `${this.host}: repairing what an interrupted docker compose up left (${id.slice(0, 12)})`,
      );
      await this.#docker(rename ? ['rename', id, rename] : ['rm', '-f', id], 'cannot repair a container');
    }
  }

  // Proving

  async verify(id: string, timeout = this.#settings.healthTimeout): Promise<Verdict> {
    const record = await this.#state.release(id);
    this.name = record.project;
    const { clock, log, signal } = this.#open;
    const deadline = new Deadline(clock, timeout);
    const expectations = record.services.map(
      (service): Expectation => ({
        service,
        replicas: record.replicas[service] ?? 1,
        image: record.images[service]?.id,
      }),
    );
    let told = '';
    let window:
      | { deadline: Deadline; reference: Map<string, { restartCount: number; startedAt: string }> }
      | undefined;
    const tell = (what: string) => {
      if (what !== told) log.info(`${this.host}: ${what} (${formatDuration(deadline.elapsed())})`);
      told = what;
    };
    for (;;) {
      signal?.throwIfAborted();
      const containers = await this.#containers();
      const judgement = judge(containers, expectations, this.host, window?.reference);
      let reason = judgement.reason;
      if (judgement.state === 'failed') return this.#failed(judgement, reason, deadline);
      if (judgement.state === 'good') {
        const seen = await this.#health(deadline);
        if (seen === undefined) {
          if (!window) {
            this.#countDowntime();
            window = {
              deadline: new Deadline(clock, this.#settings.stabilityWindow),
              reference: new Map(
                containers.map(({ id, restartCount, startedAt }) => [id, { restartCount, startedAt }]),
              ),
            };
            if (this.#settings.stabilityWindow > 0)
              tell(`healthy; watching it for ${formatDuration(this.#settings.stabilityWindow)}`);
            this.#warnOfSlowChecks(containers, record.services);
          } else if (window.deadline.passed()) {
            return {
              good: true,
              services: judgement.services,
              reason: '',
              details: '',
              next: '',
              took: deadline.elapsed(),
            };
          }
          await clock.sleep(Math.min(pollEvery, Math.max(1, window.deadline.remaining())), signal);
          continue;
        }
        reason = `the app is not well: ${seen}`;
        if (window)
          return this.#failed(
            { ...judgement, failed: containers },
            `the app fell ill on ${this.host} within the stability window: ${seen}`,
            deadline,
          );
      }
      tell(reason);
      if (deadline.passed()) {
        const failed = judgement.failed.length > 0 ? judgement.failed : containers;
        return this.#failed(
          { ...judgement, failed },
          `${reason}, on ${this.host} after ${formatDuration(timeout)} (health-timeout)`,
          deadline,
        );
      }
      await clock.sleep(Math.min(pollEvery, deadline.remaining()), signal);
    }
  }

  async #health(deadline: Deadline): Promise<string | undefined> {
    const { health } = this.#settings;
    if (!health) return undefined;
    return askHealth(this.#shell, health, Math.min(5_000, Math.max(1_000, deadline.remaining())));
  }

  async #failed(judgement: Judgement, reason: string, deadline: Deadline): Promise<Verdict> {
    const first = judgement.failed[0]?.service;
    return {
      good: false,
      services: judgement.services,
      reason,
      details: await this.#evidence(judgement.failed),
      next: `docker compose -p ${this.name} logs ${first ?? ''}`.trim(),
      took: deadline.elapsed(),
    };
  }

  /** The last health checks and log lines of containers. */
  async #evidence(containers: readonly Container[]): Promise<string> {
    if (containers.length === 0) return '';
    const { stdout } = await this.#shell.run(scripts.lastLogs, {
      args: ['40', ...containers.slice(0, 4).map(({ id }) => id)],
      timeout: 20_000,
    });
    const logs = new Map(
      stdout
        .split(/^--- (?=[0-9a-f]{64}$)/m)
        .slice(1)
        .map((part) => [part.slice(0, 64), part.slice(65)]),
    );
    return containers
      .slice(0, 4)
      .map((container) => {
        const checks = (container.health?.log ?? [])
          .slice(-3)
          .map(({ exitCode, output }) => `check exited with ${exitCode}: ${output.trim().slice(0, 500)}`);
        return [
          `${container.service} (${container.status})`,
          ...checks,
          (logs.get(container.id) ?? '').trim(),
        ]
          .filter(Boolean)
          .join('\n');
      })
      .join('\n\n');
  }

  #warnOfSlowChecks(containers: readonly Container[], services: readonly string[]): void {
    for (const container of containers) {
      if (!services.includes(container.service) || container.oneOff || container.status !== 'running')
        continue;
      if (!container.health)
        this.#open.log.warning(
          `${this.host}: ${container.service} has no health check: "running" is all that was proven of it`,
        );
      else if (
        container.health.interval > this.#settings.stabilityWindow &&
        this.#settings.stabilityWindow > 0
      )
        this.#open.log.warning(
          `${this.host}: ${container.service} is checked every ${formatDuration(container.health.interval)}, more rarely than the stability window of ${formatDuration(this.#settings.stabilityWindow)}`,
        );
    }
  }

  #countDowntime(): void {
    if (this.#switchedAt === undefined) return;
    this.downtime += this.#open.clock.now() - this.#switchedAt;
    this.#switchedAt = undefined;
  }

  // Going back

  async needsRollBack(): Promise<boolean> {
    this.#pending ??= (await this.#state.current()).pending;
    return this.#pending !== undefined && this.#pending.phase !== 'left';
  }

  async rollBack(
    reason: string,
    { to, timeout }: { to?: string; timeout?: number } = {},
  ): Promise<RolledBack> {
    this.#pending ??= (await this.#state.current()).pending;
    const pending = this.#pending;
    const left = pending?.to ?? this.serving;
    const target = to ?? pending?.from ?? undefined;
    if (!pending && (!to || to === this.serving))
      return { serving: this.serving, verified: true, message: 'Nothing was changed.' };
    try {
      this.#open.lock?.check();
      if (!target) {
        this.name = await this.#nameOf(left);
        await this.#setPhase('rolling-back');
        return await this.#stopWhatWasStarted(pending, reason);
      }
      const record = await this.#state.release(target);
      this.name = record.project;
      const replaced = pending?.phase !== 'placed';
      if (pending) await this.#setPhase('rolling-back');
      // A host that was finished goes back with its fleet: from here on it is under way again.
      else await this.#begin(left ?? target, target, await this.#containers(), {}, 'rolling-back');
      if (replaced && this.#settings.preRollback.trim())
        await this.#hook(target, 'pre-rollback', this.#settings.preRollback);
      await this.#restoreTags(pending);
      await this.#put(record);
      const hostEnv = await this.#state.read(`${this.#state.releasePath(target)}/env`);
      // The env file as it lay before an env-file input replaced it.
      if (record.envFile === null && hostEnv !== undefined && (await this.#replacedEnv(pending)))
        await this.#state.write({ [`${this.directory}/${this.#settings.envFilePath}`]: hostEnv });
      const containers = await this.#containers();
      const strangers = await this.#strangers(containers, record, left, pending);
      if (strangers.length > 0)
        await this.#docker(['rm', '-f', ...strangers.map(({ id }) => id)], 'cannot remove new containers');
      const changed = record.services.filter((service) => !untouched(pending, containers, service, record));
      this.#switchedAt ??= this.#open.clock.now();
      if (changed.length > 0) await this.#up(record, this.#open.log, containers, changed);
      const verdict = await this.verify(target, timeout);
      if (!verdict.good) return await this.#notBack(reason, verdict.reason);
      if (left && left !== target) await this.#state.markBad(left, reason);
      await this.#state.settle(
        { ...record, verifiedAt: record.verifiedAt ?? this.#now() },
        `rolled back to ${target}: ${reason} ${this.#open.owner.runUrl}`,
      );
      this.#pending = undefined;
      this.serving = target;
      return { serving: target, verified: true, message: `Rolled back to ${target}, verified.` };
    } catch (error) {
      if (this.#open.signal?.aborted) throw error;
      return this.#notBack(reason, error instanceof Error ? error.message : String(error));
    }
  }

  /** Containers of services that only the release that is left has. */
  async #strangers(
    containers: readonly Container[],
    record: ReleaseRecord,
    left: string | undefined,
    pending: PendingRecord | undefined,
  ): Promise<Container[]> {
    const leftRecord = left ? await this.#state.release(left).catch(() => undefined) : undefined;
    return containers.filter(
      ({ service, oneOff }) =>
        !oneOff &&
        !record.services.includes(service) &&
        !(pending && service in pending.containers) &&
        leftRecord?.services.includes(service),
    );
  }

  async #nameOf(id: string | undefined): Promise<string> {
    return id ? (await this.#state.release(id)).project : this.name;
  }

  async #notBack(reason: string, why: string): Promise<RolledBack> {
    const target = this.#pending?.from ?? 'the earlier release';
    await this.#state.audit(`rollback to ${target} failed: ${why} (after: ${reason})`).catch(() => {});
    return { serving: undefined, verified: false, message: `Going back to ${target} failed too: ${why}.` };
  }

  async #stopWhatWasStarted(pending: PendingRecord | undefined, reason: string): Promise<RolledBack> {
    const containers = await this.#containers();
    const started = containers.filter(
      ({ id, service, status }) =>
        !(pending?.containers[service] ?? []).includes(id) &&
        ['running', 'restarting', 'paused'].includes(status),
    );
    if (started.length > 0)
      await this.#docker(['stop', ...started.map(({ id }) => id)], 'cannot stop what was started');
    await this.#restoreTags(pending);
    if (pending) await this.#state.markBad(pending.to, reason);
    await this.#state.clearPending();
    this.#pending = undefined;
    await this.#state.audit(`stopped the failed first release: ${reason} ${this.#open.owner.runUrl}`);
    return {
      serving: undefined,
      verified: true,
      message: 'Nothing ran here before, so what was started is stopped (its containers and logs are kept).',
    };
  }

  async #replacedEnv(pending: PendingRecord | undefined): Promise<boolean> {
    if (!pending) return false;
    const left = await this.#state.release(pending.to).catch(() => undefined);
    return left?.envFile === this.#settings.envFilePath;
  }

  async #restoreTags(pending: PendingRecord | undefined): Promise<void> {
    const pairs = Object.entries(pending?.tags ?? {}).flatMap(([reference, id]) =>
      id ? [id, reference] : [],
    );
    await this.#tag(pairs);
  }

  async #setPhase(phase: PendingRecord['phase']): Promise<void> {
    if (!this.#pending) return;
    this.#pending = { ...this.#pending, phase };
    await this.#state.setPending(this.#pending);
  }

  async leaveAsItIs(): Promise<void> {
    await this.#setPhase('left');
  }

  // Watching

  async connections(port: number): Promise<number | undefined> {
    const containers = (await this.#containers()).filter(({ status }) => status === 'running');
    let total: number | undefined;
    for (const container of containers)
      for (const binding of container.ports) {
        if (binding.host !== port || container.pid <= 0 || container.hostNetwork) continue;
        const { code, stdout } = await this.#shell.run(scripts.tcpTables, { args: [String(container.pid)] });
        if (code !== 0) return undefined;
        total =
          (total ?? 0) + connections(stdout, { port: binding.container, addresses: container.addresses });
        break;
      }
    return total;
  }

  async writeNote(name: 'fleet', value: unknown): Promise<void> {
    await this.#state.write({ [`${this.#state.path}/${name}.json`]: JSON.stringify(value) });
  }

  async readNote(name: 'fleet'): Promise<unknown> {
    const text = await this.#state.read(`${this.#state.path}/${name}.json`);
    try {
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.#open.lock?.release();
  }

  leave(): void {
    this.#open.lock?.leave();
  }

  // The host

  /** Lays out a release's directory: files, env, environment, arguments. Answers what Compose makes of them. */
  async #layOut(
    directory: string,
    { files, env, override }: { files: string[]; env?: string; override?: string },
  ): Promise<{ config: ComposeConfig; hashes: Record<string, string>; args: string }> {
    const settings = this.#settings;
    const ownEnv = settings.envFile === undefined ? [] : Object.keys(parseEnvFile(settings.envFile));
    const cleared = ownEnv.filter(
      (name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !/^(PATH|HOME|IFS|DOCKER_.*)$/.test(name),
    );
    const lines = (items: string[]) => items.map((item) => `${item}\n`).join('');
    const args = () =>
      lines([
        ...(this.name ? ['-p', this.name] : []),
        '--project-directory',
        composeDirectory(this.directory, files),
        ...files.flatMap((file, index) => ['-f', `${directory}/files/${index}-${file.split('/').at(-1)}`]),
        ...(override === undefined ? [] : ['-f', `${directory}/override.json`]),
        '--env-file',
        env === undefined ? '/dev/null' : `${directory}/env`,
        ...settings.profiles.flatMap((profile) => ['--profile', profile]),
      ]);
    if (settings.projectName) this.name = settings.projectName;
    await this.#state.write({
      [`${directory}/environment`]: lines(
        Object.entries(settings.environment).map(([name, value]) => `${name}=${value}`),
      ),
      [`${directory}/cleared`]: lines(cleared),
      [`${directory}/args`]: args(),
      ...(env === undefined ? {} : { [`${directory}/env`]: env }),
      ...(override === undefined ? {} : { [`${directory}/override.json`]: override }),
    });
    const result = await this.#shell.run(scripts.readConfig, {
      args: [this.directory, this.#open.kind, directory, ...files],
      timeout: 60_000,
    });
    if (result.code !== 0)
      throw new UserError(
        `the Compose file in ${this.directory} on ${this.host} is not valid: ${lastLine(result.stderr)}`,
        { next: `cd ${this.directory} && docker compose config --quiet` },
      );
    const at = result.stdout.indexOf('config\n{');
    const config = parseConfig(result.stdout.slice(at + 'config\n'.length));
    this.name ||= config.name;
    return { config, hashes: parseHashes(result.stdout.slice(0, at)), args: args() };
  }

  /** The Compose files of this project, by the inputs or as Compose itself chooses, and the env file that lies there. */
  async #lookForFiles(): Promise<{ files: string[]; hostEnv?: string }> {
    const wanted = this.#settings.composeFiles;
    const candidates = wanted.length > 0 ? wanted : [...defaultFiles, ...overrideFiles];
    const { stdout } = await must(
      this.#shell,
      scripts.lookForFiles,
      { args: [this.directory, this.#settings.envFilePath, ...candidates] },
      'cannot look for Compose files',
    );
    const at = stdout.search(/^env$/m);
    const found = new Set(
      [...stdout.slice(0, at < 0 ? undefined : at).matchAll(/^file (.*)$/gm)].map(([, name]) => name),
    );
    return {
      files: this.#chooseFiles(wanted, found),
      hostEnv: at < 0 ? undefined : stdout.slice(at + 'env\n'.length),
    };
  }

  #chooseFiles(wanted: string[], found: ReadonlySet<string | undefined>): string[] {
    if (wanted.length > 0) {
      const missing = wanted.filter((file) => !found.has(file));
      if (missing.length > 0)
        throw new UserError(`${this.host} has no ${missing.join(', ')} in ${this.directory}`, {
          next: `ls ${this.directory}`,
        });
      return wanted;
    }
    const base = defaultFiles.find((file) => found.has(file));
    if (!base)
      throw new UserError(
        `${this.host} has no Compose file in ${this.directory}: none of ${defaultFiles.join(', ')}`,
        { next: `give compose-files, or copy one to ${this.directory}` },
      );
    const override = overrideFiles.find((file) => found.has(file));
    return override ? [base, override] : [base];
  }

  #requireEnvironment(env: string): void {
    const variables: Record<string, string> = { ...parseEnvFile(env), ...this.#settings.environment };
    const missing = this.#settings.requiredEnv.filter((name) => !variables[name]);
    if (missing.length > 0)
      throw new UserError(
        `${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} required (required-env) and not set on ${this.host}`,
        { next: `add to ${this.#settings.envFilePath}, env-file or environment` },
      );
  }

  #checkServices(config: ComposeConfig, named: readonly string[]): void {
    const unknown = [...new Set(named)].filter((service) => !config.services[service]);
    if (unknown.length > 0)
      throw new UserError(
        `the Compose file on ${this.host} has no service ${unknown.join(', ')}; it has ${Object.keys(config.services).join(', ')}`,
      );
  }

  /**
   * Refuses when the name belongs to another directory, or this directory's containers run under another
   * name. Answers the project's containers.
   */
  async #checkOwnership(config: ComposeConfig, files: readonly string[]): Promise<Container[]> {
    const home = composeDirectory(this.directory, files);
    const all = await this.#inspect(this.#label, `com.docker.compose.project.working_dir=${home}`);
    const containers = all.filter(({ project }) => project === this.name);
    const foreign = containers.find(
      ({ workingDirectory }) => workingDirectory && ![home, this.directory].includes(workingDirectory),
    );
    if (foreign)
      throw new UserError(
        `the project name ${this.name} on ${this.host} belongs to ${foreign.workingDirectory}: its container ${foreign.name} runs from there`,
        { next: 'give another project-name' },
      );
    const other = all.find(({ project }) => project && project !== this.name);
    if (other)
      throw new UserError(
        `the containers of ${home} on ${this.host} run under the project name ${other.project}, not ${this.name}: two stacks would run side by side`,
        { next: `give project-name: ${other.project}` },
      );
    if (config.name !== this.name)
      throw new UserError(`Compose calls this project ${config.name}, not ${this.name}`);
    return containers;
  }

  #checkSpace(): void {
    const { free } = this.#open;
    if (free !== undefined && free < 50 * 1024)
      throw new UserError(`${this.host} has only ${Math.round(free / 1024)} MB of disk left`, {
        next: 'docker system df',
      });
  }

  /** The way back: the serving release if that is what runs, else a new record of what does. */
  async #recordWhatRuns(
    containers: readonly Container[],
    { files, hostEnv, config }: { files: string[]; hostEnv?: string; config?: ComposeConfig },
  ): Promise<void> {
    // After an interrupted run what runs is its mixture; the way back is what ran before it.
    if (this.#pending) return;
    const own = containers.filter(({ oneOff, service }) => !oneOff && service);
    if (!own.some(({ status }) => status === 'running')) return;
    const serving = this.serving ? await this.#state.release(this.serving).catch(() => undefined) : undefined;
    if (
      serving &&
      own.every((container) => {
        const image = serving.images[container.service];
        return !image || image.id === container.image;
      })
    )
      return;
    const id = this.#open.release.replace(/-[a-z0-9]+-([a-z0-9]{4})$/, '-initial-$1');
    const directory = this.#state.releasePath(id);
    const rendered = config ?? (await this.#layOut(directory, { files, env: hostEnv })).config;
    const override: Record<string, { image?: string; environment?: Record<string, string> }> = {};
    for (const container of own) {
      const service = rendered.services[container.service];
      if (service && container.reference && service.image !== container.reference)
        override[container.service] = { image: container.reference.replaceAll('$', '$$$$') };
    }
    const lay = () =>
      this.#layOut(directory, {
        files,
        env: hostEnv,
        override: Object.keys(override).length > 0 ? JSON.stringify({ services: override }) : undefined,
      });
    const { config: first, ...laid } = await lay();
    let { hashes, args } = laid;
    const differing = own.filter(
      ({ service, configHash }) => first.services[service] && configHash && hashes[service] !== configHash,
    );
    if (differing.length > 0) {
      // The file or its variables changed since these were started: at least their environment is kept as it was.
      for (const { service, environment } of differing)
        override[service] = {
          ...override[service],
          environment: Object.fromEntries(
            environment.map((line) => {
              const at = line.indexOf('=');
              return [line.slice(0, at), line.slice(at + 1).replaceAll('$', '$$$$')];
            }),
          ),
        };
      ({ hashes, args } = await lay());
      this.#open.log.warning(
        `${this.host}: the Compose file or its variables changed since ${differing.map(({ service }) => service).join(', ')} started; going back would use the old image and environment with the file as it lies now`,
      );
    }
    const covered = [
      ...new Set(own.filter(({ service }) => first.services[service]).map(({ service }) => service)),
    ];
    const images = Object.fromEntries(
      own.map(({ service, reference, image }) => [service, { reference, id: image }]),
    );
    const good = judge(
      containers,
      covered.map((service) => ({ service, replicas: 1 })),
      this.host,
    );
    await this.#tag(this.#keepTags(id, images));
    const record: ReleaseRecord = {
      version: 1,
      id,
      commit: 'initial',
      createdAt: this.#now(),
      baseline: true,
      project: this.name,
      services: covered,
      named: covered,
      replicas: Object.fromEntries(
        covered.map((service) => [service, own.filter((container) => container.service === service).length]),
      ),
      images,
      hashes,
      mounts: await this.#mounts(first, covered),
      content: '',
      envFile: null,
      verifiedAt: good.state === 'good' ? this.#now() : null,
    };
    await this.#state.saveRelease(record, { [`${directory}/args`]: args });
    await this.#state.setServing(id);
    this.serving = id;
    this.#open.log.info(`${this.host}: recorded what runs now as release ${id}`);
    if (good.state !== 'good')
      this.#open.log.warning(`${this.host}: what runs now is not healthy: ${good.reason}`);
  }

  async #pull(
    directory: string,
    config: ComposeConfig,
    services: readonly string[],
    pins: Readonly<Record<string, string>>,
    containers: readonly Container[],
  ): Promise<Record<string, ReleaseImage>> {
    const settings = this.#settings;
    const { log } = this.#open;
    const deadline = new Deadline(this.#open.clock, settings.stageTimeout);
    const references = services.flatMap((service) => config.services[service]?.image ?? []);
    const before = await this.#imageIds(references);
    const login = settings.registry
      ? await logIn(this.#shell, settings.registry, {
          directory: this.directory,
          token: this.#open.lockToken,
          timeout: deadline.remaining(),
        })
      : '';
    try {
      const named = settings.services.length > 0 ? settings.services : services;
      const running = new Set(containers.map(({ service }) => service));
      const plain: string[] = [];
      for (const service of services) {
        const reference = config.services[service]?.image;
        const pin = pins[service];
        if (pin) {
          if (!reference)
            throw new UserError(
              `${service} has no image: in the Compose file, so image ${pin} cannot be given to it`,
            );
          await this.#docker(['pull', pin], `cannot pull ${pin}`, { login, timeout: deadline.remaining() });
        } else if (!reference) {
          throw new UserError(
            `${service} on ${this.host} is built, not pulled (no image: in the Compose file); images: build is not supported by this version yet`,
          );
        } else if (named.includes(service) || !(before.has(reference) || running.has(service)))
          plain.push(service);
      }
      const pullable = plain.filter((service) => !config.services[service]?.image?.startsWith('sha256:'));
      if (pullable.length > 0) {
        log.info(`${this.host}: pulling ${pullable.join(', ')}`);
        await this.#compose(directory, ['pull', '--quiet', ...pullable], `cannot pull`, {
          login,
          timeout: deadline.remaining(),
        });
      }
    } finally {
      if (login) await this.#state.remove(login);
    }
    const named = settings.services.length > 0 ? settings.services : services;
    const told = new Set(named.map((service) => config.services[service]?.image));
    const wanted = new Map(
      services.map((service) => {
        const reference = config.services[service]?.image ?? '';
        // Not deployed, only depended on: its tag may have moved on the host, and it must stay what it is.
        const running = containers.find((container) => container.service === service && !container.oneOff);
        const stays = running && !named.includes(service) && !pins[service] && !told.has(reference);
        return [service, stays ? running.image : (pins[service] ?? reference)];
      }),
    );
    const ids = await this.#imageIds([...new Set(wanted.values())]);
    const images: Record<string, ReleaseImage> = {};
    const byReference = new Map<string, { service: string; id: string }>();
    for (const [service, reference] of wanted) {
      const image = ids.get(reference);
      if (!image) throw new UserError(`${reference} is not on ${this.host} after the pull`);
      const inFile = config.services[service]!.image!;
      const other = byReference.get(inFile);
      if (other && other.id !== image.id && movable(inFile))
        throw new UserError(
          `${service} and ${other.service} both have image: ${inFile}, but were given different images`,
          { next: `name both in the input image, with the same digest` },
        );
      byReference.set(inFile, { service, id: image.id });
      const repository = repositoryOf(reference);
      images[service] = {
        reference: inFile,
        id: image.id,
        digest: reference.includes('@')
          ? reference
          : image.digests.find((digest) => digest.startsWith(`${repository}@`)),
      };
    }
    // The host's tags move with the switch, not with the pull.
    await this.#tag([
      ...this.#keepTags(this.#open.release, images),
      ...[...before].flatMap(([reference, { id }]) =>
        movable(reference) && byReference.get(reference)?.id !== id ? [id, reference] : [],
      ),
    ]);
    return images;
  }

  /** For a dry run: what is known without pulling. */
  async #imagesAtHand(
    config: ComposeConfig,
    services: readonly string[],
    pins: Readonly<Record<string, string>>,
  ): Promise<Record<string, ReleaseImage>> {
    const wanted = services.flatMap((service) => {
      const reference = pins[service] ?? config.services[service]?.image;
      return reference ? [[service, reference] as const] : [];
    });
    const ids = await this.#imageIds(wanted.map(([, reference]) => reference));
    return Object.fromEntries(
      wanted.map(([service, reference]) => [
        service,
        {
          reference: config.services[service]?.image ?? reference,
          id: ids.get(reference)?.id ?? 'not pulled yet',
        },
      ]),
    );
  }

  #plan(
    config: ComposeConfig,
    hashes: Readonly<Record<string, string>>,
    services: readonly string[],
    images: Record<string, ReleaseImage>,
    containers: readonly Container[],
    changed: Record<string, string[]>,
  ): ServiceChange[] {
    this.#changed = planChanges(containers, {
      services,
      known: Object.keys(config.services),
      hashes,
      images,
      changedMounts: changed,
    });
    return this.#changed;
  }

  async #mounts(
    config: ComposeConfig,
    services: readonly string[],
  ): Promise<Record<string, Record<string, string>>> {
    const paths = [...new Set(services.flatMap((service) => config.services[service]?.mounts ?? []))];
    if (paths.length === 0) return {};
    const { stdout } = await this.#shell.run(scripts.checksums, { args: paths });
    const sums = new Map(
      stdout.split('\n').flatMap((line) => {
        const [, sum, path] = /^(\d+ \d+) (.+)$/.exec(line) ?? [];
        return sum && path ? [[path, sum] as const] : [];
      }),
    );
    return Object.fromEntries(
      services.flatMap((service) => {
        const own = (config.services[service]?.mounts ?? []).filter((path) => sums.has(path));
        return own.length > 0
          ? [[service, Object.fromEntries(own.map((path) => [path, sums.get(path)!]))]]
          : [];
      }),
    );
  }

  get #label(): string {
    return `com.docker.compose.project=${this.name}`;
  }

  #containers(): Promise<Container[]> {
    return this.#inspect(this.#label);
  }

  async #inspect(...labels: string[]): Promise<Container[]> {
    const { stdout } = await must(
      this.#shell,
      scripts.inspectLabelled,
      { args: labels, timeout: 60_000 },
      'docker inspect failed',
    );
    return parseContainers(stdout);
  }

  async #imageIds(references: readonly string[]): Promise<Map<string, { id: string; digests: string[] }>> {
    const found = new Map<string, { id: string; digests: string[] }>();
    if (references.length === 0) return found;
    const { stdout } = await must(
      this.#shell,
      scripts.imageIds,
      { args: [...new Set(references)], timeout: 60_000 },
      'docker image inspect failed',
    );
    for (const part of stdout.split(/^--- /m).slice(1)) {
      const end = part.indexOf('\n');
      const [image] = JSON.parse(part.slice(end)) as Array<{ Id: string; RepoDigests?: string[] | null }>;
      if (image) found.set(part.slice(0, end).trim(), { id: image.Id, digests: image.RepoDigests ?? [] });
    }
    return found;
  }

  /** A tag of our own keeps each image on the host for as long as the release is kept. Pairs of id and tag. */
  #keepTags(id: string, images: Readonly<Record<string, ReleaseImage>>): string[] {
    return Object.entries(images).flatMap(([service, image]) => [image.id, this.#keepTag(id, service)]);
  }

  #keepTag(id: string, service: string): string {
    return `lockkeeper/${this.name}:${service}-${id}`;
  }

  async #untag(records: readonly ReleaseRecord[]): Promise<void> {
    const tags = records.flatMap(({ id, images }) =>
      Object.keys(images).map((service) => this.#keepTag(id, service)),
    );
    for (const tag of tags) await this.#shell.run(scripts.dockerRead, { args: ['image', 'rm', tag] });
  }

  async #prune(serving: string): Promise<void> {
    const list = await this.#state.releases();
    const gone = obsoleteReleases(list, serving, this.#settings.keepReleases);
    if (gone.length === 0) return;
    const kept = new Set(
      list.releases
        .filter((release) => !gone.includes(release))
        .flatMap(({ images }) => Object.values(images).map(({ id }) => id)),
    );
    await this.#untag(gone);
    const unused = new Map(
      gone.flatMap(({ images }) =>
        Object.values(images)
          .filter(({ id }) => !kept.has(id))
          .map(({ id, reference }) => [reference, id] as const),
      ),
    );
    const now = await this.#imageIds([...unused.keys()]);
    for (const [reference, id] of unused)
      if (now.get(reference)?.id === id)
        // Refused by Docker while any container uses it, as it should be.
        await this.#shell.run(scripts.dockerRead, { args: ['image', 'rm', reference] });
    for (const { id } of gone) {
      await this.#state.remove(this.#state.releasePath(id));
      await this.#state.clearBad(id);
    }
    this.#open.log.info(
      `${this.host}: ${gone.length} old releases removed, ${list.releases.length - gone.length} kept`,
    );
  }

  async #tag(pairs: readonly string[]): Promise<void> {
    if (pairs.length === 0) return;
    await must(
      this.#shell,
      scripts.tagImages,
      { args: [this.directory, this.#open.lockToken, ...pairs], timeout: 60_000 },
      'docker tag failed',
    );
  }

  async #docker(
    args: readonly string[],
    what: string,
    { login = '', timeout = this.#settings.commandTimeout }: { login?: string; timeout?: number } = {},
  ): Promise<void> {
    await this.#step(scripts.dockerStep, [login, ...args], what, timeout);
  }

  async #compose(
    release: string,
    args: readonly string[],
    what: string,
    { login = '', timeout = this.#settings.commandTimeout }: { login?: string; timeout?: number } = {},
  ): Promise<void> {
    await this.#step(scripts.composeStep, [this.#open.kind, release, login, ...args], what, timeout);
  }

  async #hook(id: string, name: string, lines: string): Promise<void> {
    const release = this.#state.releasePath(id);
    const file = `${release}/${name}`;
    await this.#state.write({ [file]: lines.replaceAll('\r\n', '\n') });
    this.#open.log.info(`${this.host}: ${name}`);
    await this.#step(
      scripts.runHook,
      [this.#open.kind, release, file],
      `${name} failed`,
      this.#settings.commandTimeout,
    );
  }

  /** Everything that changes the host goes through here: shown as it runs, with a limit, stopped by a cancel. */
  async #step(script: string, args: readonly string[], what: string, timeout: number): Promise<void> {
    this.#open.lock?.check();
    const { log, signal } = this.#open;
    const result = await this.#shell.run(script, {
      args: [this.directory, this.#open.lockToken, ...args],
      timeout,
      signal,
      onOutput: (text) => log.remote(this.host, text),
    });
    if (result.code === 0) return;
    const said = lastLine(result.stderr || result.stdout);
    throw new UserError(`${what} on ${this.host} (exit code ${result.code}): ${said}`, {
      details: `${result.stdout.slice(-2000)}\n${result.stderr.slice(-4000)}`.trim() || undefined,
      next: pullHint(said),
    });
  }

  async #temporary(): Promise<string> {
    const { stdout } = await must(this.#shell, scripts.temporary, {}, 'cannot make a temporary directory');
    return stdout.trim();
  }

  #now(): string {
    return new Date(this.#open.clock.now()).toISOString();
  }
}

function pullHint(said: string): string | undefined {
  if (/manifest unknown|not found/i.test(said))
    return 'does the tag exist in the registry? was it pushed before this step?';
  if (/unauthorized|denied|authentication required/i.test(said))
    return 'give registry, registry-username and registry-password';
  return undefined;
}

/** Compose resolves relative paths from the directory of its first file. */
function composeDirectory(directory: string, files: readonly string[]): string {
  const parts = (files[0] ?? '')
    .split('/')
    .slice(0, -1)
    .filter((part) => part && part !== '.');
  return [directory, ...parts].join('/');
}

/** Whether `docker tag` can make the reference stand for another image: not for a digest or an id. */
function movable(reference: string): boolean {
  return !reference.includes('@') && !reference.startsWith('sha256:');
}

function movableReferences(record: ReleaseRecord): string[] {
  return [...new Set(Object.values(record.images).map(({ reference }) => reference))].filter(movable);
}

function repositoryOf(reference: string): string {
  return reference.split('@')[0]!.replace(/:[^/:]*$/, '');
}

function sameContainers(before: readonly Container[], after: readonly Container[], service: string): boolean {
  const ids = (containers: readonly Container[]) =>
    containers
      .filter((container) => container.service === service && !container.oneOff)
      .map(({ id }) => id)
      .sort()
      .join();
  return ids(before) === ids(after);
}

/** Whether a service still is what it was before the deploy, and runs. */
function untouched(
  pending: PendingRecord | undefined,
  containers: readonly Container[],
  service: string,
  record: ReleaseRecord,
): boolean {
  if (!pending) return false;
  const image = record.images[service]?.id;
  const own = containers.filter((container) => container.service === service && !container.oneOff);
  const before = pending.containers[service] ?? [];
  return (
    own.length === before.length &&
    own.every(
      (container) =>
        before.includes(container.id) &&
        (image === undefined || container.image === image) &&
        (container.status === 'running' || (container.status === 'exited' && container.exitCode === 0)),
    )
  );
}

function changedMounts(before: ReleaseRecord | undefined, now: ReleaseRecord): Record<string, string[]> {
  if (!before) return {};
  return Object.fromEntries(
    Object.entries(now.mounts).flatMap(([service, files]) => {
      const old = before.mounts[service];
      const changed = old
        ? Object.keys(files).filter((path) => old[path] !== undefined && old[path] !== files[path])
        : [];
      return changed.length > 0 ? [[service, changed.map((path) => path.split('/').at(-1)!)]] : [];
    }),
  );
}

function contentHash(
  record: ReleaseRecord,
  environment: Record<string, string>,
  env: string | undefined,
): string {
  const { project, services, named, hashes, mounts, images } = record;
  const ids = Object.fromEntries(Object.entries(images).map(([service, { id }]) => [service, id]));
  return createHash('sha256')
    .update(JSON.stringify([project, services, named, hashes, mounts, ids, environment, env ?? null]))
    .digest('hex');
}

import { Cancelled, type Log, messageOf, UserError } from '@lockkeeper/action';
import {
  askHealth,
  Locked,
  openProject,
  type Project,
  type ReleaseSettings,
  type Repository,
  type RunnerImages,
  type SingletonRole,
  type StagedRelease,
} from '@lockkeeper/compose';
import { connect, type Shell, type SshTarget } from '@lockkeeper/ssh';
import type { Clock } from '@lockkeeper/wait';
import limited from 'p-limit';
import type { SshAddress } from '../plan/members.ts';
import type { HostRecord, OnFailure } from '../roll/roll.ts';
import type { FleetHost } from '../roll/roll-context.ts';
import { atHost, type Door } from './host-error.ts';

export interface FleetSettings {
  ssh: Omit<SshTarget, 'host'>;
  release: ReleaseSettings;
  /** The id of this run's release. */
  releaseId: string;
  commit: string;
  repository: Repository;
  owner: { repository: string; runUrl: string };
  lockToken: string;
  /** For `images: transfer`. */
  runnerImages?: RunnerImages;
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

/** How many hosts are worked on side by side while nothing is out of rotation. */
export const atOnce = 10;
/** Milliseconds that health-url may take to answer while a host is watched. */
const healthPatience = 5_000;

/** The hosts of the roll over SSH, each with its Compose project, locked for this run. */
export class Fleet {
  readonly #settings: FleetSettings;
  readonly #machines = new Map<string, Machine>();
  /** What the first host found tags and branches to be. */
  #resolved: { pins: Record<string, string>; commit: string | undefined } | undefined;
  /** The release that `rollback-to` stands for, as the first host knows it. */
  #goal: string | undefined;

  constructor(settings: FleetSettings) {
    this.#settings = settings;
  }

  /**
   * Connects to hosts side by side, then locks them in the order of their addresses, the same for every run, so that
   * two runs never wait for each other. Throws one UserError that names every host that cannot be used.
   */
  async open(members: ReadonlyArray<{ id: string; address: SshAddress }>): Promise<void> {
    const limit = limited(atOnce);
    const wanted = members.filter(({ id }) => !this.#machines.has(id));
    const reached = await Promise.allSettled(
      wanted.map(({ id, address }) =>
        limit(async () => new Machine(this.#doorOf(id, address), await this.#connect(address))),
      ),
    );
    const machines = reached.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    for (const machine of machines) this.#machines.set(machine.id, machine);
    this.#settings.signal?.throwIfAborted();
    const problems = reached.flatMap((one, index) =>
      one.status === 'rejected'
        ? [atHost(this.#doorOf(wanted[index]!.id, wanted[index]!.address), one.reason)]
        : [],
    );
    if (problems.length > 0) refuse(problems);
    const ordered = [...machines].sort((a, b) => (a.shell.name < b.shell.name ? -1 : 1));
    for (const machine of ordered)
      machine.project = await machine.named(openProject({ ...this.#context(), shell: machine.shell }));
  }

  machine(id: string): Machine {
    const machine = this.#machines.get(id);
    if (!machine) throw new Error(`${id} is not open`);
    return machine;
  }

  get machines(): Machine[] {
    return [...this.#machines.values()];
  }

  /**
   * Stages the release on these hosts, or finds the one to go back to. The first host of all resolves what tags stand
   * for; the others take exactly those images, and the commit that it found a branch to be.
   */
  async stage(ids: readonly string[]): Promise<Map<string, StagedRelease>> {
    const { rollbackTo } = this.#settings.release;
    const limit = limited(atOnce);
    const machines = ids.map((id) => this.machine(id));
    const staged = new Map<string, StagedRelease>();
    const stageOn = async ({ ready }: Machine) =>
      rollbackTo === undefined ? ready.stage(this.#resolved) : ready.resolveRelease(this.#goal ?? rollbackTo);
    const [first] = machines;
    if (first && this.#resolved === undefined) {
      const one = await stageOn(first);
      this.#resolved = { pins: pinsOf(one), commit: one.commit };
      this.#goal = one.id;
      staged.set(first.id, one);
    }
    const others = await settle(
      machines
        .filter(({ id }) => !staged.has(id))
        .map((machine) => ({ machine, work: limit(() => stageOn(machine)) })),
    );
    for (const [id, one] of others) staged.set(id, one);
    for (const machine of machines) machine.before = machine.ready.serving;
    return staged;
  }

  /** Whether hosts that need no change are also well: a deploy that changes nothing still proves it. */
  async verifyUnchanged(staged: ReadonlyMap<string, StagedRelease>): Promise<Map<string, boolean>> {
    const limit = limited(atOnce);
    const verdicts = await settle(
      [...staged].map(([id, { unchanged, plan, ...one }]) => ({
        machine: this.machine(id),
        work: limit(async () => {
          const machine = this.machine(id);
          const serving = machine.ready.serving;
          const same =
            unchanged || (serving === one.id && plan.every(isUnchanged) && !machine.ready.interrupted);
          if (!same || serving === undefined) return false;
          const verdict = await machine.ready.verify(serving);
          if (!verdict.good) this.#settings.log.warning(`${machine.id}: ${verdict.reason}`);
          return verdict.good;
        }),
      })),
    );
    return new Map(verdicts);
  }

  /** The hosts as the roll works on them, for a release that is staged. */
  hosts(release: string, wayBack: (id: string) => SingletonRole): (id: string) => FleetHost {
    return (id) => {
      const machine = this.machine(id);
      const project = machine.ready;
      return {
        switchOver: () => machine.named(switchOver(project, release)),
        async goBack(reason) {
          // Once settled the host's own record names the new release; what ran before must be named.
          const to = machine.settled ? machine.before : undefined;
          await machine.named(goBack(project, reason, { to, singletons: wayBack(id) }));
          machine.settled = false;
        },
        connections: (port) => project.connections(port),
        unwell: () => this.#unwell(machine),
        async settle() {
          await project.settle(release);
          machine.settled = true;
        },
      };
    };
  }

  /** Which of the singleton services run on a host; undefined where no deploy of ours was. */
  async singletonsOn(id: string): Promise<string[] | undefined> {
    const { ready } = this.machine(id);
    if (ready.serving === undefined) return undefined;
    return ready.running(this.#settings.release.singletonServices);
  }

  /** From now on this host runs the singleton services. */
  holdSingletons(id: string): void {
    const machine = this.machine(id);
    machine.ready.holdSingletons();
    // What it has of this roll already is what it goes back to.
    if (machine.settled) machine.before = machine.ready.serving;
  }

  /** Writes the same record on every host; where that fails the roll must not begin. */
  async writeRecord(record: unknown): Promise<void> {
    const limit = limited(atOnce);
    await settle(
      this.machines.map((machine) => ({
        machine,
        work: limit(() => machine.ready.writeNote('fleet', record)),
      })),
    );
  }

  /** Hosts that are gone for good: nothing is asked of them any more. */
  async forget(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const gone = this.#machines.get(id);
      this.#machines.delete(id);
      gone?.project?.leave();
      await gone?.shell.close().catch(() => {});
    }
  }

  /** Gives the locks back (unless post goes on with them) and ends the connections. Only warns. */
  async close({ keepLocks = false } = {}): Promise<void> {
    await Promise.all(
      this.machines.map(async ({ shell, project }) => {
        try {
          if (keepLocks) project?.leave();
          else await project?.close();
          await shell.close();
        } catch (error) {
          this.#settings.log.warning(`${shell.name} was not left in order: ${messageOf(error)}`);
        }
      }),
    );
    this.#machines.clear();
  }

  /** Once, on the host that is switched first, before anybody drains. */
  async preDeploy(id: string, release: string): Promise<void> {
    const machine = this.machine(id);
    try {
      await machine.named(machine.ready.preDeploy(release));
    } catch (error) {
      if (await machine.ready.needsRollBack()) await machine.ready.rollBack(messageOf(error));
      throw error;
    }
  }

  /** Each host's own record follows where the roll ended; what was staged in vain goes. Only warns. */
  async leaveInOrder(
    hosts: readonly HostRecord[],
    staged: ReadonlyMap<string, StagedRelease>,
    onFailure: OnFailure,
  ): Promise<void> {
    for (const host of hosts) {
      const { ready } = this.machine(host.id);
      try {
        if (host.skipped && this.#settings.release.rollbackTo === undefined)
          await ready.discard(staged.get(host.id)!.id);
        else if (host.release === 'old' && !ready.interrupted && (await ready.needsRollBack()))
          await ready.rollBack('the roll did not reach this host');
        else if (host.changed && host.failure && onFailure === 'stop') await ready.leaveAsItIs();
      } catch (error) {
        this.#settings.log.warning(`${host.id}: ${messageOf(error)}`);
      }
    }
  }

  async #unwell({ shell }: Machine): Promise<string | undefined> {
    const { release, clock, signal } = this.#settings;
    if (!release.health) return undefined;
    try {
      return await askHealth(shell, release.health, { timeout: healthPatience, clock, signal });
    } catch (error) {
      signal?.throwIfAborted();
      return messageOf(error);
    }
  }

  #doorOf(id: string, { host, port }: SshAddress): Door {
    const { ssh, release } = this.#settings;
    return { ...ssh, id, host, port: port ?? ssh.port, directory: release.projectDirectory };
  }

  #connect(address: SshAddress): Promise<Shell> {
    const { ssh, log, clock, signal } = this.#settings;
    return connect(targetAt(ssh, address), { log, clock, signal });
  }

  #context() {
    const { release, releaseId, ...run } = this.#settings;
    // Who does is known once all are asked.
    return { ...run, settings: release, release: releaseId, runsSingletons: false };
  }
}

/** What is connected to: the inputs' door at the host's own address, and the keys that its console showed. */
export function targetAt(
  ssh: Omit<SshTarget, 'host'>,
  { host, port = ssh.port, fingerprints = [] }: SshAddress,
): SshTarget {
  const trust = { ...ssh.trust, fingerprints: [...ssh.trust.fingerprints, ...fingerprints] };
  return { ...ssh, host, port, trust };
}

class Machine {
  readonly door: Door;
  readonly shell: Shell;
  project: Project | undefined;
  /** The release that served when we came. */
  before: string | undefined;
  settled = false;

  constructor(door: Door, shell: Shell) {
    this.door = door;
    this.shell = shell;
  }

  get id(): string {
    return this.door.id;
  }

  /** The work; what fails in it says at which host it did, once, and what to type there. */
  async named<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      // A lock and a cancel are told by their kind.
      if (!(error instanceof UserError) || error instanceof Locked || error instanceof Cancelled) throw error;
      throw atHost(this.door, error);
    }
  }

  get ready(): Project {
    if (!this.project) throw new Error(`the project on ${this.shell.name} is not open`);
    return this.project;
  }
}

const isUnchanged = ({ change }: { change: string }) => change === 'unchanged' || change === 'orphan';

/** Reference and digest of every service's image, for the hosts that stage after the first. */
function pinsOf({ images }: StagedRelease): Record<string, string> {
  return Object.fromEntries(
    Object.entries(images).flatMap(([service, { reference, digest }]) => {
      // An image that no registry knows cannot be asked for by digest; each host has its own.
      if (!digest) return [];
      return [[service, digest.includes('@') ? digest : `${repositoryOf(reference)}@${digest}`]];
    }),
  );
}

function repositoryOf(reference: string): string {
  const [name = ''] = reference.split('@');
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name;
}

/** Puts the release up and proves it. */
async function switchOver(project: Project, release: string): Promise<void> {
  await project.switchTo(release);
  const verdict = await project.verify(release);
  if (!verdict.good) throw new UserError(verdict.reason, { details: verdict.details, next: verdict.next });
  await project.postDeploy(release);
}

/** Back to what ran before, or to a release by name; throws when that is not verified. */
export async function goBack(
  project: Project,
  reason: string,
  to: { to?: string; timeout?: number; singletons?: SingletonRole },
): Promise<void> {
  const { verified, message } = await project.rollBack(reason, to);
  if (!verified) throw new UserError(message);
}

/** All of it, or one UserError that names every host where it failed. */
async function settle<T>(
  work: ReadonlyArray<{ machine: Machine; work: Promise<T> }>,
): Promise<Array<readonly [string, T]>> {
  const results = await Promise.allSettled(work.map((one) => one.work));
  const failed = results.flatMap((one, index) =>
    one.status === 'rejected' ? [{ machine: work[index]!.machine, reason: one.reason as unknown }] : [],
  );
  const bug = failed.find(({ reason }) => !(reason instanceof UserError));
  if (bug) throw bug.reason;
  if (failed.length > 0) refuse(failed.map(({ machine, reason }) => atHost(machine.door, reason)));
  return results.map(
    (one, index) => [work[index]!.machine.id, (one as PromiseFulfilledResult<T>).value] as const,
  );
}

function refuse(problems: UserError[]): never {
  throw new UserError(
    [...problems.map(({ message }) => message), 'No host was taken out of rotation.'].join('\n'),
    { next: [...new Set(problems.flatMap(({ next }) => next ?? []))].join('\n') },
  );
}

import { type Log, messageOf, UserError } from '@lockkeeper/action';
import {
  openProject,
  type Project,
  type ReleaseSettings,
  recoverHost,
  type StagedRelease,
} from '@lockkeeper/compose';
import { connect, type Shell, type SshTarget } from '@lockkeeper/ssh';
import type { Clock } from '@lockkeeper/wait';
import limited from 'p-limit';
import type { SshAddress } from './plan.ts';
import type { FleetHost } from './run-roll.ts';

export interface FleetSettings {
  ssh: Omit<SshTarget, 'host'>;
  release: ReleaseSettings;
  /** The id of this run's release. */
  releaseId: string;
  commit: string;
  owner: { repository: string; runUrl: string };
  lockToken: string;
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

/** How many hosts are worked on side by side while nothing is out of rotation. */
const atOnce = 10;

/** The hosts of the roll over SSH, each with its Compose project, locked for this run. */
export class Fleet {
  readonly #settings: FleetSettings;
  readonly #machines = new Map<string, Machine>();

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
      wanted.map(({ id, address }) => limit(async () => new Machine(id, await this.#connect(address)))),
    );
    const machines = reached.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    for (const machine of machines) this.#machines.set(machine.id, machine);
    this.#settings.signal?.throwIfAborted();
    const problems = reached.flatMap((one, index) =>
      one.status === 'rejected' ? [problem(wanted[index]!, one.reason)] : [],
    );
    if (problems.length > 0) refuse(problems);
    const ordered = [...machines].sort((a, b) => (a.shell.name < b.shell.name ? -1 : 1));
    for (const machine of ordered) {
      machine.project = await openProject({ ...this.#context(), shell: machine.shell });
    }
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
   * Stages the release on every host, or finds the one to go back to. The first host resolves what tags stand for;
   * the others take exactly those images.
   */
  async stage(): Promise<Map<string, StagedRelease>> {
    const { rollbackTo } = this.#settings.release;
    const [first, ...others] = this.machines;
    const limit = limited(atOnce);
    if (!first) return new Map();
    const one =
      rollbackTo === undefined ? await first.ready.stage() : await first.ready.resolveRelease(rollbackTo);
    const pins = pinsOf(one);
    const rest = await settle(
      others.map((machine) => ({
        machine,
        work: limit(() =>
          rollbackTo === undefined ? machine.ready.stage(pins) : machine.ready.resolveRelease(one.id),
        ),
      })),
    );
    for (const machine of this.machines) machine.before = machine.ready.serving;
    return new Map([[first.id, one] as const, ...rest]);
  }

  /** Whether hosts that need no change are also well: a deploy that changes nothing still proves it. */
  async verifyUnchanged(staged: ReadonlyMap<string, StagedRelease>): Promise<Map<string, boolean>> {
    const limit = limited(atOnce);
    const verdicts = await settle(
      this.machines.map((machine) => ({
        machine,
        work: limit(async () => {
          const { id, unchanged, plan } = staged.get(machine.id)!;
          const serving = machine.ready.serving;
          const same = unchanged || (serving === id && plan.every(isUnchanged) && !machine.ready.interrupted);
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
  hosts(release: string, { backTimeout }: { backTimeout?: number } = {}): (id: string) => FleetHost {
    return (id) => {
      const machine = this.machine(id);
      const project = machine.ready;
      return {
        async switchOver() {
          await project.switchTo(release);
          const verdict = await project.verify(release);
          if (!verdict.good)
            throw new UserError(verdict.reason, { details: verdict.details, next: verdict.next });
          await project.postDeploy(release);
        },
        async goBack(reason) {
          // Once settled the host's own record names the new release; what ran before must be named.
          const to = machine.settled ? machine.before : undefined;
          const { verified, message } = await project.rollBack(reason, { to, timeout: backTimeout });
          if (!verified) throw new UserError(message);
          machine.settled = false;
        },
        connections: (port) => project.connections(port),
        async settle() {
          await project.settle(release);
          machine.settled = true;
        },
      };
    };
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

  #connect({ host, port }: SshAddress): Promise<Shell> {
    const { ssh, log, clock, signal } = this.#settings;
    return connect({ ...ssh, host, ...(port !== undefined && { port }) }, { log, clock, signal });
  }

  #context() {
    const { release, releaseId, commit, owner, lockToken, log, clock, signal } = this.#settings;
    return { settings: release, release: releaseId, commit, owner, lockToken, log, clock, signal };
  }
}

class Machine {
  readonly id: string;
  readonly shell: Shell;
  project: Project | undefined;
  /** The release that served when we came. */
  before: string | undefined;
  settled = false;

  constructor(id: string, shell: Shell) {
    this.id = id;
    this.shell = shell;
  }

  get ready(): Project {
    if (!this.project) throw new Error(`the project on ${this.shell.name} is not open`);
    return this.project;
  }
}

/**
 * The hosts as post works on them: each is reached only when there is something to do on it, and one that cannot be
 * reached keeps no other from going back in rotation.
 */
export class Recovery {
  readonly #settings: FleetSettings;
  readonly #addresses: ReadonlyMap<string, SshAddress>;
  readonly #previous: ReadonlyMap<string, string>;
  readonly #opened = new Map<string, Promise<Fleet>>();

  constructor(
    settings: FleetSettings,
    addresses: ReadonlyMap<string, SshAddress>,
    previous: ReadonlyMap<string, string>,
  ) {
    this.#settings = settings;
    this.#addresses = addresses;
    this.#previous = previous;
  }

  /** `records` are those that main left; `budget` is for one host. */
  hosts(records: ReadonlyArray<{ id: string; release: string }>, budget: number): (id: string) => FleetHost {
    return (id) => {
      const address = this.#addressOf(id);
      const verified = records.find((record) => record.id === id)?.release === 'new';
      return {
        switchOver: () => Promise.reject(new UserError(`post deploys nothing on ${id}`)),
        goBack: async (reason) => {
          if (!verified) return this.#recover(address, budget);
          const { ready } = (await this.#open(id)).machine(id);
          const { verified: back, message } = await ready.rollBack(reason, {
            to: this.#previous.get(id),
            timeout: budget,
          });
          if (!back) throw new UserError(message);
        },
        connections: async (port) => (await this.#open(id)).machine(id).ready.connections(port),
        settle: async () => {},
      };
    };
  }

  /** What main left on hosts that need nothing else: a record that is still open, a lock, a placed release. */
  async tidy(record: unknown): Promise<void> {
    const limit = limited(atOnce);
    await Promise.all(
      [...this.#addresses].map(([id, { host }]) =>
        limit(async () => {
          try {
            const fleet = await this.#open(id);
            const { ready } = fleet.machine(id);
            if (!ready.interrupted && (await ready.needsRollBack()))
              await ready.rollBack('the roll was interrupted');
            await ready.writeNote('fleet', record);
            await fleet.close();
          } catch (error) {
            this.#settings.log.warning(
              `${id} (${host}) could not be tidied up, the next run does it: ${messageOf(error)}`,
            );
          }
        }),
      ),
    );
  }

  #open(id: string): Promise<Fleet> {
    const opened =
      this.#opened.get(id) ??
      (async () => {
        const fleet = new Fleet(this.#settings);
        await fleet.open([{ id, address: this.#addressOf(id) }]);
        return fleet;
      })();
    this.#opened.set(id, opened);
    return opened;
  }

  async #recover({ host, port }: SshAddress, budget: number): Promise<void> {
    const { ssh, log, clock, signal, releaseId: release, release: settings } = this.#settings;
    const { commit, owner, lockToken } = this.#settings;
    const shell = await connect(
      { ...ssh, host, ...(port !== undefined && { port }) },
      { log, clock, signal },
    );
    try {
      const { good, message } = await recoverHost(
        { shell, settings, release, commit, owner, lockToken, log, clock, signal },
        budget,
      );
      if (!good) throw new UserError(message);
      log.info(message);
    } finally {
      await shell.close();
    }
  }

  #addressOf(id: string): SshAddress {
    const address = this.#addresses.get(id);
    if (!address) throw new UserError(`the address of ${id} is not known`);
    return address;
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
  if (failed.length > 0)
    refuse(
      failed.map(({ machine, reason }) =>
        problem({ id: machine.id, address: { host: machine.shell.name } }, reason),
      ),
    );
  return results.map(
    (one, index) => [work[index]!.machine.id, (one as PromiseFulfilledResult<T>).value] as const,
  );
}

function problem({ id, address }: { id: string; address: SshAddress }, reason: unknown): string {
  const next = reason instanceof UserError && reason.next ? `\n  ${reason.next}` : '';
  return `${id} (${address.host}): ${messageOf(reason)}${next}`;
}

function refuse(problems: string[]): never {
  throw new UserError(problems.join('\n'), {
    next: 'no host was taken out of rotation; mend this and run again',
  });
}

import { messageOf, UserError } from '@lockkeeper/action';
import { recoverHost, type SingletonRole } from '@lockkeeper/compose';
import { connect } from '@lockkeeper/ssh';
import limited from 'p-limit';
import type { RollingInputs } from '../inputs.ts';
import type { Outside } from '../outside.ts';
import type { SshAddress } from '../plan/members.ts';
import type { FleetHost } from '../roll/roll-context.ts';
import type { RollState } from '../state.ts';
import { atOnce, Fleet, type FleetSettings, goBack, targetAt } from './fleet.ts';
import type { FleetRecord } from './fleet-record.ts';

/**
 * The hosts as post works on them: each is reached only when there is something to do on it, and one that cannot be
 * reached keeps no other from going back in rotation.
 */
export class Recovery {
  readonly #settings: FleetSettings;
  readonly #addresses: ReadonlyMap<string, SshAddress>;
  readonly #previous: ReadonlyMap<string, string>;
  readonly #opened = new Map<string, Promise<Fleet>>();

  /** From what main wrote down; of this step's inputs only what opens the hosts counts, and what belongs to a release. */
  static of(
    state: RollState,
    { ssh, release }: RollingInputs,
    { run, repository, log, clock }: Outside,
  ): Recovery {
    const { jump, ...door } = state.ssh;
    const connectTimeout = Math.min(ssh.connectTimeout, 15_000);
    const key = { privateKey: ssh.privateKey, passphrase: ssh.passphrase, connectTimeout };
    const settings: FleetSettings = {
      ssh: {
        ...door,
        ...key,
        ...(jump && { jump: { ...jump, ...key, privateKey: ssh.jump?.privateKey ?? ssh.privateKey } }),
      },
      release: { ...release, projectDirectory: state.projectDirectory, lockTimeout: 10_000, dryRun: false },
      releaseId: state.release,
      commit: run.commit,
      repository,
      owner: run,
      lockToken: state.lockToken,
      log,
      clock,
    };
    const addresses = new Map(
      state.addresses.map(({ id, host, port, fingerprints }): [string, SshAddress] => [
        id,
        { host, ...(port !== undefined && { port }), ...(fingerprints && { fingerprints }) },
      ]),
    );
    return new Recovery(settings, addresses, new Map(Object.entries(state.previous)));
  }

  constructor(
    settings: FleetSettings,
    addresses: ReadonlyMap<string, SshAddress>,
    previous: ReadonlyMap<string, string>,
  ) {
    this.#settings = settings;
    this.#addresses = addresses;
    this.#previous = previous;
  }

  /** `records` are those that main left; `budget` is for one host; `wayBack` is asked when it goes back. */
  hosts(
    records: ReadonlyArray<{ id: string; release: string }>,
    budget: number,
    wayBack: (id: string) => SingletonRole,
  ): (id: string) => FleetHost {
    return (id) => {
      const address = this.#addressOf(id);
      const verified = records.find((record) => record.id === id)?.release === 'new';
      return {
        switchOver: () => Promise.reject(new UserError(`post deploys nothing on ${id}`)),
        goBack: async (reason) => {
          const singletons = wayBack(id);
          if (!verified) return this.#recover(address, budget, singletons);
          const { ready } = (await this.#open(id)).machine(id);
          await goBack(ready, reason, { to: this.#previous.get(id), timeout: budget, singletons });
        },
        connections: async (port) => (await this.#open(id)).machine(id).ready.connections(port),
        settle: async () => {},
        unwell: async () => undefined,
      };
    };
  }

  /** What main left on hosts that need nothing else: its record, a lock, a placed release. */
  async tidy(record: FleetRecord): Promise<void> {
    const limit = limited(atOnce);
    await Promise.all(
      [...this.#addresses].map(([id, { host }]) =>
        limit(async () => {
          try {
            const fleet = await this.#open(id);
            const { ready } = fleet.machine(id);
            // Where it could not be put right in time, the next run does it.
            if (!record.open && !ready.interrupted && (await ready.needsRollBack()))
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

  async #recover(address: SshAddress, budget: number, singletons: SingletonRole): Promise<void> {
    const { ssh, log, clock, signal, releaseId: release, release: settings } = this.#settings;
    const { commit, repository, owner, lockToken } = this.#settings;
    const shell = await connect(targetAt(ssh, address), { log, clock, signal });
    try {
      const { good, message } = await recoverHost(
        {
          shell,
          settings,
          release,
          commit,
          repository,
          owner,
          lockToken,
          runsSingletons: false,
          log,
          clock,
          signal,
        },
        budget,
        { singletons },
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

import { messageOf, UserError } from '@lockkeeper/action';
import { formatDuration } from '@lockkeeper/wait';
import { Draining } from './draining.ts';
import { Ledger } from './ledger.ts';
import { Minimums } from './minimums.ts';
import { names, ofHost } from './place.ts';
import { Progress } from './progress.ts';
import { afterFailure, decide, type HostRecord, type Round, type Step } from './roll.ts';
import type { Failures, RollContext } from './roll-context.ts';
import { Rotation } from './rotation.ts';
import { Standby } from './standby.ts';
import { phaseOf } from './timeline.ts';
import { Watch } from './watch.ts';

/**
 * Rolls until `decide` knows nothing more to do, and answers where every host ended. A host's failure is in its
 * record; what is thrown is a cancelled signal (after putting back, at once, what was out but unchanged) or a bug.
 */
export async function runRoll(start: readonly HostRecord[], context: RollContext): Promise<HostRecord[]> {
  const roll = new Roll(start, context);
  try {
    await roll.run();
  } catch (error) {
    if (context.signal.aborted) await roll.rotation.putBackUnchanged();
    throw error;
  }
  return roll.ledger.hosts;
}

class Roll {
  readonly ledger: Ledger;
  readonly rotation: Rotation;
  readonly #context: RollContext;
  readonly #watch: Watch;
  readonly #draining: Draining;
  readonly #standby: Standby;

  constructor(start: readonly HostRecord[], context: RollContext) {
    this.#context = context;
    this.ledger = new Ledger(start, (hosts) => context.save(hosts));
    this.#watch = new Watch(context);
    this.#standby = new Standby(context, this.ledger, this.#watch, new Minimums(context, this.#watch));
    this.rotation = new Rotation(context, this.ledger, this.#watch, this.#standby);
    this.#draining = new Draining(context, this.ledger, this.#watch);
  }

  async run(): Promise<void> {
    const { signal, clock, timeline, settings, log } = this.#context;
    const progress = new Progress(this.ledger.hosts, clock.now());
    for (let round = decide(this.ledger.hosts); round; round = decide(this.ledger.hosts)) {
      signal.throwIfAborted();
      const from = clock.now();
      const line = progress.line(this.ledger.hosts, round, from);
      if (line) log.info(line);
      const failed = await this.#perform(round);
      for (const host of round.hosts)
        if (clock.now() > from && (round.step !== 'bake' || settings.bakeTime > 0))
          timeline.add({ host, phase: phaseOf[round.step], from, to: clock.now() });
      if (failed.size === 0) continue;
      for (const [id, why] of failed) log.error(ofHost(id, why), `${id} failed`);
      this.ledger.replace(afterFailure(this.ledger.hosts, failed, round.step, settings.onFailure));
    }
    await this.#standby.finish();
  }

  async #perform(round: Round): Promise<Failures> {
    const hosts = round.hosts.map((id) => this.ledger.one(id));
    const perform: Record<Step, () => Promise<Failures>> = {
      'take-out': () => this.#takeOut(hosts),
      drain: () => this.#draining.wait(hosts),
      switch: () => this.#switch(hosts),
      'go-back': () => this.#goBack(hosts),
      'put-back': () => this.rotation.putBack(hosts),
      'wait-healthy': () => this.rotation.waitHealthy(hosts),
      bake: () => this.#bake(hosts),
      rejoin: () => this.#standby.rejoin(hosts),
    };
    try {
      return await perform[round.step]();
    } catch (error) {
      if (this.#context.signal.aborted || !(error instanceof UserError)) throw error;
      // A refusal that concerns the whole round, such as a denied call.
      for (const id of round.hosts) this.#context.evidence(id, error);
      return new Map(round.hosts.map((id) => [id, reasonOf(error)]));
    }
  }

  async #takeOut(hosts: HostRecord[]): Promise<Failures> {
    const failed = await this.rotation.takeOut(hosts);
    if (failed.size === 0) this.#draining.begin(hosts);
    return failed;
  }

  async #switch(hosts: HostRecord[]): Promise<Failures> {
    const { fleet, log } = this.#context;
    this.ledger.set(hosts, { release: 'switching', changed: true });
    log.info(`switching ${names(hosts)} to the new release`);
    return this.#each(hosts, async (host) => {
      await fleet(host.id).switchOver();
      this.ledger.set([host], { release: 'new' });
    });
  }

  async #goBack(hosts: HostRecord[]): Promise<Failures> {
    const { fleet, log } = this.#context;
    this.ledger.set(hosts, { release: 'reverting' });
    log.info(`bringing ${names(hosts)} back to the release before`);
    return this.#each(hosts, async (host) => {
      await fleet(host.id).goBack(host.failure || 'the roll was taken back');
      this.ledger.set([host], { release: 'old' });
    });
  }

  async #bake(hosts: HostRecord[]): Promise<Failures> {
    const { settings, log } = this.#context;
    const forward = hosts.filter(({ goal, release }) => goal === 'new' && release === 'new');
    let failed: Failures = new Map();
    if (forward.length > 0 && settings.bakeTime > 0) {
      log.info(`watching ${names(forward)} for ${formatDuration(settings.bakeTime)}`);
      failed = await this.rotation.stayHealthy(forward, settings.bakeTime);
    }
    if (failed.size === 0) await this.#settle(forward);
    const over = failed.size === 0 ? hosts : hosts.filter((host) => !forward.includes(host));
    this.ledger.set(
      over.filter(({ standby }) => standby),
      { rotation: 'watched' },
    );
    this.ledger.set(
      over.filter(({ standby }) => !standby),
      { finished: true },
    );
    return failed;
  }

  /** The host's own record follows; it is in service and proven, so that a failure here is only told. */
  async #settle(hosts: HostRecord[]): Promise<void> {
    const { fleet, log } = this.#context;
    const failed = await this.#each(hosts, ({ id }) => fleet(id).settle());
    for (const [id, why] of failed) log.warning(ofHost(id, why));
  }

  async #each(hosts: HostRecord[], work: (host: HostRecord) => Promise<void>): Promise<Failures> {
    const { signal, log, evidence } = this.#context;
    const results = await this.#watch.abortable(Promise.allSettled(hosts.map(work)));
    const failed: Failures = new Map();
    results.forEach((result, index) => {
      if (result.status === 'fulfilled') return;
      signal.throwIfAborted();
      const { id } = hosts[index]!;
      const reason: unknown = result.reason;
      failed.set(id, reasonOf(reason));
      if (reason instanceof UserError) evidence(id, reason);
      else if (reason instanceof Error) log.debug(reason.stack ?? reason.message);
    });
    return failed;
  }
}

function reasonOf(error: unknown): string {
  return messageOf(error).split('\n')[0]!;
}

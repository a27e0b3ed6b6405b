import { backoff, formatDuration } from '@lockkeeper/wait';
import { idleWindow, judgeDrain } from './drain.ts';
import { stateText } from './health.ts';
import type { Ledger } from './ledger.ts';
import { isOut, names, placeKey, places } from './place.ts';
import type { HostRecord } from './roll.ts';
import type { Failures, RollContext } from './roll-context.ts';
import type { Look, Watch } from './watch.ts';

/** Milliseconds between two counts of connections where nothing but the report depends on them. */
const rareCount = 5_000;

/** Waits until hosts that are on their way out may be touched. */
export class Draining {
  readonly #context: RollContext;
  readonly #ledger: Ledger;
  readonly #watch: Watch;
  /** When each host was first seen draining. */
  readonly #since = new Map<string, number>();
  /** When no connection was first seen; Infinity while there are some; undefined where it cannot be told. */
  readonly #quietSince = new Map<string, number | undefined>();
  readonly #open = new Map<string, number>();
  /** The last count that was not 0, and when. */
  readonly #busy = new Map<string, { open: number; at: number }>();
  readonly #countedAt = new Map<string, number>();

  constructor(context: RollContext, ledger: Ledger, watch: Watch) {
    this.#context = context;
    this.#ledger = ledger;
    this.#watch = watch;
  }

  /** They were seen draining just now, all of them. */
  begin(hosts: ReadonlyArray<{ id: string }>): void {
    for (const { id } of hosts) this.#since.set(id, this.#context.clock.now());
  }

  async wait(hosts: HostRecord[]): Promise<Failures> {
    const { settings, clock, log, signal } = this.#context;
    const failed: Failures = new Map();
    const longest = formatDuration(Math.max(...hosts.map((host) => this.#delayOf(host))));
    const nextLook = { at: 0, attempt: 0 };
    const interval = backoff({ first: 1_000, max: 5_000 });
    let look: Look | undefined;
    let left = hosts;
    for (const { id } of hosts) {
      this.#quietSince.delete(id);
      this.#open.delete(id);
      this.#busy.delete(id);
    }
    log.info(
      `draining ${names(hosts)}: ${settings.drain.kind === 'full' ? `the whole delay, ${longest}` : `until no connection is open, at most ${longest}`}`,
    );
    while (left.length > 0) {
      signal.throwIfAborted();
      const due = left.filter((host) => this.#countDue(host));
      await this.#watch.abortable(Promise.all(due.map((host) => this.#count(host))));
      if (clock.now() >= nextLook.at) {
        look = await this.#watch.look();
        nextLook.at = clock.now() + interval(nextLook.attempt++);
      }
      for (const host of left) this.#judge(host, look, failed);
      left = left.filter(({ id }) => !failed.has(id) && this.#ledger.one(id).rotation !== 'out');
      if (left.length > 0) await clock.sleep(1_000, signal);
    }
    return failed;
  }

  /** Whether it ends early depends on every count; where it does not, what is cut at the end is told all the same. */
  #countDue(host: HostRecord): boolean {
    const { settings, clock } = this.#context;
    if (settings.drain.kind === 'idle') return true;
    const now = clock.now();
    const left = this.#delayOf(host) - (now - this.#drainingFrom(host));
    return left <= rareCount || now - (this.#countedAt.get(host.id) ?? 0) >= rareCount;
  }

  async #count(host: HostRecord): Promise<void> {
    const { settings, fleet, clock, log } = this.#context;
    this.#countedAt.set(host.id, clock.now());
    const ports = [...new Set(host.memberships.map(({ port }) => port))];
    const counts = await Promise.all(ports.map((port) => counted(() => fleet(host.id).connections(port))));
    const now = clock.now();
    if (counts.some((one) => one === undefined)) {
      this.#quietSince.set(host.id, undefined);
      if (settings.drain.kind === 'full') return;
      this.#watch.say(
        `${host.id} count`,
        `${host.id}: the connections cannot be counted, so the whole delay of ${formatDuration(this.#delayOf(host))} is waited out`,
        (line) => log.warning(line),
      );
      return;
    }
    const total = counts.reduce<number>((sum, one) => sum + one!, 0);
    this.#open.set(host.id, total);
    if (total > 0) this.#busy.set(host.id, { open: total, at: now });
    const before = this.#quietSince.get(host.id) ?? Number.POSITIVE_INFINITY;
    this.#quietSince.set(host.id, total > 0 ? Number.POSITIVE_INFINITY : Math.min(before, now));
    this.#watch.say(
      `${host.id} open`,
      `${host.id}: ${total === 0 ? 'no connection is open' : `${total} ${total === 1 ? 'connection is' : 'connections are'} open`}`,
      (line) => log.info(`${line}, ${this.#drainedFor(host)} after draining began`),
    );
  }

  #judge(host: HostRecord, look: Look | undefined, failed: Failures): void {
    const { settings, clock, log } = this.#context;
    const targets = host.memberships.map((m) => look?.get(m.group)?.get(placeKey(host, m)));
    if (look && targets.some((target) => !isOut(target))) {
      failed.set(
        host.id,
        `somebody else registered ${places([host])} again while it was being drained: ${targets.map(stateText).join(', ')}`,
      );
      return;
    }
    const quiet = this.#quietSince.get(host.id);
    const verdict = judgeDrain(settings.drain, {
      delay: this.#delayOf(host),
      sinceDraining: clock.now() - this.#drainingFrom(host),
      idleFor: quiet === undefined ? undefined : Math.max(0, clock.now() - quiet),
      open: this.#open.get(host.id) ?? 0,
      openLately: this.#openLately(host),
      gone: look !== undefined && targets.every((target) => target?.state !== 'draining'),
    });
    if (!verdict.done) return;
    const cut = verdict.why === 'cut' ? verdict.open : 0;
    this.#ledger.set([host], { rotation: 'out', cut: host.cut + cut });
    if (cut > 0)
      log.warning(
        `${host.id}: ${cut} ${cut === 1 ? 'connection was' : 'connections were'} still open when the time to drain was over and will be cut`,
      );
    else
      log.info(
        `${host.id}: drained after ${this.#drainedFor(host)}${verdict.why === 'idle' ? ', no connection left' : ''}`,
      );
  }

  #openLately({ id }: HostRecord): number {
    const busy = this.#busy.get(id);
    return busy && this.#context.clock.now() - busy.at < idleWindow ? busy.open : 0;
  }

  /** The longest deregistration delay of its groups. */
  #delayOf({ memberships }: HostRecord): number {
    const { groups } = this.#context;
    return Math.max(...memberships.map(({ group }) => groups.get(group)!.deregistrationDelay));
  }

  /** A drain that an earlier process began counts from when we first saw it. */
  #drainingFrom({ id }: { id: string }): number {
    const known = this.#since.get(id);
    if (known !== undefined) return known;
    const now = this.#context.clock.now();
    this.#since.set(id, now);
    return now;
  }

  #drainedFor(host: { id: string }): string {
    return formatDuration(this.#context.clock.now() - this.#drainingFrom(host));
  }
}

/** Counting is a help, never a reason to fail: what goes wrong means that it cannot be told. */
async function counted(connections: () => Promise<number | undefined>): Promise<number | undefined> {
  try {
    return await connections();
  } catch {
    return undefined;
  }
}

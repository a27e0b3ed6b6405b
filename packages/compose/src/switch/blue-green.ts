import { UserError } from '@lockkeeper/action';
import { Deadline } from '@lockkeeper/wait';
import type { Container } from '../host/containers.ts';
import { type Pins, pinsFor } from '../host/pins.ts';
import { expectationsOf } from '../prove/verify.ts';
import { watch } from '../prove/watch.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';
import { changesOf, inGroups, upAlone, upInGroups } from './groups.ts';
import {
  fitsRelease,
  nextStep,
  reloadIsDue,
  type SwapGoal,
  type SwapKnowledge,
  type SwapStep,
} from './swap.ts';
import { setSwap } from './under-way.ts';

interface Way {
  /** Back to what ran before, rather than on to the release that was just staged. */
  back: boolean;
  /** Milliseconds for proving new containers. */
  timeout: number;
}

/**
 * Brings the blue-green services to a release one after another, before anything else of it is touched:
 * what they depend on, new containers beside the old ones, the proof, the proxy, the end of the old ones.
 * Answers the services that are done; `docker compose up` then finds nothing to change in them, and sees to
 * the others, such as one that does not run yet.
 *
 * What Docker allows: a service's name stands for all its running containers, and it cannot be taken from one
 * that lives. A proxy that looks the name up once, as nginx does, meets the new container when it is told to
 * look again; or when somebody restarts it while the new one is being proven. So that it then finds the new one
 * alone, its own hosts file says so until the old one has gone: nothing is sent to a container that was told to
 * stop. Where that file cannot be written (no shell, read-only), both serve until the old one has ended; nginx
 * then passes a refused connection on, but not a POST that an app leaves unread when it stops. Who looks the
 * name up at each connection, such as a worker that calls `http://web`, meets the new one as soon as it starts.
 */
export async function swapBlueGreen(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  way: Way,
): Promise<string[]> {
  const services = blueGreenServices(site, record);
  if (proxiesOf(before, services).length === 0) return [];
  const done: string[] = [];
  let containers = before;
  for (const service of inGroups(services, record.needs).flat()) {
    if (!before.some((container) => container.service === service && container.status === 'running'))
      continue;
    if (await new ServiceSwap(site, record, service, { ...way, containers }).run(done)) done.push(service);
    containers = await site.docker.containersOf(site.name);
  }
  return done;
}

/** Where `docker compose up` itself saw to a blue-green service, a proxy that it left alone must look again too. */
export async function reloadAfterUp(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  seenTo: readonly string[],
): Promise<void> {
  const services = blueGreenServices(site, record);
  if (!services.some((service) => seenTo.includes(service))) return;
  const file = await writeReload(site, record);
  if (!file || proxiesOf(before, services).length === 0) return;
  const old = new Set(before.map(({ id }) => id));
  const proxies = proxiesOf(await site.docker.containersOf(site.name), services).filter(({ id }) =>
    old.has(id),
  );
  if (proxies.length > 0)
    await site.docker.point(site.state.releasePath(record.id), file, pinsFor(proxies, [], []));
}

/** Those of the inputs, and those that an earlier run began to swap: its inputs may have been others. */
function blueGreenServices({ settings, pending }: Site, record: ReleaseRecord): string[] {
  const asked = settings.strategy === 'blue-green' ? settings.blueGreenServices : [];
  const begun = Object.keys(pending?.swaps?.services ?? {});
  return [...new Set([...asked, ...begun])].filter((service) => record.services.includes(service));
}

/** What users come through to a blue-green service: containers that publish a port and are not one themselves. Pure. */
export function proxiesOf(containers: readonly Container[], blueGreen: readonly string[]): Container[] {
  return containers.filter(
    ({ service, status, ports, hostNetwork }) =>
      status === 'running' && !blueGreen.includes(service) && (ports.length > 0 || hostNetwork),
  );
}

/** One service on its way to a release. */
class ServiceSwap {
  readonly #site: Site;
  readonly #record: ReleaseRecord;
  readonly #service: string;
  readonly #way: Way;
  readonly #goal: SwapGoal;
  readonly #known: SwapKnowledge & { proven: Set<string> };
  readonly #inherited: boolean;
  readonly #deadline: Deadline;
  /** All of the project, as last seen. */
  #containers: readonly Container[];
  #exposedAt: number | undefined;

  constructor(
    site: Site,
    record: ReleaseRecord,
    service: string,
    way: Way & { containers: readonly Container[] },
  ) {
    const { pending, remounted, settings, context } = site;
    this.#site = site;
    this.#record = record;
    this.#service = service;
    this.#way = way;
    this.#containers = way.containers;
    this.#deadline = new Deadline(context.clock, way.timeout);
    this.#goal = {
      replicas: site.replicasOf(record)[service] ?? 1,
      back: way.back,
      fits: fitsRelease(record, service, { pending, remounted: remounted.includes(service) }),
    };
    const inherited = pending?.swaps?.services[service];
    this.#inherited = inherited !== undefined;
    this.#known = {
      exposed: inherited?.exposed ?? this.#own.map(({ id }) => id),
      retired: inherited?.retired ?? [],
      started: false,
      proven: new Set(),
      checked: settings.health === undefined,
      reloadDue:
        inherited !== undefined && reloadIsDue(inherited, this.#own, pending?.containers[service] ?? []),
    };
  }

  /** Answers false where it cannot be done beside the old one and is left to `docker compose up`. */
  async run(done: readonly string[]): Promise<boolean> {
    for (let first = true; ; first = false) {
      const step = nextStep(this.#own, this.#goal, this.#known);
      if (!step) return true;
      if (step.do === 'start' && !this.#record.beside.includes(this.#service)) return false;
      if (first && !this.#inherited) await this.#note();
      await this.#take(step, done);
      this.#containers = await this.#site.docker.containersOf(this.#site.name);
    }
  }

  get #own(): Container[] {
    return this.#containers.filter(({ service, oneOff }) => service === this.#service && !oneOff);
  }

  async #take(step: SwapStep, done: readonly string[]): Promise<void> {
    const known = this.#known;
    switch (step.do) {
      case 'remove':
        known.reloadDue ||= step.ids.some((id) => known.exposed.includes(id));
        return this.#remove(step.ids);
      case 'start':
        known.started = true;
        return this.#start(step.scale, done);
      case 'prove':
        await this.#judge(step.ids, { ask: false });
        for (const id of step.ids) known.proven.add(id);
        return;
      case 'expose':
        this.#say('proven before any user met it; the proxy goes over to it');
        known.exposed = [...known.exposed, ...step.ids];
        await this.#note();
        this.#exposedAt = this.#site.context.clock.now();
        return this.#point(step.keep);
      case 'check':
        await this.#judge(step.ids, { ask: true });
        known.checked = true;
        return;
      case 'retire':
        this.#say(`${this.#way.back ? 'what was new' : 'the old one'} ends its open requests and stops`);
        known.retired = [...new Set([...known.retired, ...step.ids])];
        await this.#note();
        await this.#site.docker.retire(this.#directory, await this.#reload(), {
          pins: this.#pins(step.keep),
          ids: step.ids,
        });
        known.reloadDue = false;
        return;
      case 'reload':
        return this.#point(step.keep);
    }
  }

  async #remove(ids: readonly string[]): Promise<void> {
    const { docker } = this.#site;
    if (await this.#reload()) await docker.docker(['rm', '-f', ...ids], 'cannot remove a container');
    // A proxy that looks by itself may already send to it: it ends its requests.
    else await docker.retire(this.#directory, '', { pins: [], ids });
  }

  async #start(scale: number, done: readonly string[]): Promise<void> {
    const before = this.#containers;
    await bringUpNeeds(this.#site, this.#record, before, { service: this.#service, done });
    this.#say('starting beside the old one, which the proxy goes on to use');
    await upAlone(this.#site, this.#record, [this.#service], {
      recreate: '--no-recreate',
      scales: ['--scale', `${this.#service}=${scale}`],
    });
  }

  /** Waits for a good verdict on containers; throws UserError for a bad one. */
  async #judge(ids: readonly string[], { ask }: { ask: boolean }): Promise<void> {
    const { settings } = this.#site;
    const { images } = this.#record;
    const verdict = await watch(this.#site, {
      select: ({ id }) => ids.includes(id),
      expectations: expectationsOf({ services: [this.#service], images }, { [this.#service]: ids.length }),
      ask,
      timeout: Math.max(1_000, this.#deadline.remaining()),
      // On the way back users wait, and the release is watched afterwards.
      window: this.#way.back ? 0 : settings.stabilityWindow,
    });
    if (verdict.good) return;
    if (ask) this.#site.replacing(this.#exposedAt);
    const reason = ask ? verdict.reason : `${verdict.reason}; users never met it`;
    throw new UserError(reason, { details: verdict.details || undefined, next: verdict.next });
  }

  /** The proxies find these containers alone from now on; all that run, once no others are left. */
  async #point(keep: readonly string[]): Promise<void> {
    const file = await this.#reload();
    if (file) await this.#site.docker.point(this.#directory, file, this.#pins(keep));
    this.#known.reloadDue = false;
  }

  #pins(keep: readonly string[]): Pins[] {
    const services = blueGreenServices(this.#site, this.#record);
    const own = this.#own;
    const serving = own.filter(({ id }) => keep.includes(id));
    const others = own.filter((container) => !serving.includes(container));
    return pinsFor(proxiesOf(this.#containers, services), serving, others);
  }

  #note(): Promise<void> {
    const { exposed, retired } = this.#known;
    return setSwap(this.#site, this.#service, { exposed, retired }, linesOf(this.#site));
  }

  #reload(): Promise<string> {
    return writeReload(this.#site, this.#record);
  }

  #say(what: string): void {
    this.#site.context.log.info(`${this.#site.host}: ${this.#service}: ${what}`);
  }

  get #directory(): string {
    return this.#site.state.releasePath(this.#record.id);
  }
}

/** What a service depends on, where that is not as the release wants it. */
async function bringUpNeeds(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  { service, done }: { service: string; done: readonly string[] },
): Promise<void> {
  const services = (record.needs[service] ?? []).filter((other) => !done.includes(other));
  const changes = changesOf(site, record, before, services);
  if (changes.some(({ change }) => change === 'recreate')) site.replacing();
  await upInGroups(site, record, changes);
}

function linesOf({ settings, pending }: Site): string {
  return settings.strategy === 'blue-green' ? settings.blueGreenReload : (pending?.swaps?.reload ?? '');
}

/** The file that makes the proxy look again; '' where the proxy looks by itself. */
async function writeReload(site: Site, record: ReleaseRecord): Promise<string> {
  const lines = linesOf(site);
  if (!lines.trim()) return '';
  const file = `${site.state.releasePath(record.id)}/blue-green-reload`;
  await site.state.write({ [file]: lines.replaceAll('\r\n', '\n') });
  return file;
}

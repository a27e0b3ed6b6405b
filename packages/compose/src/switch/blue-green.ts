import { UserError } from '@lockkeeper/action';
import { Deadline } from '@lockkeeper/wait';
import type { Container } from '../host/containers.ts';
import type { Verdict } from '../outcome.ts';
import { expectationsOf } from '../prove/verify.ts';
import { watch } from '../prove/watch.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import { scaleArguments } from '../singletons.ts';
import type { Site } from '../site.ts';
import { planChanges } from '../stage/plan.ts';
import {
  fitsRelease,
  nextStep,
  reloadIsDue,
  type SwapGoal,
  type SwapKnowledge,
  type SwapStep,
} from './swap.ts';
import { setSwap } from './under-way.ts';

const up = ['up', '--no-build', '--pull', 'never'];

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
 * What Docker's DNS allows: a service's name stands for all its running containers, and it cannot be taken
 * from one that lives. A proxy that looks the name up once, as nginx does, meets the new container when it is
 * told to look again; or when somebody restarts it while the new one is being proven. From that reload until
 * the old one has ended, both serve. The old one stops to listen first, and nginx passes a refused connection
 * on to the other one; for the moment between its end and the second reload nobody answers at its address.
 * Who looks the name up at each connection, such as a worker that calls `http://web`, meets the new one as
 * soon as it starts.
 */
export async function swapBlueGreen(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  way: Way,
): Promise<string[]> {
  const services = blueGreenServices(site, record);
  if (!proxyRuns(before, services)) return [];
  const done: string[] = [];
  for (const service of inOrder(services, record.beside ?? {})) {
    const runs = before.some((container) => container.service === service && container.status === 'running');
    if (runs && (await swap(site, record, service, before, { ...way, done }))) done.push(service);
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
  if (!services.some((service) => seenTo.includes(service)) || !proxyRuns(before, services)) return;
  const old = new Set(before.map(({ id }) => id));
  const left = (await site.docker.containersOf(site.name)).filter(({ id }) => old.has(id));
  if (proxyRuns(left, services)) await reload(site, record, await writeReload(site, record));
}

/** Those of the inputs, and those that an earlier run began to swap: its inputs may have been others. */
function blueGreenServices({ settings, pending }: Site, record: ReleaseRecord): string[] {
  const asked = settings.strategy === 'blue-green' ? settings.blueGreenServices : [];
  const begun = Object.keys(pending?.swaps?.services ?? {});
  return [...new Set([...asked, ...begun])].filter((service) => record.services.includes(service));
}

/** Whether users reach a blue-green service at all: through what publishes a port and is not one itself. Pure. */
export function proxyRuns(containers: readonly Container[], blueGreen: readonly string[]): boolean {
  return containers.some(
    ({ service, status, ports, hostNetwork }) =>
      status === 'running' && !blueGreen.includes(service) && (ports.length > 0 || hostNetwork),
  );
}

/** What another one depends on comes first. Pure. */
export function inOrder(
  services: readonly string[],
  needs: Readonly<Record<string, readonly string[]>>,
): string[] {
  const needed = (service: string) => (needs[service] ?? []).filter((other) => services.includes(other));
  return [...services].sort((a, b) => needed(a).length - needed(b).length);
}

/** Answers false where it cannot be done beside the old one and is left to `docker compose up`. */
async function swap(
  site: Site,
  record: ReleaseRecord,
  service: string,
  before: readonly Container[],
  { back, timeout, done }: Way & { done: readonly string[] },
): Promise<boolean> {
  const { docker, state, settings, host, context } = site;
  const { log, clock } = context;
  const directory = state.releasePath(record.id);
  const ofService = (containers: readonly Container[]) =>
    containers.filter((container) => container.service === service && !container.oneOff);
  const replicas = site.replicasOf(record);
  const goal: SwapGoal = {
    replicas: replicas[service] ?? 1,
    back,
    fits: fitsRelease(record, service, {
      pending: site.pending,
      remounted: site.remounted.includes(service),
    }),
  };
  let own = ofService(before);
  const inherited = site.pending?.swaps?.services[service];
  const known: SwapKnowledge & { proven: Set<string> } = {
    exposed: inherited?.exposed ?? own.map(({ id }) => id),
    retired: inherited?.retired ?? [],
    started: false,
    proven: new Set(),
    checked: settings.health === undefined,
    reloadDue:
      inherited !== undefined && reloadIsDue(inherited, own, site.pending?.containers[service] ?? []),
  };
  const hook = await writeReload(site, record);
  const note = () =>
    setSwap(site, service, { exposed: known.exposed, retired: known.retired }, linesOf(site));
  const deadline = new Deadline(clock, timeout);
  let exposedAt: number | undefined;

  const judged = async (ids: readonly string[], ask: boolean): Promise<Verdict> =>
    watch(site, {
      select: ({ id }) => ids.includes(id),
      expectations: expectationsOf({ services: [service], images: record.images }, { [service]: ids.length }),
      ask,
      timeout: Math.max(1_000, deadline.remaining()),
      window: back ? 0 : settings.stabilityWindow,
    });

  const take = async (step: SwapStep): Promise<boolean> => {
    switch (step.do) {
      case 'remove':
        known.reloadDue ||= step.ids.some((id) => known.exposed.includes(id));
        // A proxy that looks by itself may already send to it: it ends its requests.
        if (hook) await docker.docker(['rm', '-f', ...step.ids], 'cannot remove a container');
        else await docker.retire(directory, '', step.ids);
        return true;
      case 'start': {
        const needs = record.beside?.[service];
        if (!needs) return false;
        await bringUpNeeds(site, record, before, needs, done);
        log.info(`${host}: ${service}: starting beside the old one, which the proxy goes on to use`);
        known.started = true;
        const beside = ['--no-recreate', '--scale', `${service}=${step.scale}`];
        // Made together with what it depends on, because before 2.27 Compose's hash covers that; started
        // without, because Compose would run one-shot services once more.
        await docker.compose(
          directory,
          [...up, '--no-start', ...beside, ...scaleArguments(replicas, needs), service],
          'docker compose up',
        );
        await docker.compose(directory, [...up, '-d', '--no-deps', ...beside, service], 'docker compose up');
        return true;
      }
      case 'prove': {
        const verdict = await judged(step.ids, false);
        if (!verdict.good) throw failure(verdict, `${verdict.reason}; users never met it`);
        for (const id of step.ids) known.proven.add(id);
        return true;
      }
      case 'expose':
        log.info(`${host}: ${service}: proven before any user met it; the proxy looks again now`);
        known.exposed = [...known.exposed, ...step.ids];
        await note();
        exposedAt = clock.now();
        await reload(site, record, hook);
        known.reloadDue = false;
        return true;
      case 'check': {
        const verdict = await judged(step.ids, true);
        if (!verdict.good) {
          site.replacing(exposedAt);
          throw failure(verdict, verdict.reason);
        }
        known.checked = true;
        return true;
      }
      case 'retire':
        log.info(
          `${host}: ${service}: ${back ? 'what was new' : 'the old one'} ends its open requests and stops`,
        );
        known.retired = [...new Set([...known.retired, ...step.ids])];
        await note();
        await docker.retire(directory, hook, step.ids);
        known.reloadDue = false;
        return true;
      case 'reload':
        await reload(site, record, hook);
        known.reloadDue = false;
        return true;
    }
  };

  for (let first = true; ; first = false) {
    const step = nextStep(own, goal, known);
    if (!step) return true;
    if (first && !inherited) await note();
    if (!(await take(step))) return false;
    own = ofService(await docker.containersOf(site.name));
  }
}

/** What a service depends on, where it is not as the release wants it; what was swapped already is. */
async function bringUpNeeds(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  needs: readonly string[],
  done: readonly string[],
): Promise<void> {
  const services = needs.filter((service) => !done.includes(service));
  const replicas = site.replicasOf(record);
  const plan = planChanges(before, {
    ...record,
    services,
    replicas,
    known: record.services,
    changedMounts: {},
  });
  const changes = plan.filter(({ change }) => change !== 'unchanged' && change !== 'orphan');
  if (changes.length === 0) return;
  if (changes.some(({ change }) => change === 'recreate')) site.replacing();
  const args = [...up, '-d', ...scaleArguments(replicas, needs), ...services];
  await site.docker.compose(site.state.releasePath(record.id), args, 'docker compose up');
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

async function reload({ docker, state }: Site, record: ReleaseRecord, hook: string): Promise<void> {
  if (hook) await docker.hook(state.releasePath(record.id), hook, 'blue-green-reload');
}

function failure({ details, next }: Verdict, reason: string): UserError {
  return new UserError(reason, { details: details || undefined, next });
}

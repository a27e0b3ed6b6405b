import { formatDuration } from '@lockkeeper/wait';
import type { Container } from '../host/containers.ts';
import type { Verdict } from '../outcome.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';
import { leftBehind, meet } from './left-behind.ts';
import type { Expectation } from './verdict.ts';
import { watch } from './watch.ts';

/** Waits until the release is proven or has failed; at most `timeout` ms. Then nothing may restart or fall ill for the window. */
export async function verify(
  site: Site,
  id: string,
  timeout = site.settings.healthTimeout,
): Promise<Verdict> {
  const { state, settings, host, context } = site;
  const record = await state.release(id);
  site.name = record.project;
  return watch(site, {
    expectations: expectationsOf(record, site.replicasOf(record)),
    ask: true,
    timeout,
    window: settings.stabilityWindow,
    ready: (containers) => lookAgain(site, record, containers),
    well(containers) {
      site.proven();
      for (const doubt of doubts(containers, record.services, settings.stabilityWindow))
        context.log.warning(`${host}: ${doubt}`);
    },
  });
}

/** Restarts what still sends users to where a service was before; whether there was any. */
async function lookAgain(
  site: Site,
  { behind }: Pick<ReleaseRecord, 'behind'>,
  containers: readonly Container[],
): Promise<boolean> {
  const { docker, host, context, settings, pending, memories } = site;
  const swapped = settings.strategy === 'blue-green' ? settings.blueGreenServices : [];
  const stale = leftBehind(memories, containers, behind, [
    ...swapped,
    ...Object.keys(pending?.swaps?.services ?? {}),
  ]);
  if (stale.length === 0) return false;
  const names = [...new Set(stale.map(({ service }) => service))].join(', ');
  context.log.info(`${host}: restarting ${names}: what it sends users to has moved to another address`);
  await docker.docker(['restart', ...stale.map(({ id }) => id)], `cannot restart ${names}`);
  meet(memories, await docker.containersOf(site.name), true);
  return true;
}

/** What must run of a release: of each service so many replicas of its image. Pure. */
export function expectationsOf(
  { services, images }: Pick<ReleaseRecord, 'services' | 'images'>,
  replicas: Readonly<Record<string, number>>,
): Expectation[] {
  return services.map((service) => ({
    service,
    replicas: replicas[service] ?? 1,
    image: images[service]?.id,
  }));
}

/** What a good verdict does not prove. `window` is the stability window in ms. Pure. */
export function doubts(
  containers: readonly Container[],
  services: readonly string[],
  window: number,
): string[] {
  return containers.flatMap(({ service, oneOff, status, health }) => {
    if (!services.includes(service) || oneOff || status !== 'running') return [];
    if (!health) return [`${service} has no health check: "running" is all that was proven of it`];
    if (window === 0 || health.interval <= window) return [];
    return [
      `${service} is checked every ${formatDuration(health.interval)}, more rarely than the stability window of ${formatDuration(window)}`,
    ];
  });
}

import type { Container } from '../host/containers.ts';
import type { ServiceChange } from '../outcome.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import { scaleArguments } from '../singletons.ts';
import type { Site } from '../site.ts';
import { planChanges } from '../stage/plan.ts';

/** Services of a release that are not as it wants them. */
export function changesOf(
  site: Site,
  record: ReleaseRecord,
  before: readonly Container[],
  services: readonly string[],
): ServiceChange[] {
  const { hashes, images } = record;
  const replicas = site.replicasOf(record);
  const wanted = { services, known: record.services, hashes, images, replicas, changedMounts: {} };
  return planChanges(before, wanted).filter(({ change }) => change !== 'unchanged' && change !== 'orphan');
}

/**
 * docker compose up for what changes, without what depends on it: Compose 2.26 recreates every service of an
 * `up` of which something that it depends on is recreated, so nginx would go with a job that fills its volume.
 */
export async function upInGroups(
  site: Site,
  record: ReleaseRecord,
  changes: readonly ServiceChange[],
): Promise<void> {
  const replicas = site.replicasOf(record);
  const services = changes.map(({ service }) => service);
  for (const group of inGroups(services, record.needs)) {
    const seen = [...new Set(group.flatMap((service) => [service, ...(record.needs[service] ?? [])]))];
    await site.docker.compose(
      site.state.releasePath(record.id),
      ['up', '-d', '--no-build', '--pull', 'never', ...scaleArguments(replicas, seen), ...group],
      'docker compose up',
    );
  }
}

/**
 * docker compose up for services alone: made together with what they depend on, which is part of the hash of Compose
 * 2.26 (the next `up` would replace them once more), but started without, because that would run one-shot services
 * once more. `scales` are theirs.
 */
export async function upAlone(
  site: Site,
  record: ReleaseRecord,
  services: readonly string[],
  { recreate, scales }: { recreate: '--no-recreate' | '--force-recreate'; scales: readonly string[] },
): Promise<void> {
  const needs = [...new Set(services.flatMap((service) => record.needs[service] ?? []))];
  const others = scaleArguments(site.replicasOf(record), needs);
  for (const how of [
    ['--no-start', recreate, ...others],
    ['-d', '--no-deps', '--no-recreate'],
  ])
    await site.docker.compose(
      site.state.releasePath(record.id),
      ['up', ...how, '--no-build', '--pull', 'never', ...scales, ...services],
      'docker compose up',
    );
}

/** Services in groups, each after all that its members depend on. `needs` go all the way down. Pure. */
export function inGroups(
  services: readonly string[],
  needs: Readonly<Record<string, readonly string[]>>,
): string[][] {
  const groups: string[][] = [];
  let left = [...new Set(services)];
  while (left.length > 0) {
    const free = left.filter((service) => !(needs[service] ?? []).some((need) => left.includes(need)));
    // Compose refuses circles; should one come here, it must not hang us.
    const group = free.length > 0 ? free : left;
    groups.push(group);
    left = left.filter((service) => !group.includes(service));
  }
  return groups;
}

import type { Container } from '../host/containers.ts';
import type { PendingRecord, ReleaseRecord } from '../record/release-record.ts';
import { movable } from '../stage/images.ts';

/** Whether a service still is what it was before the deploy, and runs. Pure. */
export function untouched(
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

/** Containers of services that only the release that is left has. Pure. */
export function strangers(
  containers: readonly Container[],
  target: ReleaseRecord,
  left: ReleaseRecord | undefined,
  pending: PendingRecord | undefined,
): Container[] {
  return containers.filter(
    ({ service, oneOff }) =>
      !oneOff &&
      !target.services.includes(service) &&
      !(pending && service in pending.containers) &&
      left?.services.includes(service),
  );
}

/** Running containers that were not there before the deploy. Pure. */
export function startedSince(
  pending: PendingRecord | undefined,
  containers: readonly Container[],
): Container[] {
  return containers.filter(
    ({ id, service, status }) =>
      !(pending?.containers[service] ?? []).includes(id) &&
      ['running', 'restarting', 'paused'].includes(status),
  );
}

/** Pairs that make the host's tags mean what they meant before; a tag that was not there is left. Pure. */
export function tagsBefore(pending: PendingRecord | undefined): string[] {
  return Object.entries(pending?.tags ?? {}).flatMap(([reference, id]) => (id ? [id, reference] : []));
}

/** Pairs that make the host's tags those of a release; others that the deploy moved are what they were before. Pure. */
export function tagsOf(target: ReleaseRecord, pending: PendingRecord | undefined): string[] {
  const own = Object.values(target.images).filter(({ reference }) => movable(reference));
  const ids = new Map([
    ...Object.entries(pending?.tags ?? {}),
    ...own.map(({ reference, id }) => [reference, id] as const),
  ]);
  return [...ids].flatMap(([reference, id]) => (id ? [id, reference] : []));
}

import type { Container } from '../host/containers.ts';
import type { ReleaseImage, ServiceChange } from '../outcome.ts';

export interface Wanted {
  /** Services that the release covers. */
  services: readonly string[];
  /** Services that the Compose file has at all; a container of any other is an orphan. */
  known: readonly string[];
  /** Compose's own hash of each service. */
  hashes: Readonly<Record<string, string>>;
  images: Readonly<Record<string, ReleaseImage>>;
  /** Service → containers wanted on this host. */
  replicas: Readonly<Record<string, number>>;
  /** Service → files it mounts whose content changed since the serving release. */
  changedMounts: Readonly<Record<string, readonly string[]>>;
}

/** What `docker compose up` would do to each service, and why. Pure. */
export function planChanges(containers: readonly Container[], wanted: Wanted): ServiceChange[] {
  const changes = wanted.services.map((service): ServiceChange => {
    const own = containers.filter((container) => container.service === service && !container.oneOff);
    if (wanted.replicas[service] === 0)
      return own.length > 0
        ? { service, change: 'remove', why: 'is not to run on this host' }
        : { service, change: 'unchanged', why: 'is not to run on this host' };
    if (own.length === 0) return { service, change: 'create', why: 'has no container yet' };
    const why: string[] = [];
    const image = wanted.images[service];
    const other = image && own.find((container) => container.image !== image.id);
    if (other && image) why.push(`image ${shortId(other.image)} → ${shortId(image.id)}`);
    const hash = wanted.hashes[service];
    if (hash && own.some((container) => container.configHash !== hash)) why.push('configuration changed');
    const mounts = wanted.changedMounts[service] ?? [];
    if (mounts.length > 0) why.push(`mounted ${mounts.join(', ')} changed`);
    if (why.length > 0) return { service, change: 'recreate', why: why.join(', ') };
    const idle = own.find(
      ({ status, exitCode }) => status !== 'running' && !(status === 'exited' && exitCode === 0),
    );
    if (idle) return { service, change: 'start', why: `is ${idle.status}` };
    return { service, change: 'unchanged', why: 'same image and configuration' };
  });
  const orphans = new Set(
    containers
      .filter(({ service, oneOff }) => service && !oneOff && !wanted.known.includes(service))
      .map(({ service }) => service),
  );
  return [
    ...changes,
    ...[...orphans].map(
      (service): ServiceChange => ({ service, change: 'orphan', why: 'runs but is not in the Compose file' }),
    ),
  ];
}

/** `sha256:1f0c9a…` → `1f0c9a3b2d1e`. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

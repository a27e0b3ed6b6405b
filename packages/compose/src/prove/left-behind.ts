import type { Container } from '../host/containers.ts';

/**
 * What containers that users come through may remember of those behind them, each since its last start: service →
 * its addresses when the container was first seen; nothing of a service where that is not known.
 */
export type Memories = Map<string, Readonly<Record<string, readonly string[]>>>;

/** Remembers what the containers that publish a port can know now; not `sure`: what they knew is not known. */
export function meet(memories: Memories, containers: readonly Container[], sure: boolean): void {
  for (const front of frontsOf(containers))
    if (!memories.has(keyOf(front)))
      memories.set(
        keyOf(front),
        sure
          ? Object.fromEntries(containers.map(({ service }) => [service, addressesOf(containers, service)]))
          : {},
      );
}

/**
 * Containers that stayed while a service that they depend on moved to another address. nginx looks names up once,
 * when it starts: it would go on sending to where nobody is any more, or somebody else. Compose before 2.35
 * recreates them; later ones leave them alone. `behind`: service → those that it depends on to run, as the Compose
 * file says; the container itself does not know when it was started with `--no-deps`, as on a way back.
 * `except`: services that somebody else sees to. Pure.
 */
export function leftBehind(
  memories: Memories,
  containers: readonly Container[],
  behind: Readonly<Record<string, readonly string[]>>,
  except: readonly string[] = [],
): Container[] {
  return frontsOf(containers).filter((front) => {
    const known = memories.get(keyOf(front));
    return (
      known !== undefined &&
      [...front.dependsOn, ...(behind[front.service] ?? [])].some((service) => {
        const now = addressesOf(containers, service);
        if (except.includes(service) || now.length === 0) return false;
        const before = known[service] ?? [];
        return before.length === 0 || before.some((address) => !now.includes(address));
      })
    );
  });
}

function frontsOf(containers: readonly Container[]): Container[] {
  return containers.filter(
    ({ oneOff, status, ports }) => !oneOff && status === 'running' && ports.length > 0,
  );
}

function keyOf({ id, startedAt }: Container): string {
  return `${id} ${startedAt}`;
}

function addressesOf(containers: readonly Container[], service: string): string[] {
  return containers
    .filter(
      (container) => container.service === service && !container.oneOff && container.status === 'running',
    )
    .flatMap(({ addresses }) => addresses);
}

import type { Container } from '../host/containers.ts';
import type { Site } from '../site.ts';

/** Repairs what an interrupted `docker compose up` left, which would trip the next one. */
export async function repair({ docker, host, context }: Site, containers: readonly Container[]) {
  for (const { id, rename } of leftovers(containers)) {
    context.log.warning(`${host}: repairing what an interrupted docker compose up left (${id.slice(0, 12)})`);
    await docker.docker(rename ? ['rename', id, rename] : ['rm', '-f', id], 'cannot repair a container');
  }
}

/** `<12 hex>_name` beside or instead of `name`. Pure. */
export function leftovers(containers: readonly Container[]): Array<{ id: string; rename?: string }> {
  const names = new Set(containers.map((container) => container.name));
  return containers.flatMap((container) => {
    const [, plain] = /^[0-9a-f]{12}_(.+)$/.exec(container.name) ?? [];
    if (!plain) return [];
    // It serves and nobody has its name: give it back. Anything else is removed; `up` makes it anew.
    return [
      container.status === 'running' && !names.has(plain)
        ? { id: container.id, rename: plain }
        : { id: container.id },
    ];
  });
}

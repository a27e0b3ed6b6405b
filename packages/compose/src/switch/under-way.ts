import type { Container } from '../host/containers.ts';
import type { PendingRecord, SwapRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';

/** Writes down on the host what is about to change and the way back, before it changes. */
export async function begin(
  site: Site,
  change: Pick<PendingRecord, 'to' | 'from' | 'tags' | 'phase' | 'head'>,
  containers: readonly Container[],
): Promise<void> {
  const { lockToken: token, owner } = site.context;
  site.pending = pendingFor(site.pending, {
    ...change,
    version: 1,
    token,
    at: site.now(),
    runUrl: owner.runUrl,
    containers: idsByService(containers),
    remounted: site.remounted,
    placed: [],
  });
  await site.state.setPending(site.pending);
}

export async function setPhase(site: Site, phase: PendingRecord['phase']): Promise<void> {
  if (!site.pending) return;
  site.pending = { ...site.pending, phase };
  await site.state.setPending(site.pending);
}

/** Writes down how far the swap of a service is, before the step that follows. */
export async function setSwap(site: Site, service: string, swap: SwapRecord, reload: string): Promise<void> {
  const { pending } = site;
  if (!pending) throw new Error(`no change is under way in which ${service} could be swapped`);
  const services = { ...pending.swaps?.services, [service]: swap };
  site.pending = { ...pending, swaps: { reload, services } };
  await site.state.setPending(site.pending);
}

/** What a run before us began and did not end started from what truly served: that stays the way back. Pure. */
export function pendingFor(inherited: PendingRecord | undefined, own: PendingRecord): PendingRecord {
  if (!inherited) return own;
  const { from, containers, tags, swaps, head = own.head } = inherited;
  return {
    ...own,
    from,
    containers,
    tags: { ...own.tags, ...tags },
    remounted: [...new Set([...inherited.remounted, ...own.remounted])],
    placed: [...new Set([...inherited.placed, inherited.to])],
    ...(head && { head }),
    ...(swaps && { swaps }),
  };
}

function idsByService(containers: readonly Container[]): Record<string, string[]> {
  const byService: Record<string, string[]> = {};
  for (const { service, id, oneOff } of containers)
    if (!oneOff) byService[service] = [...(byService[service] ?? []), id];
  return byService;
}

import type { Site } from '../site.ts';

/** From now on the release serves: record and audit. */
export async function settle(site: Site, id: string): Promise<void> {
  const { state, settings, context } = site;
  site.lock?.check();
  const record = await state.release(id);
  const left = site.serving;
  // A rollback asked for by a person leaves a release that is not to be chosen again by itself.
  if (settings.rollbackTo && left && left !== id) await state.markBad(left, 'left by rollback-to');
  site.releases = await state.settle(
    { ...record, verifiedAt: site.now() },
    `${id} serves (before: ${left ?? 'nothing'}) ${context.owner.runUrl}`,
  );
  site.pending = undefined;
  site.serving = id;
}

import { messageOf } from '@lockkeeper/action';
import { remountedBetween } from '../files/changed-files.ts';
import { placeFiles } from '../files/place.ts';
import type { RolledBack } from '../outcome.ts';
import { verify } from '../prove/verify.ts';
import type { PendingRecord, ReleaseRecord } from '../record/release-record.ts';
import type { SingletonRole } from '../singletons.ts';
import type { Site } from '../site.ts';
import { bringUp, runHook } from '../switch/switch.ts';
import { begin, setPhase } from '../switch/under-way.ts';
import { startedSince, strangers, tagsBefore, tagsOf, untouched } from './difference.ts';

/** Whether something was begun that `rollBack` would undo. */
export async function needsRollBack(site: Site): Promise<boolean> {
  site.pending ??= (await site.state.current()).pending;
  return site.pending !== undefined && site.pending.phase !== 'left';
}

/** Back to what ran before the change, or to the named release, verified. Throws only when cancelled. */
export async function rollBack(
  site: Site,
  reason: string,
  { to, timeout, singletons = 'as-recorded' }: { to?: string; timeout?: number; singletons?: SingletonRole },
): Promise<RolledBack> {
  site.pending ??= (await site.state.current()).pending;
  site.singletons = singletons;
  const { pending, serving } = site;
  const left = pending?.to ?? serving;
  const target = to ?? pending?.from ?? undefined;
  if (!pending && (!to || to === serving))
    return { serving, verified: true, message: 'Nothing was changed.' };
  try {
    site.lock?.check();
    if (!target) return await stopWhatWasStarted(site, left, reason);
    const record = await site.state.release(target);
    site.name = record.project;
    await goBack(site, record, { left, pending, timeout });
    const verdict = await verify(site, target, timeout);
    if (!verdict.good) return await notBack(site, reason, verdict.reason);
    if (left && left !== target) await site.state.markBad(left, reason);
    site.releases = await site.state.settle(
      { ...record, verifiedAt: record.verifiedAt ?? site.now() },
      `rolled back to ${target}: ${reason} ${site.context.owner.runUrl}`,
    );
    site.pending = undefined;
    site.serving = target;
    return { serving: target, verified: true, message: `Rolled back to ${target}, verified.` };
  } catch (error) {
    if (site.context.signal?.aborted) throw error;
    return notBack(site, reason, messageOf(error));
  }
}

/** Files, tags, env file and containers become those of the record; what the deploy did not touch is left alone. */
async function goBack(
  site: Site,
  record: ReleaseRecord,
  {
    left,
    pending,
    timeout,
  }: { left: string | undefined; pending: PendingRecord | undefined; timeout: number | undefined },
): Promise<void> {
  const { state, docker, settings } = site;
  const replaced = pending?.phase !== 'placed';
  const leftRecord = left ? await state.release(left).catch(() => undefined) : undefined;
  if (pending) {
    site.remounted = [...new Set([...site.remounted, ...pending.remounted])];
    await setPhase(site, 'rolling-back');
  } else {
    // A host that was finished goes back with its fleet: from here on it is under way again.
    // What runs there is none of what ran before.
    site.remounted = await remountedBetween(site, leftRecord, record);
    await begin(site, { to: left ?? record.id, from: record.id, tags: {}, phase: 'rolling-back' }, []);
  }
  await placeFiles(site, record, { back: true });
  await docker.putInPlace(
    state.releasePath(record.id),
    (await envFileToRestore(site, record, pending)) ?? '',
    tagsOf(record, pending),
  );
  // Its Compose means the release that is gone back to only now.
  if (replaced)
    await runHook(site, record.id, 'pre-rollback', settings.preRollback).catch((error: unknown) => {
      if (site.context.signal?.aborted) throw error;
      // Users are better served by the old release without what the hook does than by one that failed.
      site.context.log.warning(`${messageOf(error)}; going back all the same`);
    });
  const containers = await docker.containersOf(site.name);
  const foreign = strangers(containers, record, leftRecord, pending);
  if (foreign.length > 0)
    await docker.docker(['rm', '-f', ...foreign.map(({ id }) => id)], 'cannot remove new containers');
  const replicas = site.replicasOf(record);
  const changed = record.services.filter(
    (service) =>
      service in (pending?.swaps?.services ?? {}) ||
      (replicas[service] === 0
        ? containers.some((container) => container.service === service && !container.oneOff)
        : !untouched(pending, containers, service, record)),
  );
  if (changed.length > 0) await bringUp(site, record, containers, { only: changed, timeout });
}

/** The release's own env file, or the host's as it lay before an env-file input replaced it. */
async function envFileToRestore(
  { state, settings }: Site,
  record: ReleaseRecord,
  pending: PendingRecord | undefined,
): Promise<string | undefined> {
  if (record.envFile !== null) return record.envFile;
  const left = pending && (await state.release(pending.to).catch(() => undefined));
  return left?.envFile === settings.envFilePath ? settings.envFilePath : undefined;
}

async function stopWhatWasStarted(site: Site, left: string | undefined, reason: string): Promise<RolledBack> {
  const { state, docker, pending } = site;
  if (left) site.name = (await state.release(left)).project;
  await setPhase(site, 'rolling-back');
  const started = startedSince(pending, await docker.containersOf(site.name));
  if (started.length > 0)
    await docker.docker(['stop', ...started.map(({ id }) => id)], 'cannot stop what was started');
  await placeFiles(site, undefined, { back: true });
  await docker.tag(tagsBefore(pending));
  if (pending) await state.markBad(pending.to, reason);
  await state.clearPending();
  site.pending = undefined;
  await state.audit(`stopped the failed first release: ${reason} ${site.context.owner.runUrl}`);
  return {
    serving: undefined,
    verified: true,
    message: 'Nothing ran here before, so what was started is stopped (its containers and logs are kept).',
  };
}

async function notBack(site: Site, reason: string, why: string): Promise<RolledBack> {
  const target = site.pending?.from ?? 'the earlier release';
  await site.state.audit(`rollback to ${target} failed: ${why} (after: ${reason})`).catch(() => {});
  return { serving: undefined, verified: false, message: `Going back to ${target} failed too: ${why}.` };
}

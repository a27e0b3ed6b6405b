import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { releaseIdPattern } from './release-id.ts';
import { parseStagingNote, type StagingNote } from './staging-note.ts';

const id = v.pipe(v.string(), v.regex(releaseIdPattern));
const image = v.object({ reference: v.string(), id: v.string(), digest: v.optional(v.string()) });

/** releases/<id>/release.json: what the release is made of. No secret is in it. */
export const releaseRecord = v.object({
  version: v.literal(1),
  id,
  commit: v.string(),
  createdAt: v.string(),
  /** Recorded from what ran, not deployed by us. */
  baseline: v.boolean(),
  project: v.string(),
  services: v.array(v.string()),
  /** What the release was asked for; [] = all. `docker compose up` gets the same. */
  named: v.array(v.string()),
  /** 0 for a singleton service that runs on another host. */
  replicas: v.record(v.string(), v.number()),
  /** Service → all that it depends on, however far. */
  needs: v.optional(v.record(v.string(), v.array(v.string())), {}),
  /** Each service of the file, also of no release → those that it depends on to run: not what these depend on, no jobs that end. */
  behind: v.optional(v.record(v.string(), v.array(v.string())), {}),
  /** Services of which a second container can run beside the first. */
  beside: v.optional(v.array(v.string()), []),
  images: v.record(v.string(), image),
  /** Ids of those images that came with this release or one before it, not by somebody else's hand. */
  brought: v.optional(v.array(v.string())),
  hashes: v.record(v.string(), v.string()),
  /** Service → mounted file → checksum. */
  mounts: v.record(v.string(), v.record(v.string(), v.string())),
  /** Hash of files, env, images and mounted files: the same means nothing to deploy. */
  content: v.string(),
  /** Whether the env file belongs to the release and is put in place with it. */
  envFile: v.nullable(v.string()),
  /** Where its files come from; `left` is `host` where an earlier release had put files in place. */
  files: v.optional(v.picklist(['host', 'left', 'git', 'upload']), 'host'),
  /** Where HEAD of the checkout is when it serves. */
  git: v.optional(v.object({ commit: v.string(), branch: v.nullable(v.string()) })),
  /** The same for two releases of the same files, of `git` and `upload`. */
  tree: v.optional(v.string()),
  /** Service → what it mounts from the host, files and directories. */
  sources: v.optional(v.record(v.string(), v.array(v.string()))),
  verifiedAt: v.nullable(v.string()),
});
export type ReleaseRecord = v.InferOutput<typeof releaseRecord>;

/** How far the swap of a blue-green service is; each list is written before what it tells of is done. */
const swap = v.object({
  /** Ids of containers that the proxy may know. */
  exposed: v.array(v.string()),
  /** Ids of containers that were told to stop. */
  retired: v.array(v.string()),
});
export type SwapRecord = v.InferOutput<typeof swap>;

/** .lockkeeper/pending.json: written before the first change of a deploy, gone after its end. */
export const pendingRecord = v.object({
  version: v.literal(1),
  token: v.string(),
  to: id,
  /** What ran before; null where nothing did. */
  from: v.nullable(id),
  at: v.string(),
  runUrl: v.string(),
  phase: v.picklist(['placed', 'switched', 'rolling-back', 'left']),
  /** Container ids by service, before. */
  containers: v.record(v.string(), v.array(v.string())),
  /** Image references that the deploy moved → the id before; null where there was none. */
  tags: v.record(v.string(), v.nullable(v.string())),
  /** Blue-green services by name, and the lines that make the proxy look again: whoever goes on needs them. */
  swaps: v.optional(v.object({ reload: v.string(), services: v.record(v.string(), swap) })),
  /** Services that must see their mounted files anew, whichever way it ends. */
  remounted: v.optional(v.array(v.string()), []),
  /** Releases whose files an interrupted run may have left in place. */
  placed: v.optional(v.array(id), []),
  /** Where HEAD of the checkout was, when the deploy moves it. */
  head: v.optional(v.object({ commit: v.nullable(v.string()), branch: v.nullable(v.string()) })),
});
export type PendingRecord = v.InferOutput<typeof pendingRecord>;

export interface ReleaseList {
  releases: ReleaseRecord[];
  bad: Set<string>;
  /** Of runs that ended before their release had a record. */
  interrupted: StagingNote[];
}

/** Reads what `listReleases` prints; a record that is cut or foreign is left out. */
export function parseReleases(text: string): ReleaseList {
  const list: ReleaseList = { releases: [], bad: new Set(), interrupted: [] };
  for (const part of text.split(/^--- /m).slice(1)) {
    const end = part.indexOf('\n');
    const head = part.slice(0, end).trim();
    if (head.startsWith('bad ')) list.bad.add(head.slice(4));
    else if (head.startsWith('staging '))
      list.interrupted.push({ id: head.slice(8), ...parseStagingNote(part.slice(end)) });
    else {
      const record = v.safeParse(releaseRecord, safeJson(part.slice(end)));
      if (record.success && `${record.output.id}/` === head) list.releases.push(record.output);
    }
  }
  list.releases.sort((a, b) => a.id.localeCompare(b.id));
  return list;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The newest verified release that neither serves nor is marked bad. */
export function previousRelease(
  { releases, bad }: ReleaseList,
  serving: string | undefined,
): string | undefined {
  return releases
    .filter((release) => release.verifiedAt && release.id !== serving && !bad.has(release.id))
    .sort((a, b) => a.verifiedAt!.localeCompare(b.verifiedAt!))
    .at(-1)?.id;
}

/** What may go: all but the newest `keep`, the serving one and the one before it. */
export function obsoleteReleases(list: ReleaseList, serving: string, keep: number): ReleaseRecord[] {
  const previous = previousRelease(list, serving);
  const kept = new Set([serving, previous, ...list.releases.slice(-keep).map((release) => release.id)]);
  return list.releases.filter((release) => !kept.has(release.id));
}

/** What tells two releases apart: the same means that there is nothing to deploy. Pure. */
export function contentHash(
  record: ReleaseRecord,
  environment: Readonly<Record<string, string>>,
  env: string | undefined,
): string {
  const { project, services, named, hashes, mounts, images, tree } = record;
  const ids = Object.fromEntries(Object.entries(images).map(([service, { id }]) => [service, id]));
  return createHash('sha256')
    .update(
      JSON.stringify([project, services, named, hashes, mounts, ids, environment, env ?? null, tree ?? null]),
    )
    .digest('hex');
}

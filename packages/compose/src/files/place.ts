import { must } from '../host/answer.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';
import { commitsInPlace, lookAtCheckout } from './git.ts';
import * as gitScripts from './git-scripts.ts';
import { beforeUploads, manifestsInPlace } from './upload.ts';
import * as uploadScripts from './upload-scripts.ts';

/** Where a release's files come from; `left` is `host` where an earlier release had put files in place. */
export type FilesOf = ReleaseRecord['files'];

/** Where a checkout's HEAD is; null where there is no commit, or no branch. */
export interface Head {
  commit: string | null;
  branch: string | null;
}

export interface Placement {
  /** Put uploaded files in place, or what lay there before any was uploaded. */
  upload: boolean;
  commit?: { commit: string; branch: string | null };
}

/**
 * What must be done so that the files of a release lie in place, where those of other releases may lie now.
 * Undefined is no release: what lay there before the first. Pure.
 */
export function placementOf(
  target: Pick<ReleaseRecord, 'files' | 'git'> | undefined,
  inPlace: readonly FilesOf[],
  before: Head | undefined,
): Placement {
  const files = target?.files ?? 'host';
  const git = target ? target.git : before;
  const movedHead = files === 'git' || inPlace.includes('git') || inPlace.includes('left');
  return {
    upload: files === 'upload' || inPlace.includes('upload') || inPlace.includes('left'),
    ...(git?.commit && movedHead && { commit: { commit: git.commit, branch: git.branch } }),
  };
}

/**
 * Puts the files of a release in place; undefined: what lay there before the first. On the way `back`, or where an
 * interrupted run may have left a mixture, what a person changed meanwhile is set aside, not in the way.
 */
export async function placeFiles(
  site: Site,
  target: ReleaseRecord | undefined,
  { back }: { back: boolean },
): Promise<void> {
  const { state, docker, pending, directory, context } = site;
  // Staged by this run from files as they lie: they lie in place.
  if (target?.id === context.release && (target.files === 'host' || target.files === 'left')) return;
  const others = [pending?.from, pending?.to, ...(pending?.placed ?? []), site.serving];
  const inPlace: FilesOf[] = [];
  for (const id of new Set(others.filter((one) => one != null && one !== target?.id)))
    inPlace.push((await state.release(id!).catch(() => undefined))?.files ?? 'host');
  const { upload, commit } = placementOf(target, inPlace, pending?.head);
  const mixed = back || (pending?.placed ?? []).length > 0;
  // Not below the release: it would go with that.
  const aside = `${state.path}/changed-by-hand/${pending?.to ?? target?.id}`;
  // First what lies over the work tree of git, then that.
  if (upload)
    await docker.change(
      uploadScripts.placeUpload,
      [
        directory,
        target?.files === 'upload' ? state.releasePath(target.id) : '',
        beforeUploads(state),
        aside,
        mixed ? 'mixed' : 'fresh',
        ...manifestsInPlace(site),
      ],
      'cannot put files in place',
    );
  if (commit)
    await docker.change(
      gitScripts.checkOut,
      [directory, commit.commit, commit.branch ?? '', aside, ...(mixed ? await commitsInPlace(site) : [])],
      `cannot check out commit ${commit.commit}`,
    );
}

/**
 * Before the work tree is moved for the first time: the release that serves learns which commit its files are, so
 * that going back finds them. Answers where HEAD is.
 */
export async function rememberHead(site: Site): Promise<Head> {
  const { context, directory, state, serving } = site;
  const { head = null, branch = null } = await lookAtCheckout(site);
  const record = serving ? await state.release(serving).catch(() => undefined) : undefined;
  if (record && head && !record.git) {
    await keepCommit(site, record.id, head);
    await state.saveRelease({ ...record, git: { commit: head, branch } });
  }
  context.log.debug(`${directory}: HEAD is ${head ?? 'no commit'} (${branch ?? 'no branch'})`);
  return { commit: head, branch };
}

/** The commit stays in the host's repository for as long as the release is kept. */
export async function keepCommit({ context, directory }: Site, id: string, commit: string): Promise<void> {
  await must(
    context.shell,
    gitScripts.keepCommit,
    { args: [directory, id, commit] },
    'cannot keep the commit',
  );
}

/** What `keepCommit` kept for releases that go. */
export async function forgetCommits(
  { context, directory }: Site,
  gone: ReadonlyArray<Pick<ReleaseRecord, 'id' | 'git'>>,
): Promise<void> {
  const ids = gone.flatMap(({ id, git }) => (git ? [id] : []));
  if (ids.length > 0) await context.shell.run(gitScripts.forgetCommits, { args: [directory, ...ids] });
}

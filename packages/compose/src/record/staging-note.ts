import type { NamedImage } from '../host/images.ts';

/**
 * .lockkeeper/staging/<id>: what a run is about to bring and what was here before, written before it brings anything. The
 * release's record takes its place; where a run ends before that, it is all that knows whose the images are.
 */
export interface StagingNote {
  id: string;
  /** Digests and references that the run wants. */
  wanted: readonly string[];
  /** Ids of the images that were on the host. */
  had: readonly string[];
}

/** Reads what `noteImages` wrote. Pure. */
export function parseStagingNote(text: string): Omit<StagingNote, 'id'> {
  const after = (word: string) => [...text.matchAll(new RegExp(`^${word} (.+)$`, 'gm'))].map(([, it]) => it!);
  return { wanted: after('wants'), had: after('had') };
}

/** Whether a run that wrote the note brought the image: it came since, and is one of those that were wanted. Pure. */
export function cameWith(
  { wanted, had }: Omit<StagingNote, 'id'>,
  { id, tags, digests }: NamedImage,
): boolean {
  if (had.includes(id)) return false;
  // A tag that was pulled stands for another image by the time that somebody asks.
  const repositories = new Set(wanted.filter((one) => !one.includes('@')).map(repositoryOf));
  return (
    tags.some((tag) => wanted.includes(tag)) ||
    digests.some((digest) => wanted.includes(digest) || repositories.has(repositoryOf(digest)))
  );
}

/** `registry/name` of a reference with or without tag or digest. */
export function repositoryOf(reference: string): string {
  return reference.split('@')[0]!.replace(/:[^/:]*$/, '');
}

/** A name that is safe as an argument of git and as nothing else than a name: no option, no range, no path upwards. */
export function isRefName(ref: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$/.test(ref) && !/\.\.|\/\/|\/\.|\/$|\.lock(\/|$)|\.$/.test(ref);
}

/** SHA-1, or SHA-256 in a repository of that format. */
export function isCommitId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/** What a remote knows a name as; `commit` undefined: nothing. */
export type Resolved = { commit: string } | { problem: string };

/**
 * Which commit a branch or tag stands for, from what `git ls-remote` prints of it. A tag of its own object
 * stands for what it points to (`^{}`). Pure.
 */
export function resolveRef(ref: string, listing: string): Resolved {
  const found = new Map(
    listing.split('\n').flatMap((line) => {
      const [id, name] = line.split('\t');
      return id && name && isCommitId(id) ? [[name, id] as const] : [];
    }),
  );
  const tag = found.get(`refs/tags/${ref}^{}`) ?? found.get(`refs/tags/${ref}`);
  const branch = found.get(`refs/heads/${ref}`);
  const whole = ref.startsWith('refs/') ? (found.get(`${ref}^{}`) ?? found.get(ref)) : undefined;
  if (tag && branch && tag !== branch)
    return { problem: `is both a branch and a tag; say refs/heads/${ref} or refs/tags/${ref}` };
  const commit = whole ?? tag ?? branch;
  return commit ? { commit } : { problem: 'is no branch and no tag of the repository' };
}

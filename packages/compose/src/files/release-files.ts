/** A release's own files, on the host but not in place yet. */
export interface ReleaseFiles {
  from: 'git' | 'upload';
  /** The directory on the host that the release's tree stands for: the project's, or the top of its checkout. */
  root: string;
  /** The tree: `<release>/tree`. */
  tree: string;
  /**
   * The tree and what else lies in `root`, by links: how `root` will look. Compose reads the release here until it
   * is in place. It goes with the end of staging.
   */
  view: string;
  /** The same for two releases of the same files. */
  content: string;
  /** The commit, of `git`. */
  commit?: string;
  /** Files, relative to `root`, that are not as the serving release has them. */
  changed: string[];
  /** Whether the files lie in place already. */
  inPlace: boolean;
}

/** A path below one directory as the same path below another; undefined when it is not below it. Pure. */
export function moved(path: string, from: string, to: string): string | undefined {
  return path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : undefined;
}

import { UserError } from '@lockkeeper/action';
import type { Deadline } from '@lockkeeper/wait';
import { must } from '../host/answer.ts';
import type { Site } from '../site.ts';
import { bringCommit } from './git.ts';
import { bringUpload } from './upload.ts';
import { makeView } from './view-scripts.ts';

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

/** Brings the files of this run's release to the host; nothing is put in place. Undefined for `files: host`. Throws UserError. */
export async function bringFiles(
  site: Site,
  directory: string,
  { deadline, commit }: { deadline: Deadline; commit?: string },
): Promise<ReleaseFiles | undefined> {
  const { files, envFile, envFilePath } = site.settings;
  if (files.from === 'host') return undefined;
  const brought =
    files.from === 'git'
      ? await bringCommit(site, files, directory, { deadline, resolved: commit })
      : await bringUpload(site, files, directory, deadline);
  const { serving, state, context } = site;
  const served = serving ? `${state.releasePath(serving)}/tree` : '';
  const env = `${projectIn(brought.root, site.directory)}${envFilePath}`;
  const { stdout } = await must(
    context.shell,
    makeView,
    {
      args: [brought.root, directory, files.from, served, envFile === undefined ? '' : env],
      timeout: deadline.remaining(),
    },
    'cannot lay out the release',
  );
  if (stdout.includes('env'))
    throw new UserError(
      `${envFilePath} would be written by env-file, and is one of the files of this release (files: ${files.from})`,
      { next: 'give another env-file-path, or take it out of those files' },
    );
  return brought;
}

/** The project directory relative to `root`, with a slash, or ''. Pure. */
function projectIn(root: string, directory: string): string {
  return directory === root ? '' : `${directory.slice(root.length + 1)}/`;
}

/** A path below one directory as the same path below another; undefined when it is not below it. Pure. */
export function moved(path: string, from: string, to: string): string | undefined {
  return path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : undefined;
}

import { UserError } from '@lockkeeper/action';
import type { Deadline } from '@lockkeeper/wait';
import { must } from '../host/answer.ts';
import type { Site } from '../site.ts';
import { bringCommit } from './git.ts';
import type { ReleaseFiles } from './release-files.ts';
import { bringUpload } from './upload.ts';
import { makeView } from './view-scripts.ts';

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

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UserError } from '@lockkeeper/action';
import { pack } from 'tar-stream';

/** One regular file of the workspace that is uploaded. */
export interface WorkspaceFile {
  /** Relative to the workspace. */
  path: string;
  /** Where its content lies: the file itself, or what a link in the workspace leads to. */
  source: string;
  executable: boolean;
  /** Bytes. */
  size: number;
}

/** What is never uploaded, wherever it lies: a repository's own files may hold its token. */
const never = ['.git', '.lockkeeper'];

/**
 * The files below paths of the workspace. A link within the workspace stands for what it leads to; one that leads out
 * of it is refused, and so is what is no file. Throws UserError.
 */
export async function workspaceFiles(workspace: string, paths: readonly string[]): Promise<WorkspaceFile[]> {
  if (!workspace)
    throw new UserError('files: upload needs the workspace of the runner, and GITHUB_WORKSPACE is not set');
  const root = await realpath(workspace).catch(() => {
    throw new UserError(`the workspace ${workspace} is not there`);
  });
  const found = new Map<string, WorkspaceFile>();
  const visit = async (path: string, above: readonly string[]): Promise<void> => {
    const name = path.split('/').at(-1)!;
    if (never.includes(name)) return;
    if (/[\\\p{Cc}]/u.test(path) || path !== path.trim())
      throw new UserError(`${JSON.stringify(path)} has a name that cannot be uploaded`, {
        next: 'rename it, or name others in upload-paths',
      });
    const source = await resolved(root, path);
    const status = await lstat(source);
    if (status.isFile()) {
      const executable = (status.mode & 0o111) !== 0;
      found.set(path, { path, source, executable, size: status.size });
    } else if (status.isDirectory()) {
      if (above.includes(source)) throw new UserError(`${path} is a link to a directory that it lies in`);
      for (const entry of (await readdir(source)).sort()) await visit(`${path}/${entry}`, [...above, source]);
    } else throw new UserError(`${path} is neither a file nor a directory; it cannot be uploaded`);
  };
  for (const path of paths) await visit(path, []);
  if (found.size === 0) throw new UserError(`there is no file in ${paths.join(', ')} of the workspace`);
  return [...found.values()];
}

async function resolved(root: string, path: string): Promise<string> {
  const source = await realpath(join(root, path)).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      error.code === 'ENOENT'
        ? `the workspace has no ${path}`
        : `${path} of the workspace cannot be read (${error.code})`,
      { next: 'is actions/checkout run before this step? were the files built?' },
    );
  });
  const inside = relative(root, source);
  if (
    inside.startsWith(`..${sep}`) ||
    inside === '..' ||
    inside.split(sep).some((part) => never.includes(part))
  )
    throw new UserError(`${path} is a link that leads out of the workspace; it is not uploaded`);
  return source;
}

/** SHA-256 of each file, by its path. */
export async function hashFiles(files: readonly WorkspaceFile[]): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const { path, source } of files) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(source), hash);
    hashes.set(path, hash.digest('hex'));
  }
  return hashes;
}

/** The files as a tar stream, read as fast as it is; it fails where a file changed its size meanwhile. */
export function tarOf(files: readonly WorkspaceFile[]): Readable {
  const tar = pack();
  const fill = async () => {
    for (const { path, source, executable, size } of files) {
      const entry = tar.entry({ name: path, size, mode: executable ? 0o755 : 0o644, mtime: new Date(0) });
      await pipeline(createReadStream(source), entry);
    }
    tar.finalize();
  };
  fill().catch((error) => tar.destroy(error));
  // tar-stream's own is not node's, though it looks like it.
  return Readable.from(tar);
}

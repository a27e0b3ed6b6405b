import type { Inputs } from '@lockkeeper/action';
import { isRefName } from './git-ref.ts';

/** Where a release's Compose and config files come from. */
export type FileSource =
  /** As they lie in the project directory. */
  | { from: 'host' }
  /** A commit of the run's repository: `ref`, or the commit of the run. `token`: fetch with it, over https. */
  | { from: 'git'; ref?: string; token?: string }
  /** Files and directories of the runner's workspace, relative to it. */
  | { from: 'upload'; paths: string[] };

/** `files` and the inputs that go with it. Problems are collected in `inputs`. */
export function readFileSource(inputs: Inputs): FileSource {
  const from = inputs.choice('files', ['host', 'git', 'upload']);
  const ref = inputs.text('git-ref');
  const token = inputs.secret('git-token').trim();
  const paths = readUploadPaths(inputs);
  if (ref && !isRefName(ref))
    inputs.reject('git-ref', ref, 'a branch, a tag or a whole commit id: letters, digits, ., _, - and /');
  if (/[^\x21-\x7e]/.test(token)) inputs.problem('git-token', 'has characters that no token has');
  if (from !== 'git')
    for (const name of ['git-ref', 'git-token'])
      if (inputs.isSet(name)) inputs.problem(name, 'is of use only with files: git');
  if (from === 'upload' && paths.length === 0)
    inputs.problem('upload-paths', 'is required with files: upload; expected files and directories');
  if (from !== 'upload' && inputs.isSet('upload-paths'))
    inputs.problem('upload-paths', 'is of use only with files: upload');
  if (from === 'git') return { from, ref: ref || undefined, token: token || undefined };
  return from === 'upload' ? { from, paths } : { from };
}

function readUploadPaths(inputs: Inputs): string[] {
  const paths = inputs.list('upload-paths').map((path) => path.replace(/^(\.\/)+/, '').replace(/\/+$/, ''));
  for (const path of paths) {
    const parts = path.split('/');
    if (parts.some((part) => ['', '.', '..', '.git', '.lockkeeper'].includes(part)) || path.startsWith('-'))
      inputs.reject(
        'upload-paths',
        path || '.',
        'files and directories by name, relative to the workspace, without .. and .git',
      );
  }
  return [...new Set(paths)];
}

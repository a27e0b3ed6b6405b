import { createHash } from 'node:crypto';
import { UserError } from '@lockkeeper/action';
import type { Deadline } from '@lockkeeper/wait';
import { must } from '../host/answer.ts';
import { type HostName, onHost } from '../host/next-command.ts';
import { checkSpace } from '../host/preflight.ts';
import type { Site } from '../site.ts';
import type { FileSource } from './file-source.ts';
import { listed } from './git-export.ts';
import { differingPaths, type Manifest, manifestText, parseManifest } from './manifest.ts';
import type { ReleaseFiles } from './release-files.ts';
import * as scripts from './upload-scripts.ts';
import { hashFiles, tarOf, workspaceFiles } from './workspace.ts';

/** Uploads files of the workspace below the release's directory; nothing is put in place. Throws UserError. */
export async function bringUpload(
  site: Site,
  { paths }: Extract<FileSource, { from: 'upload' }>,
  directory: string,
  deadline: Deadline,
): Promise<ReleaseFiles> {
  const { context, host } = site;
  const { shell, log, signal } = context;
  const files = await workspaceFiles(context.repository.workspace, paths);
  const manifest: Manifest = await hashFiles(files);
  const size = files.reduce((sum, file) => sum + file.size, 0);
  checkSpace(site.free && site.free - size / 1024, shell);
  log.info(`${host}: uploading ${files.length} files, ${(size / 1e6).toFixed(1)} MB`);
  await must(
    shell,
    scripts.unpack,
    { args: [directory], stdin: tarOf(files), timeout: deadline.remaining(), signal },
    'cannot unpack what was uploaded',
  );
  const text = manifestText(manifest);
  const { stdout } = await must(
    shell,
    scripts.inspectUpload,
    {
      args: [site.directory, directory, ...manifestsInPlace(site)],
      stdin: text,
      timeout: deadline.remaining(),
    },
    'cannot look at what was uploaded',
  );
  const found = parseInspection(stdout);
  judgeInspection(found, { host: shell, directory: site.directory });
  return {
    from: 'upload',
    root: site.directory,
    tree: `${directory}/tree`,
    view: `${directory}/view`,
    content: createHash('sha256').update(text).digest('hex'),
    // Where no upload serves, what lies there is what the containers know.
    changed: found.serving.size > 0 ? differingPaths(manifest, found.serving) : found.differs,
    inPlace: found.differs.length === 0,
  };
}

/**
 * The manifests of what may lie in the project directory: that of the release that serves first ('' where none does),
 * and after an interrupted run those of the releases that it went between, and of what lay there before any.
 */
export function manifestsInPlace({ state, serving, pending }: Site): string[] {
  const manifest = (id: string) => `${state.releasePath(id)}/manifest`;
  const first = serving ? manifest(serving) : '';
  if (!pending) return [first];
  const others = [pending.from, pending.to, ...pending.placed].filter((id) => id !== null && id !== serving);
  return [first, ...others.map((id) => manifest(id!)), `${beforeUploads(state)}/manifest`];
}

/** Where what lay in the project directory before uploads is kept. */
export function beforeUploads({ path }: Site['state']): string {
  return `${path}/before`;
}

/** What `inspectUpload` found. */
export interface Inspection {
  damaged: string[];
  blocked: string[];
  changed: string[];
  /** Files that are not in place as they were uploaded. */
  differs: string[];
  /** The manifest of the release that serves; empty where that was not uploaded. */
  serving: Manifest;
}

/** Pure. */
export function parseInspection(text: string): Inspection {
  const at = text.search(/^serving$/m);
  const head = text.slice(0, at);
  const all = (name: string) =>
    [...head.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, path]) => path!);
  return {
    damaged: all('damaged'),
    blocked: all('blocked'),
    changed: all('changed'),
    differs: all('differs'),
    serving: parseManifest(text.slice(at)),
  };
}

/** Throws UserError that names what speaks against putting the files in place. Pure. */
export function judgeInspection(
  { damaged, blocked, changed }: Inspection,
  { host, directory }: { host: HostName; directory: string },
): void {
  if (damaged.length > 0)
    throw new UserError(`${listed(damaged)} did not arrive on ${host.name} as it is in the workspace`, {
      next: onHost(host, 'df -h .', directory),
    });
  if (blocked.length > 0)
    throw new UserError(
      `${listed(blocked)} in ${directory} on ${host.name} ${blocked.length > 1 ? 'are links or of another kind' : 'is a link, or of another kind'} than what is uploaded`,
      { next: onHost(host, 'ls -la', directory) },
    );
  if (changed.length > 0)
    throw new UserError(
      `${listed(changed)} ${changed.length > 1 ? 'were' : 'was'} changed by hand on ${host.name}, in ${directory}; a deploy does not throw that away`,
      { next: 'put the change into what is uploaded, and move the file on the host away' },
    );
}

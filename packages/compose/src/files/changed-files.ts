import { must } from '../host/answer.ts';
import type { ReleaseRecord } from '../record/release-record.ts';
import type { Site } from '../site.ts';
import { lookAtCheckout } from './git.ts';
import * as gitScripts from './git-scripts.ts';
import { differingPaths, parseManifest } from './manifest.ts';
import { moved } from './release-files.ts';
import { beforeUploads } from './upload.ts';
import * as uploadScripts from './upload-scripts.ts';

/** Services that mount one of the changed files, or a directory that it lies below. Paths relative to `root`. Pure. */
export function servicesThatMount(
  changed: readonly string[],
  root: string,
  mounts: Readonly<Record<string, readonly string[]>>,
): Record<string, string[]> {
  const files = changed.map((path) => `${root}/${path}`);
  return Object.fromEntries(
    Object.entries(mounts).flatMap(([service, sources]) => {
      const own = files.filter((file) => sources.some((source) => moved(file, source, '') !== undefined));
      return own.length > 0 ? [[service, own.map((file) => file.slice(root.length + 1))]] : [];
    }),
  );
}

/** Services of `target` whose mounted files are not as `left`, which lies in place, has them. */
export async function remountedBetween(
  site: Site,
  left: ReleaseRecord | undefined,
  target: ReleaseRecord,
): Promise<string[]> {
  const { directory, context, state } = site;
  const services = new Set<string>();
  const add = (changed: readonly string[], root: string) => {
    for (const service of Object.keys(servicesThatMount(changed, root, target.sources ?? {})))
      services.add(service);
  };
  if (left?.git && target.git && left.git.commit !== target.git.commit) {
    const { root } = await lookAtCheckout(site);
    const { stdout } = await context.shell.run(gitScripts.changedBetween, {
      args: [directory, left.git.commit, target.git.commit],
    });
    if (root) add(stdout.split('\n').filter(Boolean), root);
  }
  if (left?.files === 'upload' || target.files === 'upload') {
    const manifestOf = (release: ReleaseRecord | undefined) =>
      `${release?.files === 'upload' ? state.releasePath(release.id) : beforeUploads(state)}/manifest`;
    const { stdout } = await must(
      context.shell,
      uploadScripts.manifests,
      { args: [manifestOf(left), manifestOf(target)] },
      'cannot read what was uploaded',
    );
    const [a = '', b = ''] = stdout.split(/^and$/m);
    add(differingPaths(parseManifest(a), parseManifest(b)), directory);
  }
  return [...services];
}

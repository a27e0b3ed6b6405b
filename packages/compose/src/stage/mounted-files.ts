import type { Shell } from '@lockkeeper/ssh';
import { moved, type ReleaseFiles } from '../files/release-files.ts';
import type { ComposeConfig } from './compose-config.ts';
import * as scripts from './release-scripts.ts';

/** Service → mounted file → checksum. */
export type Mounts = Record<string, Record<string, string>>;

/**
 * What the services mount from the host as single files, as they will lie there. Directories are not looked into:
 * those of data change all the time. What a release's own files change below one is known from those files.
 */
export async function mountedFiles(
  shell: Shell,
  config: ComposeConfig,
  services: readonly string[],
  own?: ReleaseFiles,
): Promise<Mounts> {
  const paths = [...new Set(services.flatMap((service) => config.services[service]?.mounts ?? []))];
  if (paths.length === 0) return {};
  const inView = new Map(paths.map((path) => [(own && moved(path, own.root, own.view)) ?? path, path]));
  const { stdout } = await shell.run(scripts.checksums, { args: [...inView.keys()] });
  const told = stdout.replace(/^(\d+ \d+) (.+)$/gm, (_, sum, path) => `${sum} ${inView.get(path) ?? path}`);
  return mountsByService(config, services, told);
}

/** Reads what `checksums` prints. Pure. */
export function mountsByService(config: ComposeConfig, services: readonly string[], text: string): Mounts {
  const sums = new Map(
    text.split('\n').flatMap((line) => {
      const [, sum, path] = /^(\d+ \d+) (.+)$/.exec(line) ?? [];
      return sum && path ? [[path, sum] as const] : [];
    }),
  );
  return Object.fromEntries(
    services.flatMap((service) => {
      const own = (config.services[service]?.mounts ?? []).filter((path) => sums.has(path));
      return own.length > 0
        ? [[service, Object.fromEntries(own.map((path) => [path, sums.get(path)!]))]]
        : [];
    }),
  );
}

/** Service → names of mounted files whose content changed. What was not mounted before is no change of content. Pure. */
export function changedMounts(before: Mounts, now: Mounts): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(now).flatMap(([service, files]) => {
      const old = before[service];
      const changed = old
        ? Object.keys(files).filter((path) => old[path] !== undefined && old[path] !== files[path])
        : [];
      return changed.length > 0 ? [[service, changed.map((path) => path.split('/').at(-1)!)]] : [];
    }),
  );
}

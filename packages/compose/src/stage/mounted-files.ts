import type { Shell } from '@lockkeeper/ssh';
import * as scripts from '../host/scripts.ts';
import type { ComposeConfig } from './compose-config.ts';

/** Service → mounted file → checksum. */
export type Mounts = Record<string, Record<string, string>>;

/** What the services mount from the host as single files; directories are not looked into. */
export async function mountedFiles(
  shell: Shell,
  config: ComposeConfig,
  services: readonly string[],
): Promise<Mounts> {
  const paths = [...new Set(services.flatMap((service) => config.services[service]?.mounts ?? []))];
  if (paths.length === 0) return {};
  const { stdout } = await shell.run(scripts.checksums, { args: paths });
  return mountsByService(config, services, stdout);
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

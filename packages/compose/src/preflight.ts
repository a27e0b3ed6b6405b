import { UserError } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import * as scripts from './host-scripts.ts';
import { lastLine, must } from './host-state.ts';

/** How Compose is called on this host. */
export type ComposeKind = 'plugin' | 'standalone';

/** The absolute directory on the host. Throws UserError when it is none that can be used. */
export async function resolveDirectory(shell: Shell, directory: string): Promise<string> {
  const { code, stdout, stderr } = await shell.run(scripts.resolveDirectory, { args: [directory] });
  const found = stdout.trim();
  if (code === 66)
    throw new UserError(`${shell.name} has no directory ${directory}`, { next: `mkdir -p ${directory}` });
  if (code === 67)
    throw new UserError(`project-directory ${directory} on ${shell.name} is a symbolic link to ${found}`, {
      next: `give ${found} itself`,
    });
  if (code === 68)
    throw new UserError(`the user may not read ${directory} on ${shell.name}`, {
      next: `ls -ld ${directory}`,
    });
  if (code !== 0 || !found.startsWith('/'))
    throw new UserError(`${shell.name}: cannot enter ${directory}: ${lastLine(stderr)}`);
  return found;
}

/** Names the cause when the host cannot deploy: no docker, no permission, no daemon, Compose v1. */
export async function preflight(shell: Shell): Promise<ComposeKind> {
  const { stdout } = await must(shell, scripts.preflight, {}, 'the host does not run sh scripts');
  return judgePreflight(stdout, shell.name);
}

/** Pure. */
export function judgePreflight(text: string, host: string): ComposeKind {
  if (/^docker absent$/m.test(text))
    throw new UserError(`${host} has no docker in PATH`, { next: 'curl -fsSL https://get.docker.com | sh' });
  if (/^daemon refused$/m.test(text)) {
    if (/permission denied/i.test(text))
      throw new UserError(`the user may not use docker on ${host}: it is not in the group docker`, {
        next: 'sudo usermod -aG docker "$USER"   (then log in anew)',
      });
    throw new UserError(`${host}: the Docker daemon does not answer: ${lastLine(text)}`, {
      next: 'sudo systemctl status docker',
    });
  }
  const [, kind, version = ''] = /^(plugin|standalone) v?(\S+)/m.exec(text) ?? [];
  if (!kind)
    throw new UserError(`${host} has docker, but no Docker Compose`, {
      next: 'sudo apt-get install docker-compose-plugin',
    });
  if (Number.parseInt(version, 10) < 2)
    throw new UserError(`${host} has Compose ${version}, which ended in 2023; Compose v2 is needed`, {
      next: 'sudo apt-get install docker-compose-plugin   (your Compose file stays as it is)',
    });
  return kind as ComposeKind;
}

import { UserError } from '@lockkeeper/action';
import type { Shell } from '@lockkeeper/ssh';
import { lastLine, must } from './answer.ts';
import * as scripts from './scripts.ts';

/** How Compose is called on this host. */
export type ComposeKind = 'plugin' | 'standalone';

/** Names the cause when the host cannot deploy: no docker, no permission, no daemon, Compose v1, no directory. */
export async function preflight(
  shell: Shell,
  directory: string,
): Promise<{ kind: ComposeKind; directory: string; free: number | undefined }> {
  const { stdout } = await must(
    shell,
    scripts.preflight,
    { args: [directory], timeout: 60_000 },
    'the host does not run sh scripts',
  );
  const kind = judgePreflight(stdout, shell.name);
  const free = Number(/^free (\d+)$/m.exec(stdout)?.[1]) || undefined;
  return { kind, directory: judgeDirectory(stdout, directory, shell.name), free };
}

/** The absolute directory on the host. Throws UserError when it is none that can be used. Pure. */
export function judgeDirectory(text: string, given: string, host: string): string {
  const link = /^link (.*)$/m.exec(text)?.[1];
  if (link !== undefined)
    throw new UserError(`project-directory ${given} on ${host} is a symbolic link to ${link}`, {
      next: `give ${link} itself`,
    });
  if (/^closed directory$/m.test(text))
    throw new UserError(`the user may not read ${given} on ${host}`, { next: `ls -ld ${given}` });
  const found = /^directory (\/.*)$/m.exec(text)?.[1];
  if (!found) throw new UserError(`${host} has no directory ${given}`, { next: `mkdir -p ${given}` });
  return found;
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

/** Throws UserError when there is hardly any disk left, before a pull fills it. `free` is kilobytes. Pure. */
export function checkSpace(free: number | undefined, host: string): void {
  if (free !== undefined && free < 50 * 1024)
    throw new UserError(`${host} has only ${Math.round(free / 1024)} MB of disk left`, {
      next: 'docker system df',
    });
}

import { UserError } from '@lockkeeper/action';
import { type Shell, word } from '@lockkeeper/ssh';
import { lastLine, must } from './answer.ts';
import { type HostName, onHost } from './next-command.ts';
import * as scripts from './preflight-scripts.ts';

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
  const kind = judgePreflight(stdout, shell);
  const free = Number(/^free (\d+)$/m.exec(stdout)?.[1]) || undefined;
  return { kind, directory: judgeDirectory(stdout, directory, shell), free };
}

/** The absolute directory on the host. Throws UserError when it is none that can be used. Pure. */
export function judgeDirectory(text: string, given: string, host: HostName): string {
  const link = /^link (.*)$/m.exec(text)?.[1];
  if (link !== undefined)
    throw new UserError(`project-directory ${given} on ${host.name} is a symbolic link to ${link}`, {
      next: `give ${link} itself`,
    });
  if (/^closed directory$/m.test(text))
    throw new UserError(`the user may not read ${given} on ${host.name}`, {
      next: onHost(host, `ls -ld ${unexpanded(given)}`),
    });
  const found = /^directory (\/.*)$/m.exec(text)?.[1];
  if (!found)
    throw new UserError(`${host.name} has no directory ${given}`, {
      next: onHost(host, `mkdir -p ${unexpanded(given)}`),
    });
  return found;
}

/** Pure. */
export function judgePreflight(text: string, host: HostName): ComposeKind {
  if (/^docker absent$/m.test(text))
    throw new UserError(`${host.name} has no docker in PATH`, {
      next: onHost(host, 'curl -fsSL https://get.docker.com | sh'),
    });
  if (/^daemon refused$/m.test(text)) {
    if (/permission denied/i.test(text))
      throw new UserError(`the user may not use docker on ${host.name}: it is not in the group docker`, {
        next: onHost(host, 'sudo usermod -aG docker "$USER"'),
      });
    throw new UserError(`${host.name}: the Docker daemon does not answer: ${lastLine(daemonSaid(text))}`, {
      next: onHost(host, 'sudo systemctl status docker'),
    });
  }
  const [, kind, version = ''] = /^(plugin|standalone) v?(\S+)/m.exec(text) ?? [];
  if (!kind)
    throw new UserError(`${host.name} has docker, but no Docker Compose`, {
      next: onHost(host, 'sudo apt-get install docker-compose-plugin'),
    });
  if (Number.parseInt(version, 10) < 2)
    throw new UserError(
      `${host.name} has Compose ${version}, which ended in 2023; Compose v2 is needed, with your file as it is`,
      {
        next: onHost(host, 'sudo apt-get install docker-compose-plugin'),
      },
    );
  return kind as ComposeKind;
}

/** Throws UserError when there is hardly any disk left, before a pull fills it. `free` is kilobytes. Pure. */
export function checkSpace(free: number | undefined, host: HostName): void {
  if (free !== undefined && free < 50 * 1024)
    throw new UserError(`${host.name} has only ${Math.round(free / 1024)} MB of disk left`, {
      next: onHost(host, 'docker system df'),
    });
}

/** What docker said of the daemon, without our own words around it. */
function daemonSaid(text: string): string {
  return [...text.matchAll(/^said (.*)$/gm)].map(([, line]) => line).join('\n');
}

/** `~/` must stay outside quotes to mean the home directory. */
function unexpanded(path: string): string {
  return path.startsWith('~/') ? `~/${word(path.slice(2))}` : word(path);
}

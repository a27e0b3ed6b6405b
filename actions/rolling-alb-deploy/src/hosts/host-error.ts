import { messageOf, UserError } from '@lockkeeper/action';
import type { SshTarget } from '@lockkeeper/ssh';

/** A host as a reader finds it: its instance, how to log in, and where the project lies. */
export interface Door extends Pick<SshTarget, 'host' | 'port' | 'username'> {
  /** Instance id. */
  id: string;
  directory: string;
  jump?: Pick<SshTarget, 'host' | 'port' | 'username'>;
}

/**
 * What failed at a host, with the host named once as `10.0.0.5 (i-…)`, and what to type next: a command that was
 * meant for the host's own shell becomes one that can be typed anywhere.
 */
export function atHost(door: Door, error: unknown): UserError {
  const { next, details } = error instanceof UserError ? error : {};
  return new UserError(named(door, messageOf(error)), {
    next: next && typeable(door, next),
    details,
    cause: error instanceof UserError ? undefined : error,
  });
}

function named({ id, host }: Door, message: string): string {
  if (message.includes(id)) return message;
  const at = [...message.matchAll(/[\w.:-]+/g)].find(
    ([word]) => word.replace(/[.:]+$/, '') === host || word.startsWith(`${host}:`),
  );
  if (!at) return `${host} (${id}): ${message}`;
  const end = at.index + host.length;
  return `${message.slice(0, end)} (${id})${message.slice(end)}`;
}

/** Commands that only a shell on the host can run; others (`nc`, `ssh-keyscan`, advice in words) stay as they are. */
const hostCommand = /^(?:cat|curl|df|docker|ls|mkdir|sudo)\s/;

function typeable(door: Door, next: string): string {
  if (!hostCommand.test(next)) return next;
  const [, command, remark] = /^(.*?)(\s{2,}\(.*\))?$/s.exec(next)!;
  return `${sshCommand(door, command!)}${remark ?? ''}`;
}

/** A command line that runs `command` in the project's directory on the host. Quoted for a POSIX shell. */
export function sshCommand({ host, port, username, jump, directory }: Door, command: string): string {
  const words = ['ssh'];
  if (port !== 22) words.push('-p', String(port));
  if (jump) words.push('-J', quoted(`${jump.username}@${bracketed(jump.host)}:${jump.port}`));
  return [...words, quoted(`${username}@${host}`), quoted(`cd ${tilde(directory)} && ${command}`)].join(' ');
}

const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host);

/** `~/` must stay outside the quotes to mean the home directory. */
const tilde = (path: string) => (path.startsWith('~/') ? `~/${quoted(path.slice(2))}` : quoted(path));

const quoted = (word: string) =>
  /^[\w@%+=:,./[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

import { quoted } from './shell.ts';
import type { SshTarget } from './target.ts';

/** How a person reaches the host from their own computer: `ssh -p 2222 deploy@10.0.0.5`. Pure. */
export function loginCommand({ host, port, username, jump }: SshTarget): string {
  return [
    'ssh',
    ...(jump ? ['-J', word(`${jump.username}@${hostAndPort(jump)}`)] : []),
    ...(port === 22 ? [] : ['-p', String(port)]),
    word(`${username}@${host}`),
  ].join(' ');
}

/** One word of a command line that a person is to type: quoted only where it must be. Pure. */
export function word(text: string): string {
  return /^[\w@%+=:,./~-]+$/.test(text) ? text : quoted(text);
}

function hostAndPort({ host, port }: SshTarget): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === 22 ? name : `${name}:${port}`;
}

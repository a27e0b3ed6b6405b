import { quoted, type Shell, word } from '@lockkeeper/ssh';

/** A host by the name that messages give it, and how a person logs in there. */
export type HostName = Pick<Shell, 'name' | 'login'>;

/** The command to paste on one's own computer that runs a command on the host, in a directory there. Pure. */
export function onHost({ name, login }: HostName, command: string, directory?: string): string {
  const there = directory === undefined ? command : `cd ${word(directory)} && ${command}`;
  return `${login ?? `ssh ${word(name)}`} ${quoted(there)}`;
}

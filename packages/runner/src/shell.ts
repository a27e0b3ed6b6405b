import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** A `shell:` that does not say how to run a script, or that is not on the PATH. */
export class ShellError extends Error {
  override name = 'ShellError';
}

export interface ShellCommand {
  /** Absolute path of the interpreter. */
  file: string;
  /** Its arguments, the script's path in place of `{0}`. */
  args: string[];
  /** As the log shows it: `/usr/bin/bash -e {0}`. */
  shown: string;
}

/** Arguments the runner gives to the shells it knows (ScriptHandlerHelpers.cs). */
const knownShells: Record<string, string> = {
  bash: '--noprofile --norc -e -o pipefail {0}',
  sh: '-e {0}',
  python: '{0}',
};
const extensions: Record<string, string> = { bash: '.sh', sh: '.sh', python: '.py' };

/** Finds a program on a PATH; undefined when it is not there. */
export function which(program: string, path: string): string | undefined {
  const candidates = isAbsolute(program)
    ? [program]
    : path
        .split(delimiter)
        .filter((directory) => directory !== '')
        .map((directory) => join(directory, program));
  return candidates.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK);
      return statSync(candidate).isFile();
    } catch {
      return false;
    }
  });
}

/** How a script file is named for a shell: `.sh`, `.py`, or nothing. */
export function scriptExtension(shell: string | undefined): string {
  return shell === undefined ? '.sh' : (extensions[shell] ?? '');
}

/**
 * The command that runs a script: for `shell: bash` its strict options, without a shell `bash -e` (or `sh -e`
 * when there is no bash), else the given command line with `{0}` for the script.
 * @throws ShellError when there is no such shell.
 */
export function shellCommand(shell: string | undefined, script: string, path: string): ShellCommand {
  const [program, ...given] = shell === undefined ? ['bash'] : shell.trim().split(/\s+/);
  let file = which(program!, path);
  if (shell === undefined) file ??= which('sh', path);
  if (file === undefined) {
    throw new ShellError(`${program}: command not found; looked for it in PATH=${path}`);
  }
  const format =
    shell === undefined ? knownShells.sh! : given.length > 0 ? given.join(' ') : knownShells[program!];
  if (format === undefined || !format.includes('{0}')) {
    throw new ShellError(
      `Invalid shell option "${shell}". Shell must be a valid built-in (${Object.keys(knownShells).join(', ')}) or a format string containing '{0}'`,
    );
  }
  return {
    file,
    args: format.split(' ').map((argument) => argument.replaceAll('{0}', script)),
    shown: `${file} ${format}`,
  };
}

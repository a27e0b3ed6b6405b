/** A GITHUB_OUTPUT, GITHUB_ENV or GITHUB_STATE file that breaks the grammar. */
export class FileCommandError extends Error {
  override name = 'FileCommandError';
}

/** The files a step may write, in the order in which the runner reads them back. */
export const fileCommands = [
  { name: 'path', prefix: 'add_path_', variable: 'GITHUB_PATH' },
  { name: 'env', prefix: 'set_env_', variable: 'GITHUB_ENV' },
  { name: 'step_summary', prefix: 'step_summary_', variable: 'GITHUB_STEP_SUMMARY' },
  { name: 'state', prefix: 'save_state_', variable: 'GITHUB_STATE' },
  { name: 'output', prefix: 'set_output_', variable: 'GITHUB_OUTPUT' },
] as const;

export type FileCommandName = (typeof fileCommands)[number]['name'];

/** Above this many bytes a step summary is not taken. */
export const summaryLimit = 1024 * 1024;

/** Names that GITHUB_ENV may not set: they would load code into every later Node process. */
export const refusedEnvironment = new Set(['NODE_OPTIONS']);

/**
 * Reads the pairs of a file command one after another: `NAME=VALUE`, or `NAME<<DELIMITER`, lines, `DELIMITER`.
 * Lazy, so that the pairs before a bad line take effect although the file is refused there.
 * Only `\n` ends a line, as on Linux: a file with CRLF keeps the `\r` in its values and delimiters.
 * @throws FileCommandError at the first line that is neither.
 */
export function* keyValues(text: string): Generator<[name: string, value: string]> {
  const content = text.startsWith('\uFEFF') ? text.slice(1) : text;
  let index = 0;
  const next = (): { line: string; ended: boolean } | undefined => {
    if (index >= content.length) return undefined;
    const start = index;
    const end = content.indexOf('\n', index);
    index = end < 0 ? content.length : end + 1;
    return end < 0
      ? { line: content.slice(start), ended: false }
      : { line: content.slice(start, end), ended: true };
  };
  for (let read = next(); read; read = next()) {
    const { line } = read;
    if (line === '') continue;
    const equals = line.indexOf('=');
    const heredoc = line.indexOf('<<');
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      yield [line.slice(0, equals), line.slice(equals + 1)];
      continue;
    }
    if (heredoc < 0) throw new FileCommandError(`Invalid format '${line}'`);
    const name = line.slice(0, heredoc);
    const delimiter = line.slice(heredoc + 2);
    if (name === '' || delimiter === '') {
      throw new FileCommandError(
        `Invalid format '${line}'. Name must not be empty and delimiter must not be empty`,
      );
    }
    const start = index;
    let end = index;
    for (;;) {
      const inner = next();
      if (!inner) {
        throw new FileCommandError(`Invalid value. Matching delimiter not found '${delimiter}'`);
      }
      if (inner.line === delimiter) break;
      if (!inner.ended) throw new FileCommandError('Invalid value. EOF marker missing new line.');
      end = index - 1;
    }
    yield [name, content.slice(start, end)];
  }
}

/** Reads GITHUB_PATH: one directory a line, empty lines skipped. */
export function pathEntries(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\r|\n/)
    .filter((line) => line !== '');
}

/** Puts a directory last in the list of those to search first; one that is already there moves. */
export function addPath(paths: readonly string[], entry: string): string[] {
  return [...paths.filter((path) => path !== entry), entry];
}

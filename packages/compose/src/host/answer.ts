import { UserError } from '@lockkeeper/action';
import type { CommandResult, RunOptions, Shell } from '@lockkeeper/ssh';

/** Runs a script that must succeed; what the host said is the error. */
export async function must(
  shell: Shell,
  script: string,
  options: RunOptions,
  what: string,
): Promise<CommandResult> {
  const result = await shell.run(script, options);
  if (result.code === 0) return result;
  throw refusal(shell, result, what);
}

/** What the host said of a script that did not succeed, as an error. Pure. */
export function refusal(
  { name }: Pick<Shell, 'name'>,
  { stdout, stderr }: CommandResult,
  what: string,
): UserError {
  return new UserError(`${name}: ${what}: ${lastLine(stderr || stdout)}`, { details: stderr || undefined });
}

/** The line that tells most of what a command said: its last. Pure. */
export function lastLine(text: string): string {
  const line =
    text
      .split(/[\r\n]+/)
      .map((part) => part.trim())
      .filter(Boolean)
      .at(-1) ?? 'it said nothing';
  if (/no space left on device/i.test(text)) return 'the disk of the host is full (no space left on device)';
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

import type { Workflow } from '@lockkeeper/runner';

/** What is wrong with variables that were given for a workflow: '' for nothing. */
export function unreadVariables(
  { file, variablesUsed }: Pick<Workflow, 'file' | 'variablesUsed'>,
  given: readonly string[],
): string {
  const unread = given.filter((name) => !variablesUsed.includes(name));
  if (unread.length === 0) return '';
  const read = variablesUsed.length > 0 ? `it reads ${variablesUsed.join(', ')}` : 'it reads no variable';
  return `--var: ${file} does not read ${unread.map((name) => `vars.${name}`).join(', ')}; ${read}`;
}

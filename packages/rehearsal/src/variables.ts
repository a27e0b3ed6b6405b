/** The names that a workflow file reads as `vars.NAME`, in the order in which they come first. Pure. */
export function variablesIn(text: string): string[] {
  return [...new Set([...text.matchAll(/\bvars\.([A-Za-z_]\w*)/g)].map(([, name]) => name!.toUpperCase()))];
}

/** What is wrong with variables that were given for a workflow: '' for nothing. */
export function unreadVariables(file: string, text: string, given: readonly string[]): string {
  const read = variablesIn(text);
  const unread = given.filter((name) => !read.includes(name));
  if (unread.length === 0) return '';
  return `--var: ${file} does not read ${unread.map((name) => `vars.${name}`).join(', ')}; ${read.length > 0 ? `it reads ${read.join(', ')}` : 'it reads no variable'}`;
}

import { interpolate, type Lookup } from './interpolation.ts';

/**
 * Reads a `.env` file as Compose does: comments, `export `, single quotes literal, double quotes with escapes and
 * variables, bare values with variables and trailing ` # comments`. `literal` takes every value as it stands.
 */
export function parseEnvFile(
  text: string,
  lookup: Lookup,
  { literal = false, file = '.env' }: { literal?: boolean; file?: string } = {},
): Map<string, string> {
  const found = new Map<string, string>();
  const see: Lookup = (name) => lookup(name) ?? found.get(name);
  const source = text.replaceAll('\r\n', '\n').replace(/^\uFEFF/, '');
  let at = 0;
  let line = 1;
  while (at < source.length) {
    const end = source.indexOf('\n', at) < 0 ? source.length : source.indexOf('\n', at);
    const row = source.slice(at, end);
    const trimmed = row.trim();
    if (trimmed === '' || trimmed.startsWith('#')) {
      at = end + 1;
      line += 1;
      continue;
    }
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(=|$)/.exec(row);
    if (!match) {
      throw new Error(
        `failed to read ${file}: line ${line}: unexpected character in variable name near "${trimmed}"`,
      );
    }
    const name = match[1]!;
    if (match[2] === '') {
      // A bare name takes its value from outside, or does not exist.
      const outside = lookup(name);
      if (outside !== undefined) found.set(name, outside);
      at = end + 1;
      line += 1;
      continue;
    }
    const start = at + match[0].length;
    const lead = /^[ \t]*/.exec(source.slice(start, end))![0].length;
    const quote = source[start + lead];
    if (!literal && (quote === '"' || quote === "'")) {
      const close = closingQuote(source, start + lead + 1, quote);
      if (close < 0) throw new Error(`failed to read ${file}: line ${line}: unterminated quoted value`);
      const inner = source.slice(start + lead + 1, close);
      found.set(name, quote === "'" ? inner : interpolate(unescapeValue(inner), see));
      const after = source.indexOf('\n', close) < 0 ? source.length : source.indexOf('\n', close);
      line += source.slice(at, after).split('\n').length;
      at = after + 1;
      continue;
    }
    const bare = source.slice(start, end);
    found.set(name, literal ? bare : interpolate(bare.replace(/\s+#.*$/, '').trim(), see));
    at = end + 1;
    line += 1;
  }
  return found;
}

function closingQuote(text: string, from: number, quote: string): number {
  for (let at = from; at < text.length; at++) {
    if (quote === '"' && text[at] === '\\') at += 1;
    else if (text[at] === quote) return at;
  }
  return -1;
}

function unescapeValue(text: string): string {
  return text.replace(/\\([nrt"\\$])/g, (_, letter: string) => {
    if (letter === 'n') return '\n';
    if (letter === 'r') return '\r';
    if (letter === 't') return '\t';
    return letter === '$' ? '$$' : letter;
  });
}

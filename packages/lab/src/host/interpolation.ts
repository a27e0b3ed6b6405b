/** Looks a variable up; undefined = not set. */
export type Lookup = (name: string) => string | undefined;

export class InterpolationError extends Error {}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;

/**
 * Replaces `$X`, `${X}`, `${X:-d}`, `${X-d}`, `${X:?e}`, `${X?e}`, `${X:+r}`, `${X+r}` and `$$` as Compose does
 * (the Compose file reference, "Interpolation"). Defaults may hold further variables.
 */
export function interpolate(
  text: string,
  lookup: Lookup,
  onUnset: (name: string) => void = () => {},
): string {
  let out = '';
  let at = 0;
  while (at < text.length) {
    const dollar = text.indexOf('$', at);
    if (dollar < 0) return out + text.slice(at);
    out += text.slice(at, dollar);
    const next = text[dollar + 1];
    if (next === '$') {
      out += '$';
      at = dollar + 2;
    } else if (next === '{') {
      const end = closing(text, dollar + 2);
      if (end < 0) throw invalid(text);
      out += expression(text.slice(dollar + 2, end), lookup, onUnset, text);
      at = end + 1;
    } else {
      const name = NAME.exec(text.slice(dollar + 1))?.[0];
      if (!name) throw invalid(text);
      out += value(name, lookup, onUnset);
      at = dollar + 1 + name.length;
    }
  }
  return out;
}

function closing(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '$' && text[at + 1] === '{') {
      depth += 1;
      at += 1;
    } else if (text[at] === '}') {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return -1;
}

function invalid(text: string): InterpolationError {
  return new InterpolationError(
    `invalid interpolation format: "${text}". You may need to escape any $ with another $`,
  );
}

function value(name: string, lookup: Lookup, onUnset: (name: string) => void): string {
  const found = lookup(name);
  if (found === undefined) onUnset(name);
  return found ?? '';
}

function expression(inner: string, lookup: Lookup, onUnset: (name: string) => void, whole: string): string {
  const name = NAME.exec(inner)?.[0];
  if (!name) throw invalid(whole);
  const rest = inner.slice(name.length);
  if (rest === '') return value(name, lookup, onUnset);
  const match = /^(:?)([-?+])([\s\S]*)$/.exec(rest);
  if (!match) throw invalid(whole);
  const [, colon, operator, word] = match as unknown as [string, string, string, string];
  const found = lookup(name);
  const present = found !== undefined && (colon === '' || found !== '');
  if (operator === '+') return present ? interpolate(word, lookup, onUnset) : '';
  if (present) return found;
  if (operator === '-') return interpolate(word, lookup, onUnset);
  const reason = interpolate(word, lookup, onUnset);
  throw new InterpolationError(
    `required variable ${name} is missing a value${reason === '' ? '' : `: ${reason}`}`,
  );
}

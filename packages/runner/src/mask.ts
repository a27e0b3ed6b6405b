/** Escapes that .NET's Uri.EscapeDataString makes: everything but the unreserved characters of RFC 3986. */
function uriData(value: string): string {
  return encodeURIComponent(value.replace(/\p{Surrogate}/gu, '\uFFFD')).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function jsonString(value: string): string {
  return JSON.stringify(value)
    .slice(1, -1)
    .replace(/[\x85\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const xmlEntities: Record<string, string> = {
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '&': '&amp;',
};

/** PowerShell colours a failing command, which breaks a value apart behind `&` or `&` and one character. */
function powerShellParts(value: string): string[] {
  if (!value.includes('&')) return [];
  const plus = value.indexOf('&+');
  const last = value.lastIndexOf('&');
  const parts =
    plus >= 0
      ? [value.slice(0, plus + 2), value.slice(plus + 3)]
      : [value.slice(0, last + 1), value.slice(last + 1)];
  return parts.filter((part) => part.length >= 6);
}

/**
 * The forms in which a masked value may turn up in a log and is masked too.
 * The same list as the runner's (ValueEncoders.cs): no hex, no reversal, no URL-safe base64.
 */
export function encodings(value: string): string[] {
  const bytes = Buffer.from(value, 'utf8');
  const shifted = (count: number) =>
    (bytes.length > count ? bytes.subarray(count) : bytes).toString('base64');
  return [
    value,
    bytes.toString('base64'),
    shifted(1),
    shifted(2),
    value.replaceAll('"', '\\"'),
    value.replaceAll("'", "''"),
    jsonString(value),
    uriData(value),
    value.replace(/[<>"'&]/g, (character) => xmlEntities[character]!),
    ...(value.length > 8 && value.startsWith('"') && value.endsWith('"') ? [value.slice(1, -1)] : []),
    ...powerShellParts(value),
  ];
}

/** What must not be seen in a log: registered values and their encodings, replaced by `***`. */
export class SecretMasker {
  readonly #originals = new Set<string>();
  readonly #values = new Set<string>();

  /** Registers one value as it is, with its encodings. An empty one is ignored; there is no minimum length. */
  addValue(value: string): void {
    if (value === '' || this.#originals.has(value)) return;
    this.#originals.add(value);
    for (const form of encodings(value)) if (form !== '') this.#values.add(form);
  }

  /** Registers a secret of the workflow: trimmed, whole and line by line. */
  addSecret(secret: string): void {
    const trimmed = secret.trim();
    this.addValue(trimmed);
    for (const line of trimmed.split(/[\r\n]+/)) this.addValue(line.trim());
  }

  /** Registers what `add-mask` was given: whole and line by line, untrimmed. */
  addMask(data: string): void {
    this.addValue(data);
    for (const line of data.split(/[\r\n]+/)) this.addValue(line);
  }

  /** Whether the text holds a masked value in any form. */
  holds(text: string): boolean {
    for (const value of this.#values) if (text.includes(value)) return true;
    return false;
  }

  /** Replaces every masked value by `***`; overlapping and touching ones become one. */
  mask(text: string): string {
    const spans: [start: number, end: number][] = [];
    for (const value of this.#values) {
      for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) {
        spans.push([at, at + value.length]);
      }
    }
    if (spans.length === 0) return text;
    spans.sort((a, b) => a[0] - b[0]);
    let masked = '';
    let seen = 0;
    let current = spans[0]!;
    for (const span of spans.slice(1)) {
      if (span[0] <= current[1]) {
        current = [current[0], Math.max(current[1], span[1])];
        continue;
      }
      masked += `${text.slice(seen, current[0])}***`;
      seen = current[1];
      current = span;
    }
    return `${masked}${text.slice(seen, current[0])}***${text.slice(current[1])}`;
  }
}

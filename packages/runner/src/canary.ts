import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** A secret that was found where it must not be. */
export interface Leak {
  /** Place of the secret in the list of canaries: the secret itself is not repeated. */
  canary: number;
  /** How it was written: `plain`, `hex`, `base64`, `base64url`, `URL` or `gzip`. */
  form: string;
  place: string;
}

/**
 * Base64 of a value wherever it stands in a longer encoded text: for each of the three alignments the
 * characters that depend on the value alone.
 */
function alignedBase64(value: string): string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]).toString('base64');
    const bits = (offset + Buffer.byteLength(value)) * 8;
    return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(bits / 6));
  });
}

const urlSafe = (text: string) => text.replaceAll('+', '-').replaceAll('/', '_');

/** In which forms a text holds a secret, also inside base64 of gzip; wrapped base64 is put together first. */
export function leakedForms(text: string, secret: string): string[] {
  if (secret === '') return [];
  const forms = new Set<string>();
  const look = (form: string, haystack: string, ...needles: string[]) => {
    if (needles.some((needle) => needle.length > 4 && haystack.includes(needle))) forms.add(form);
  };
  if (text.includes(secret)) forms.add('plain');
  look('hex', text.toLowerCase(), Buffer.from(secret).toString('hex'));
  const joined = text.replace(/(?<=[\w+/-])\r?\n(?=[\w+/-])/g, '');
  const base64 = alignedBase64(secret);
  for (const haystack of [text, joined]) {
    look('base64', haystack, ...base64);
    look('base64url', haystack, ...base64.map(urlSafe).filter((form, index) => form !== base64[index]));
  }
  const escaped = encodeURIComponent(secret);
  if (escaped !== secret) look('URL', text, escaped);
  for (const [blob] of joined.matchAll(/H4sI[A-Za-z0-9+/_=-]{16,}/g)) {
    try {
      const inner = gunzipSync(Buffer.from(blob, 'base64')).toString('utf8');
      if (leakedForms(inner, secret).length > 0) forms.add('gzip');
    } catch {
      // It only looked like gzip.
    }
  }
  return [...forms];
}

/** Every leak in one text. */
export function leaksIn(place: string, text: string, canaries: readonly string[]): Leak[] {
  return canaries.flatMap((secret, canary) =>
    leakedForms(text, secret).map((form) => ({ canary, form, place })),
  );
}

/** Every leak in the files below a directory; links are not followed. */
export function leaksBelow(
  directory: string,
  canaries: readonly string[],
  place = (path: string) => path,
): Leak[] {
  let entries: import('node:fs').Dirent[];
  try {
    entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return entries
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const path = join(entry.parentPath, entry.name);
      return leaksIn(place(path), readFileSync(path, 'latin1'), canaries);
    });
}

import { readFileSync } from 'node:fs';

/** A file of the sample app. */
export function readSample(name: string): string {
  return readFileSync(new URL(`./${name}`, import.meta.url), 'utf8');
}

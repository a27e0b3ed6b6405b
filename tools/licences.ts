import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package of others of which code is in a bundle. */
export interface Bundled {
  name: string;
  version: string;
  /** What its package.json says, an SPDX identifier. */
  licence: string;
  /** Its licence file and, as the Apache licence asks, its notice; empty when it ships none. */
  texts: string[];
}

/** Licences under which code may be shipped inside a bundle of ours: they ask for no more than to be named. */
const permissive = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'Unlicense']);

/** The packages to which files below node_modules belong, each once, sorted. */
export function packagesOf(files: Iterable<string>): Bundled[] {
  const directories = new Set<string>();
  for (const file of files) {
    const [directory] = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(file) ?? [];
    if (directory) directories.add(directory);
  }
  return [...directories].map(readPackage).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function readPackage(directory: string): Bundled {
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  // `licenses` is how npm had it until 2015; ssh2 still does.
  const { name, version, license = manifest.licenses?.[0]?.type } = manifest;
  const texts = readdirSync(directory)
    .filter((file) => /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i.test(file))
    .sort()
    .map((file) => readFileSync(join(directory, file), 'utf8').replaceAll('\r\n', '\n').trim());
  return { name, version, licence: String(license ?? ''), texts };
}

const keyOf = ({ name, version }: Bundled) => `${name} ${version}`;

/**
 * What licenses.txt beside a bundle says: each package with its licence, then each text once, with those that it
 * is for. Throws when a licence may not be bundled, or asks for a text that the package does not ship. Pure.
 */
export function licenceFile(packages: readonly Bundled[]): string {
  // Some packages of the AWS SDK ship no text; theirs names nobody, so that any copy of it is the one they mean.
  const apache = packages.find(({ licence, texts }) => licence === 'Apache-2.0' && texts.length > 0)
    ?.texts[0];
  const textsOf = ({ licence, texts }: Bundled) =>
    texts.length === 0 && licence === 'Apache-2.0' && apache ? [apache] : texts;
  const problems = packages.flatMap((one) => {
    if (!permissive.has(one.licence)) return [`${keyOf(one)} is under ${one.licence || 'no licence'}`];
    return textsOf(one).length === 0 ? [`${keyOf(one)} ships no text of its licence, ${one.licence}`] : [];
  });
  if (problems.length > 0)
    throw new Error(
      `${problems.join('; ')}. A bundle may hold what is under ${[...permissive].join(', ')}, with its text. ` +
        'Next: do without it, or read its licence and say so in tools/licences.ts',
    );
  const users = new Map<string, string[]>();
  for (const one of packages)
    for (const text of textsOf(one)) users.set(text, [...(users.get(text) ?? []), keyOf(one)]);
  const sections = [...users].map(([text, names]) => `${names.join('\n')}\n\n${text}`);
  const list = packages.map((one) => `${keyOf(one)}: ${one.licence}`).join('\n');
  return `${[list, ...sections].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

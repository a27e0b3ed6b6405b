/** A file's path relative to the project directory → SHA-256 of its content. */
export type Manifest = ReadonlyMap<string, string>;

/** The form that sha256sum writes and checks. Pure. */
export function manifestText(manifest: Manifest): string {
  return [...manifest].map(([path, hash]) => `${hash}  ${path}\n`).join('');
}

/** Pure. */
export function parseManifest(text: string): Manifest {
  return new Map(
    [...text.matchAll(/^([0-9a-f]{64}) {2}(.+)$/gm)].map(([, hash, path]) => [path!, hash!] as const),
  );
}

/** Paths that one manifest has otherwise than the other, or alone. Pure. */
export function differingPaths(a: Manifest, b: Manifest): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((path) => a.get(path) !== b.get(path));
}

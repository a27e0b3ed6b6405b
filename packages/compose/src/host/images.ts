/** An image that is on the host. */
export interface PresentImage {
  id: string;
  /** `repository@sha256:…`, one for each repository it came from. */
  digests: string[];
}

/** The same with all its names. */
export interface NamedImage {
  id: string;
  /** `repository:tag` */
  tags: readonly string[];
  /** `repository@sha256:…` */
  digests: readonly string[];
}

/**
 * Which image belongs to which reference: docker prints those that are here in the order they were asked
 * for, and names the others on stderr. Undefined where that does not add up. Pure.
 */
export function imagesByReference(
  references: readonly string[],
  stdout: string,
  stderr: string,
): Map<string, PresentImage> | undefined {
  const images = JSON.parse(stdout.trim() || '[]') as InspectedImage[];
  const lines = stderr.split('\n').map((line) => line.trim());
  const isMissing = (reference: string) =>
    lines.some((line) => line.endsWith(`: ${reference}`) || line.endsWith(`: ${reference}:latest`));
  const present = references.filter((reference) => !isMissing(reference));
  if (present.length !== images.length) return undefined;
  return new Map(present.map((reference, index) => [reference, presentImage(images[index]!)]));
}

interface InspectedImage {
  Id: string;
  RepoTags?: string[] | null;
  RepoDigests?: string[] | null;
}

function presentImage({ Id, RepoDigests }: InspectedImage): PresentImage {
  return { id: Id, digests: RepoDigests ?? [] };
}

/** Reads the JSON array that `docker image inspect` prints. Pure. */
export function parseNamedImages(json: string): NamedImage[] {
  return (JSON.parse(json.trim() || '[]') as InspectedImage[]).map(({ Id, RepoTags, RepoDigests }) => ({
    id: Id,
    tags: RepoTags ?? [],
    digests: RepoDigests ?? [],
  }));
}

/** Reads what `inspectEachImage` prints. Pure. */
export function parseImages(text: string): Map<string, PresentImage> {
  const found = new Map<string, PresentImage>();
  for (const part of text.split(/^--- /m).slice(1)) {
    const end = part.indexOf('\n');
    const [image] = JSON.parse(part.slice(end)) as InspectedImage[];
    if (image) found.set(part.slice(0, end).trim(), presentImage(image));
  }
  return found;
}

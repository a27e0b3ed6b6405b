import { createHash } from 'node:crypto';
import * as v from 'valibot';

/** What tells two images apart, on whatever engine they lie. */
export interface ImageFacts {
  /** The engine's own name for it: with a containerd image store not the one that other engines give it. */
  id: string;
  /** Bytes, unpacked. */
  size: number;
  /** `linux/amd64`. */
  platform: string;
  /** How many layers. */
  layers: number;
  /** Hash of layers and configuration: the same means the same image, whatever its id. */
  content: string;
}

const list = v.nullish(v.array(v.string()));
const table = v.nullish(v.record(v.string(), v.unknown()));

/** The parts of `docker image inspect` that every engine gives. Engines differ in how they say "none". */
const inspected = v.object({
  Id: v.string(),
  Os: v.optional(v.string(), ''),
  Architecture: v.optional(v.string(), ''),
  Size: v.optional(v.number(), 0),
  RootFS: v.nullish(v.object({ Layers: list })),
  Config: v.nullish(
    v.object({
      Env: list,
      Entrypoint: list,
      Cmd: list,
      Shell: list,
      OnBuild: list,
      Volumes: table,
      ExposedPorts: table,
      Labels: table,
      Healthcheck: table,
      User: v.nullish(v.string()),
      WorkingDir: v.nullish(v.string()),
      StopSignal: v.nullish(v.string()),
    }),
  ),
});

/** Reads the JSON array that `docker image inspect` prints. Throws when it is not of Docker's shape. */
export function parseImageFacts(json: string): ImageFacts[] {
  return v.parse(v.array(inspected), JSON.parse(json.trim() || '[]')).map((image) => {
    const layers = image.RootFS?.Layers ?? [];
    const platform = `${image.Os}/${image.Architecture}`;
    const content = JSON.stringify([platform, layers, said(image.Config ?? {})]);
    return {
      id: image.Id,
      size: image.Size,
      platform,
      layers: layers.length,
      content: createHash('sha256').update(content).digest('hex'),
    };
  });
}

/** What a configuration says, in one order, without what it leaves open. */
function said(config: object): unknown {
  const isNothing = (value: unknown) =>
    value === null ||
    value === undefined ||
    value === '' ||
    (typeof value === 'object' && Object.keys(value).length === 0);
  return inOrder(Object.fromEntries(Object.entries(config).filter(([, value]) => !isNothing(value))));
}

function inOrder(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, inOrder(item)]);
}

/** Whether a host runs what was built for a platform; an engine that does not tell its own is not second-guessed. Pure. */
export function runsOn(platform: string, host: string): boolean {
  if (host === '' || platform === host || platform === '/') return true;
  return (
    (platform === 'linux/386' && host === 'linux/amd64') ||
    (platform === 'linux/arm' && host === 'linux/arm64')
  );
}

import { createWriteStream } from 'node:fs';
import { chmod, cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { type ImageConfig, type ImageFile, layerTar, sha256 } from '../registry.ts';

/** An error as the Docker daemon words it; the client puts `Error response from daemon: ` before it. */
export class DaemonError extends Error {}

export interface Image {
  /** `sha256:…` of the config. */
  readonly id: string;
  readonly config: ImageConfig;
  readonly created: string;
  readonly architecture: string;
  readonly layers: string[];
  readonly size: number;
  /** The image's files, unpacked; never run in place. */
  readonly root: string;
  readonly tags: Set<string>;
  readonly digests: Set<string>;
}

export interface Reference {
  /** Empty for the default registry. */
  registry: string;
  repository: string;
  /** Registry and repository as Docker shows them. */
  name: string;
  tag?: string;
  digest?: string;
}

/** Splits an image reference as Docker does; `:latest` is assumed when neither tag nor digest is given. */
export function parseReference(text: string): Reference {
  const match =
    /^(?<name>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+)?(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/.exec(
      text,
    );
  let { name, tag, digest } = match?.groups ?? {};
  if (!match || !name) throw new DaemonError(`invalid reference format: ${text}`);
  // `app:8000` is a tag, not a port: a port needs a path behind it.
  if (!name.includes('/') && name.includes(':')) {
    tag ??= name.slice(name.indexOf(':') + 1);
    name = name.slice(0, name.indexOf(':'));
  }
  const [first = ''] = name.split('/');
  const hasRegistry =
    name.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost');
  const registry = hasRegistry && first !== 'docker.io' ? first : '';
  let repository = hasRegistry ? name.slice(first.length + 1) : name;
  let shown = name;
  if (!registry) {
    repository = repository.includes('/') ? repository : `library/${repository}`;
    shown = repository.replace(/^library\//, '');
  }
  if (!tag && !digest) tag = 'latest';
  return { registry, repository, name: shown, ...(tag ? { tag } : {}), ...(digest ? { digest } : {}) };
}

interface Manifest {
  mediaType?: string;
  config?: { digest: string };
  layers?: Array<{ digest: string; size: number }>;
  manifests?: Array<{ digest: string; platform?: { os: string; architecture: string } }>;
}

interface ImageDocument {
  architecture?: string;
  created?: string;
  config?: ImageConfig;
  rootfs: { diff_ids: string[] };
}

export interface Credentials {
  username: string;
  password: string;
}

/** The images of one host: pulled with their digests verified, kept unpacked, found by id, tag or digest. */
export class ImageStore {
  readonly #images = new Map<string, Image>();
  readonly #directory: string;
  readonly #mirror: string;
  #serial: Promise<unknown> = Promise.resolve();

  /** `mirror` (host:port) answers for every registry that is not on loopback, as a pull-through mirror would. */
  constructor(directory: string, mirror: string) {
    this.#directory = directory;
    this.#mirror = mirror;
  }

  all(): Image[] {
    return [...this.#images.values()];
  }

  /** By id (full or its first 6 or more hex digits), `name:tag`, `name@digest`. */
  find(reference: string): Image | undefined {
    const hex = reference.replace(/^sha256:/, '');
    if (/^[0-9a-f]{6,64}$/.test(hex)) {
      const found = this.all().filter((image) => image.id.startsWith(`sha256:${hex}`));
      if (found.length === 1) return found[0];
    }
    if (reference.startsWith('sha256:')) return undefined;
    const { name, tag, digest } = parseReference(reference);
    if (digest) return this.all().find((image) => image.digests.has(`${name}@${digest}`));
    return this.all().find((image) => image.tags.has(`${name}:${tag}`));
  }

  require(reference: string): Image {
    const found = this.find(reference);
    if (!found) throw new DaemonError(`No such image: ${reference}`);
    return found;
  }

  tag(source: string, target: string): void {
    const image = this.require(source);
    const { name, tag, digest } = parseReference(target);
    if (digest || !tag) throw new DaemonError(`refusing to create a tag with a digest reference`);
    this.#move(image, `${name}:${tag}`);
  }

  /** Answers the lines that `docker image rm` prints. `usedBy` names a container that still needs an image. */
  async remove(
    reference: string,
    force: boolean,
    usedBy: (id: string) => string | undefined,
  ): Promise<string[]> {
    const image = this.require(reference);
    const hex = reference.replace(/^sha256:/, '');
    const byId = /^[0-9a-f]{6,64}$/.test(hex) && image.id.startsWith(`sha256:${hex}`);
    const short = image.id.slice(7, 19);
    const container = usedBy(image.id);
    if (byId) {
      if (!force && !isSingleReference(image))
        throw new DaemonError(
          `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`,
        );
      if (container)
        throw new DaemonError(
          `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container ${container.slice(0, 12)}`,
        );
      return this.#delete(image, [...image.tags, ...image.digests]);
    }
    if (container && !force && isSingleReference(image))
      throw new DaemonError(
        `conflict: unable to remove repository reference "${reference}" (must force) - container ${container.slice(0, 12)} is using its referenced image ${short}`,
      );
    const { name, tag, digest } = parseReference(reference);
    const gone = [digest ? `${name}@${digest}` : `${name}:${tag}`];
    // With the last tag of a repository its digests go; those of other repositories keep the image (moby, ImageDelete).
    if (!digest && ![...image.tags].some((other) => other !== gone[0] && repositoryOf(other) === name))
      gone.push(...[...image.digests].filter((other) => repositoryOf(other) === name));
    for (const label of gone) {
      image.tags.delete(label);
      image.digests.delete(label);
    }
    if (image.tags.size + image.digests.size > 0 || container)
      return gone.map((label) => `Untagged: ${label}`);
    return this.#delete(image, gone);
  }

  async #delete(image: Image, labels: string[]): Promise<string[]> {
    this.#images.delete(image.id);
    await rm(dirname(image.root), { recursive: true, force: true });
    return [...labels.map((label) => `Untagged: ${label}`), `Deleted: ${image.id}`];
  }

  #move(image: Image, label: string): void {
    for (const other of this.all()) other.tags.delete(label);
    image.tags.add(label);
  }

  /** Pulls an image, or finds that it is here already. */
  async pull(
    text: string,
    {
      credentials,
      signal,
    }: { credentials?: (registry: string) => Credentials | undefined; signal?: AbortSignal } = {},
  ): Promise<{ image: Image; fresh: boolean; digest: string }> {
    const reference = parseReference(text);
    const loopback = /^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$/.test(reference.registry);
    const from = loopback ? reference.registry : this.#mirror;
    const repository = loopback || !reference.registry ? reference.repository : reference.name;
    const auth = credentials?.(reference.registry);
    const ask = (path: string) => get(from, `/v2/${repository}/${path}`, auth, text, signal);

    const wanted = reference.digest ?? reference.tag!;
    let body = await ask(`manifests/${wanted}`);
    let digest = sha256(body.bytes);
    const told = reference.digest ?? body.digest;
    if (told && told !== digest) throw new DaemonError(`manifest verification failed for digest ${told}`);
    const topDigest = digest;
    let manifest = JSON.parse(body.bytes.toString()) as Manifest;
    if (manifest.manifests) {
      const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
      const entry = manifest.manifests.find(
        ({ platform }) => !platform || (platform.os === 'linux' && platform.architecture === architecture),
      );
      if (!entry) {
        throw new DaemonError(`no matching manifest for linux/${architecture} in the manifest list entries`);
      }
      body = await ask(`manifests/${entry.digest}`);
      digest = sha256(body.bytes);
      if (digest !== entry.digest)
        throw new DaemonError(`manifest verification failed for digest ${entry.digest}`);
      manifest = JSON.parse(body.bytes.toString()) as Manifest;
    }
    if (!manifest.config || !manifest.layers) throw new DaemonError(`unsupported manifest of ${text}`);

    const id = manifest.config.digest;
    let image = this.#images.get(id);
    const fresh = !image;
    if (!image) {
      const config = (await ask(`blobs/${id}`)).bytes;
      if (sha256(config) !== id) {
        throw new DaemonError(`image config verification failed for digest ${id}`);
      }
      const layers: Buffer[] = [];
      for (const layer of manifest.layers) {
        const { bytes } = await ask(`blobs/${layer.digest}`);
        if (sha256(bytes) !== layer.digest) {
          throw new DaemonError(`filesystem layer verification failed for digest ${layer.digest}`);
        }
        layers.push(bytes);
      }
      signal?.throwIfAborted();
      image = await this.#install(config, layers);
    }
    image.digests.add(`${reference.name}@${topDigest}`);
    if (reference.tag && !reference.digest) this.#move(image, `${reference.name}:${reference.tag}`);
    return { image, fresh, digest: topDigest };
  }

  /** Reads what `docker save` wrote; answers the lines that `docker load` prints. */
  async load(archive: Buffer): Promise<string[]> {
    const files = new Map<string, Buffer>();
    const reader = extract();
    const plain = archive[0] === 0x1f && archive[1] === 0x8b ? gunzipSync(archive) : archive;
    Readable.from([plain]).pipe(reader);
    for await (const entry of reader) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      files.set(entry.header.name, Buffer.concat(chunks));
    }
    const listing = files.get('manifest.json');
    if (!listing) throw new DaemonError('open manifest.json: no such file or directory');
    const lines: string[] = [];
    const entries = JSON.parse(listing.toString()) as Array<{
      Config: string;
      RepoTags?: string[];
      Layers: string[];
    }>;
    for (const { Config, RepoTags, Layers } of entries) {
      const config = files.get(Config);
      const layers = Layers.map((name) => files.get(name));
      if (!config || layers.some((layer) => !layer))
        throw new DaemonError('invalid archive: a listed file is missing');
      const image = this.#images.get(sha256(config)) ?? (await this.#install(config, layers as Buffer[]));
      for (const tag of RepoTags ?? []) {
        this.#move(image, tag);
        lines.push(`Loaded image: ${tag}`);
      }
      if (!RepoTags?.length) lines.push(`Loaded image ID: ${image.id}`);
    }
    return lines;
  }

  /** An image made on this host (`docker compose build`) from files laid over a base's. */
  async build(
    base: Image | undefined,
    config: ImageConfig,
    files: Record<string, ImageFile>,
    tag: string,
  ): Promise<Image> {
    const tar = await layerTar(files);
    const document = {
      architecture: base?.architecture ?? (process.arch === 'x64' ? 'amd64' : process.arch),
      os: 'linux',
      created: new Date(0).toISOString(),
      config,
      rootfs: { type: 'layers', diff_ids: [...(base?.layers ?? []), sha256(tar)] },
    };
    const bytes = Buffer.from(JSON.stringify(document));
    const image = this.#images.get(sha256(bytes)) ?? (await this.#install(bytes, [tar], base));
    this.#move(image, tag);
    return image;
  }

  /** One at a time: two pulls of the same image must not unpack over each other. */
  #install(configBytes: Buffer, layers: Buffer[], base?: Image): Promise<Image> {
    const work = this.#serial.then(() => this.#unpack(configBytes, layers, base));
    this.#serial = work.catch(() => undefined);
    return work;
  }

  async #unpack(configBytes: Buffer, layers: Buffer[], base?: Image): Promise<Image> {
    const id = sha256(configBytes);
    const there = this.#images.get(id);
    if (there) return there;
    const document = JSON.parse(configBytes.toString()) as ImageDocument;
    const home = join(this.#directory, id.slice(7));
    const root = join(home, 'rootfs');
    await rm(home, { recursive: true, force: true });
    await mkdir(root, { recursive: true });
    if (base) await cp(base.root, root, { recursive: true, verbatimSymlinks: true });
    const offset = base?.layers.length ?? 0;
    let size = 0;
    for (const [index, layer] of layers.entries()) {
      const tar = layer[0] === 0x1f && layer[1] === 0x8b ? gunzipSync(layer) : layer;
      const diff = document.rootfs.diff_ids[offset + index];
      if (diff !== sha256(tar)) {
        await rm(home, { recursive: true, force: true });
        throw new DaemonError(`layers from manifest don't match image configuration`);
      }
      size += tar.length;
      await unpackLayer(tar, root);
    }
    await writeFile(join(home, 'config.json'), configBytes);
    const image: Image = {
      id,
      config: document.config ?? {},
      created: document.created ?? new Date(0).toISOString(),
      architecture: document.architecture ?? 'amd64',
      layers: document.rootfs.diff_ids,
      size,
      root,
      tags: new Set(),
      digests: new Set(),
    };
    this.#images.set(id, image);
    return image;
  }
}

const repositoryOf = (label: string) => parseReference(label).name;

/** Whether an image has one tag at most, and no reference in a second repository (moby's isSingleReference). */
function isSingleReference({ tags, digests }: Image): boolean {
  return tags.size <= 1 && new Set([...tags, ...digests].map(repositoryOf)).size <= 1;
}

async function unpackLayer(tar: Buffer, root: string): Promise<void> {
  const reader = extract();
  Readable.from([tar]).pipe(reader);
  for await (const entry of reader) {
    const { name, type, mode, linkname } = entry.header;
    const path = inside(root, name);
    const file = basename(path);
    if (file === '.wh..wh..opq') {
      for (const child of await readdir(dirname(path)))
        await rm(join(dirname(path), child), { recursive: true });
    } else if (file.startsWith('.wh.')) {
      await rm(join(dirname(path), file.slice(4)), { recursive: true, force: true });
    } else if (type === 'directory') {
      await mkdir(path, { recursive: true });
    } else if (type === 'symlink') {
      // An absolute link means the image's own root.
      const target = (linkname ?? '').startsWith('/') ? inside(root, linkname!) : (linkname ?? '');
      inside(root, join(dirname(name), linkname ?? ''));
      await mkdir(dirname(path), { recursive: true });
      await rm(path, { force: true });
      await symlink(target, path);
    } else if (type === 'link') {
      await mkdir(dirname(path), { recursive: true });
      await cp(inside(root, linkname ?? ''), path);
    } else if (type === 'file') {
      await mkdir(dirname(path), { recursive: true });
      await pipeline(entry, createWriteStream(path));
      await chmod(path, (mode ?? 0o644) | 0o600);
    } else {
      throw new DaemonError(
        `layer holds ${name} of type ${type}, which the lab's process engine cannot unpack`,
      );
    }
    entry.resume();
  }
}

function inside(root: string, name: string): string {
  const path = resolve(root, name.replace(/^\/+/, ''));
  if (path !== root && !path.startsWith(root + sep))
    throw new DaemonError(`invalid tar: ${name} leaves the image`);
  return path;
}

async function get(
  registry: string,
  path: string,
  auth: Credentials | undefined,
  reference: string,
  signal: AbortSignal | undefined,
): Promise<{ bytes: Buffer; digest?: string }> {
  const url = `http://${registry}${path}`;
  const headers: Record<string, string> = {
    accept: [
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.oci.image.index.v1+json',
      'application/vnd.docker.distribution.manifest.v2+json',
      'application/vnd.docker.distribution.manifest.list.v2+json',
      '*/*',
    ].join(', '),
  };
  if (auth) {
    headers.authorization = `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
  }
  const response = await new Promise<IncomingMessage>((done, fail) => {
    const call = request(url, { headers, agent: false, ...(signal ? { signal } : {}) }, done);
    call.on('error', fail);
    call.end();
  }).catch((error: NodeJS.ErrnoException) => {
    signal?.throwIfAborted();
    throw new DaemonError(
      `Get "${url}": dial tcp: ${error.code === 'ECONNREFUSED' ? 'connect: connection refused' : error.message}`,
    );
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const status = response.statusCode ?? 0;
  if (status === 200) {
    const digest = response.headers['docker-content-digest'];
    return { bytes, ...(typeof digest === 'string' ? { digest } : {}) };
  }
  throw new DaemonError(refusal(status, bytes, url, reference, auth !== undefined));
}

function refusal(status: number, bytes: Buffer, url: string, text: string, withAuth: boolean): string {
  let code = '';
  let message = bytes.toString().trim();
  try {
    const parsed = JSON.parse(message) as { errors?: Array<{ code: string; message: string }> };
    code = parsed.errors?.[0]?.code ?? '';
    message = parsed.errors?.[0]?.message ?? message;
  } catch {
    // Not the registry's JSON: shown as it came.
  }
  const { name, registry } = parseReference(text);
  if (code === 'MANIFEST_UNKNOWN')
    return `manifest for ${text} not found: manifest unknown: manifest unknown`;
  if (code === 'NAME_UNKNOWN' && !registry) {
    return `pull access denied for ${name}, repository does not exist or may require 'docker login'`;
  }
  if (code === 'NAME_UNKNOWN') return `failed to resolve reference "${text}": ${text}: not found`;
  if (status === 401 && !withAuth) return `Get "${url}": no basic auth credentials`;
  if (status === 401) return `Get "${url}": unauthorized: authentication required`;
  if (status === 429) return `toomanyrequests: ${message}`;
  return `received unexpected HTTP status: ${status} ${message}`;
}

import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

/** The part of an image's config that says how a container of it starts, named as in the OCI image spec. */
export interface ImageConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  WorkingDir?: string;
  Labels?: Record<string, string>;
  ExposedPorts?: Record<string, object>;
  StopSignal?: string;
  /** Durations in nanoseconds, as Docker keeps them. */
  Healthcheck?: {
    Test: string[];
    Interval?: number;
    Timeout?: number;
    StartPeriod?: number;
    StartInterval?: number;
    Retries?: number;
  };
}

export type ImageFile = string | Buffer | { content: string | Buffer; mode?: number };

export interface ImagePush {
  repository: string;
  tag: string;
  config: ImageConfig;
  /** Path inside the image (no leading slash) → content. */
  files: Record<string, ImageFile>;
}

export interface RegistryFault {
  /** What it hits. */
  on: 'manifest' | 'blob' | 'any';
  /** throttle = 429, error = 500, missing = 404 manifest unknown, slow = waits `ms`, corrupt = other bytes than the digest says. */
  kind: 'throttle' | 'error' | 'missing' | 'slow' | 'corrupt';
  /** Milliseconds a slow answer waits. */
  ms?: number;
  /** How many requests it hits; without it, all until removed. */
  times?: number;
  /** Only requests whose path holds this text. */
  path?: string;
}

export interface Registry {
  /** `localhost:port`, the first part of an image reference. */
  readonly url: string;
  /** Builds an image of one layer and stores it; answers the manifest's digest. The same input gives the same digest. */
  push(image: ImagePush): Promise<string>;
  /** The image id (digest of the config) that a tag or digest leads to. */
  imageId(repository: string, reference: string): string | undefined;
  /** Makes requests fail until `remove()` is called or `times` is used up. */
  fault(fault: RegistryFault): { remove(): void };
  readonly requests: ReadonlyArray<{ method: string; path: string; status: number }>;
  close(): Promise<void>;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export function sha256(bytes: string | Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A tar of the files in a fixed order with fixed times, so that equal files give equal bytes. */
export async function layerTar(files: Record<string, ImageFile>): Promise<Buffer> {
  const tar = pack();
  const chunks: Buffer[] = [];
  const done = (async () => {
    for await (const chunk of tar) chunks.push(chunk as Buffer);
  })();
  const directories = new Set<string>();
  for (const path of Object.keys(files)) {
    const parts = path.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) directories.add(parts.slice(0, depth).join('/'));
  }
  const fixed = { mtime: new Date(0), uid: 0, gid: 0 };
  for (const name of [...directories].sort()) {
    tar.entry({ ...fixed, name: `${name}/`, type: 'directory', mode: 0o755 });
  }
  for (const name of Object.keys(files).sort()) {
    const file = files[name]!;
    const plain = typeof file === 'string' || Buffer.isBuffer(file);
    const content = plain ? file : file.content;
    tar.entry({ ...fixed, name, mode: plain ? 0o644 : (file.mode ?? 0o644) }, content);
  }
  tar.finalize();
  await done;
  return Buffer.concat(chunks);
}

/**
 * An OCI distribution v2 registry on loopback HTTP: manifests by tag and digest, blobs, uploads, tag lists,
 * optional basic authentication. Everything is kept in memory.
 */
export async function openRegistry({
  auth,
}: {
  auth?: { username: string; password: string };
} = {}): Promise<Registry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { type: string; body: Buffer }>();
  const tags = new Map<string, Map<string, string>>();
  const uploads = new Map<string, Buffer[]>();
  const faults: RegistryFault[] = [];
  const requests: Array<{ method: string; path: string; status: number }> = [];

  function known(repository: string): Map<string, string> {
    const found = tags.get(repository) ?? new Map<string, string>();
    tags.set(repository, found);
    return found;
  }

  function find(repository: string, reference: string) {
    const digest = reference.startsWith('sha256:') ? reference : tags.get(repository)?.get(reference);
    const manifest = digest ? manifests.get(`${repository}@${digest}`) : undefined;
    return digest && manifest ? { digest, ...manifest } : undefined;
  }

  function store(repository: string, reference: string, type: string, body: Buffer): string {
    const digest = sha256(body);
    manifests.set(`${repository}@${digest}`, { type, body });
    if (reference !== digest) known(repository).set(reference, digest);
    return digest;
  }

  async function push({ repository, tag, config, files }: ImagePush): Promise<string> {
    const tar = await layerTar(files);
    const layer = gzipSync(tar);
    // Byte 9 of a gzip header names the operating system: the one thing that would differ between machines.
    layer[9] = 255;
    const configBytes = Buffer.from(
      JSON.stringify({
        architecture: process.arch === 'x64' ? 'amd64' : process.arch,
        os: 'linux',
        created: new Date(0).toISOString(),
        config,
        rootfs: { type: 'layers', diff_ids: [sha256(tar)] },
        history: [{ created: new Date(0).toISOString(), created_by: 'lab push' }],
      }),
    );
    blobs.set(sha256(layer), layer);
    blobs.set(sha256(configBytes), configBytes);
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, size: configBytes.length, digest: sha256(configBytes) },
      layers: [{ mediaType: LAYER, size: layer.length, digest: sha256(layer) }],
    };
    return store(repository, tag, MANIFEST, Buffer.from(JSON.stringify(manifest)));
  }

  function imageId(repository: string, reference: string): string | undefined {
    const manifest = find(repository, reference);
    return manifest && (JSON.parse(manifest.body.toString()).config?.digest as string | undefined);
  }

  function authorised(request: IncomingMessage): boolean {
    if (!auth) return true;
    const given = Buffer.from(sha256(request.headers.authorization ?? ''));
    const token = Buffer.from(`${auth.username}:${auth.password}`).toString('base64');
    return timingSafeEqual(given, Buffer.from(sha256(`Basic ${token}`)));
  }

  function hit(on: 'manifest' | 'blob' | 'any', path: string): RegistryFault[] {
    const hits = faults.filter((f) => (f.on === 'any' || f.on === on) && (!f.path || path.includes(f.path)));
    for (const fault of hits) {
      if (fault.times === undefined) continue;
      fault.times -= 1;
      if (fault.times <= 0) faults.splice(faults.indexOf(fault), 1);
    }
    return hits;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://registry');
    const path = url.pathname;
    const method = request.method ?? 'GET';
    const body: Buffer[] = [];
    for await (const chunk of request) body.push(chunk as Buffer);
    const send = (
      status: number,
      headers: Record<string, string | number>,
      content: Buffer | string = '',
    ) => {
      requests.push({ method, path, status });
      const bytes = Buffer.from(content as string);
      response.writeHead(status, {
        'docker-distribution-api-version': 'registry/2.0',
        'content-length': bytes.length,
        ...headers,
      });
      response.end(method === 'HEAD' ? undefined : bytes);
    };
    const refuse = (status: number, code: string, message: string, headers: Record<string, string> = {}) =>
      send(
        status,
        { 'content-type': 'application/json', ...headers },
        JSON.stringify({ errors: [{ code, message }] }),
      );

    if (!authorised(request)) {
      return refuse(401, 'UNAUTHORIZED', 'authentication required', {
        'www-authenticate': 'Basic realm="Lab registry"',
      });
    }
    const match = /^\/v2\/(.+)\/(manifests|blobs|tags)\/(.+)$/.exec(path);
    const kind = match?.[2] === 'manifests' ? 'manifest' : match?.[2] === 'blobs' ? 'blob' : 'any';
    const hits = hit(kind, path);
    for (const fault of hits) {
      if (fault.kind === 'slow') await sleep(fault.ms ?? 1000, undefined, { ref: false });
      if (fault.kind === 'throttle') {
        return refuse(429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit', {
          'retry-after': '1',
        });
      }
      if (fault.kind === 'error') return refuse(500, 'UNKNOWN', 'unknown error');
      if (fault.kind === 'missing') return refuse(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
    }
    const corrupt = (bytes: Buffer) => {
      if (!hits.some((fault) => fault.kind === 'corrupt')) return bytes;
      const other = Buffer.from(bytes);
      const last = other.length - 1;
      other[last] = other[last]! ^ 0xff;
      return other;
    };

    if (path === '/v2/' || path === '/v2') return send(200, { 'content-type': 'application/json' }, '{}');
    if (!match) return refuse(404, 'UNSUPPORTED', `no such endpoint: ${path}`);
    const [, repository, , rest] = match as unknown as [string, string, string, string];

    if (kind === 'manifest') {
      if (method === 'PUT') {
        const type = request.headers['content-type'] ?? MANIFEST;
        const digest = store(repository, rest, type, Buffer.concat(body));
        return send(201, {
          location: `/v2/${repository}/manifests/${digest}`,
          'docker-content-digest': digest,
        });
      }
      const manifest = find(repository, rest);
      if (!tags.has(repository) && !manifest) {
        return refuse(404, 'NAME_UNKNOWN', 'repository name not known to registry');
      }
      if (!manifest) return refuse(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      return send(
        200,
        { 'content-type': manifest.type, 'docker-content-digest': manifest.digest },
        corrupt(manifest.body),
      );
    }
    if (path.endsWith('/tags/list')) {
      const found = tags.get(repository);
      if (!found) return refuse(404, 'NAME_UNKNOWN', 'repository name not known to registry');
      const list = JSON.stringify({ name: repository, tags: [...found.keys()].sort() });
      return send(200, { 'content-type': 'application/json' }, list);
    }
    if (kind === 'blob' && rest.startsWith('uploads/')) {
      const id = rest.slice('uploads/'.length);
      if (method === 'POST') {
        const fresh = randomUUID();
        uploads.set(fresh, []);
        return send(202, { location: `/v2/${repository}/blobs/uploads/${fresh}`, range: '0-0' });
      }
      const parts = uploads.get(id);
      if (!parts) return refuse(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
      parts.push(...body);
      if (method === 'PATCH') {
        const size = parts.reduce((sum, part) => sum + part.length, 0);
        return send(202, {
          location: `/v2/${repository}/blobs/uploads/${id}`,
          range: `0-${Math.max(0, size - 1)}`,
        });
      }
      if (method === 'PUT') {
        const blob = Buffer.concat(parts);
        const digest = url.searchParams.get('digest') ?? '';
        uploads.delete(id);
        if (sha256(blob) !== digest) {
          return refuse(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
        }
        blobs.set(digest, blob);
        return send(201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest });
      }
      return refuse(405, 'UNSUPPORTED', `${method} is not supported here`);
    }
    if (kind === 'blob' && (method === 'GET' || method === 'HEAD')) {
      const blob = blobs.get(rest);
      if (!blob) return refuse(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
      return send(
        200,
        { 'content-type': 'application/octet-stream', 'docker-content-digest': rest },
        corrupt(blob),
      );
    }
    return refuse(405, 'UNSUPPORTED', `${method} ${path} is not supported`);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  // `localhost` may mean ::1 first: on the IPv4 loopback alone, clients fall back to it.
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;

  return {
    url: `localhost:${port}`,
    push,
    imageId,
    fault(fault) {
      const own = { ...fault };
      faults.push(own);
      return {
        remove() {
          const at = faults.indexOf(own);
          if (at >= 0) faults.splice(at, 1);
        },
      };
    },
    requests,
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

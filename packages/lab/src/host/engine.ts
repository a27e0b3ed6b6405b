import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Container, type ContainerSpec } from './container.ts';
import { runDocker } from './docker-command.ts';
import { DaemonError, ImageStore } from './images.ts';
import type { PortForward } from './port-forward.ts';

/** One run of `docker …` on the host. */
export interface Call {
  argv: string[];
  cwd: string;
  env: Record<string, string>;
  /** Aborted when the client goes away. */
  signal: AbortSignal;
  out(text: string | Buffer): Promise<void>;
  err(text: string | Buffer): Promise<void>;
  /** Asks the client for its stdin; only then is it read. */
  stdin(): Readable;
}

export interface EngineSettings {
  name: string;
  /** The host's own address, 127.77.0.n: n also numbers its containers' addresses, 127.78.n.c. */
  address: string;
  directory: string;
  /** host:port of the lab's registry. */
  registry: string;
  /** Node 24, run by containers and by the docker command. */
  node: string;
  /** Put into the environment of every process, so that none is forgotten at the end. */
  marker: Record<string, string>;
}

/** What a container is made from; the rest of its spec is the engine's to give. */
export type NewContainer = Omit<
  ContainerSpec,
  'id' | 'address' | 'gateway' | 'directory' | 'runtime' | 'marker' | 'forwards'
>;

/** What a watcher of a host wants to know of one container. */
export interface ContainerView {
  id: string;
  name: string;
  project: string;
  service: string;
  image: string;
  imageId: string;
  status: string;
  health: string | undefined;
  pid: number;
  address: string;
  restartCount: number;
  ports: Array<{ host: string; port: number; target: number }>;
}

export interface EngineFault {
  /** Start of the command line it hits, without `docker`: `compose`, `inspect`. */
  command: string;
  /** Text that the command line also has to hold: ` up `. */
  holding?: string;
  /** What the command answers on stderr instead of being run, with exit code `code` (1). */
  message?: string;
  code?: number;
  /** Waits this many milliseconds first. */
  delayMs?: number;
  /** How many calls it hits; without it, all until removed. */
  times?: number;
}

/** The process engine of one host: images, containers, volumes, and the socket its `docker` talks to. */
export class Engine {
  readonly settings: EngineSettings;
  readonly images: ImageStore;
  readonly socketPath: string;
  readonly binDirectory: string;
  readonly runtimeDirectory: string;
  readonly #containers = new Map<string, Container>();
  readonly #clients = new Set<Socket>();
  readonly #calls = new Set<Promise<void>>();
  readonly #forwards = new Set<PortForward>();
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  /** Command lines given to `docker` on this host, in order. */
  readonly calls: string[] = [];
  readonly #faults: EngineFault[] = [];
  #socketDirectory: string | undefined;
  #nextAddress = 1;
  #closed = false;

  constructor(settings: EngineSettings) {
    this.settings = settings;
    this.images = new ImageStore(join(settings.directory, 'images'), settings.registry);
    this.binDirectory = join(settings.directory, 'bin');
    this.runtimeDirectory = join(settings.directory, 'runtime');
    const inside = join(settings.directory, 'engine.sock');
    // A unix socket's path may have 107 bytes (unix(7)); repositories may lie deeper than that.
    if (Buffer.byteLength(inside) <= 100) {
      this.socketPath = inside;
    } else {
      this.#socketDirectory = mkdtempSync(join(tmpdir(), 'lab-engine-'));
      this.socketPath = join(this.#socketDirectory, 'engine.sock');
    }
  }

  async open(): Promise<void> {
    const { node } = this.settings;
    mkdirSync(this.binDirectory, { recursive: true });
    mkdirSync(this.runtimeDirectory, { recursive: true });
    symlinkSync(node, join(this.runtimeDirectory, 'node'));
    const shim = fileURLToPath(new URL('./docker-shim.pl', import.meta.url));
    const docker = join(this.binDirectory, 'docker');
    writeFileSync(docker, `#!/bin/sh\nexec perl ${quote(shim)} "$@"\n`);
    chmodSync(docker, 0o755);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.socketPath, resolve);
    });
  }

  /** Containers as a watcher sees them, in order of creation. */
  containers(): ContainerView[] {
    return this.all().map((container) => ({
      id: container.id,
      name: container.name,
      project: container.spec.labels['com.docker.compose.project'] ?? '',
      service: container.spec.labels['com.docker.compose.service'] ?? '',
      image: container.spec.imageRef,
      imageId: container.spec.image.id,
      status: container.status,
      health: container.health?.Status,
      pid: container.pid,
      address: container.spec.address,
      restartCount: container.restartCount,
      ports: container.openPorts,
    }));
  }

  all(): Container[] {
    return [...this.#containers.values()];
  }

  /** By id, by its first hex digits, or by name. */
  find(reference: string): Container | undefined {
    const named = this.all().find((container) => container.name === reference.replace(/^\//, ''));
    if (named || !/^[0-9a-f]{4,64}$/.test(reference)) return named;
    const found = this.all().filter((container) => container.id.startsWith(reference));
    return found.length === 1 ? found[0] : undefined;
  }

  require(reference: string): Container {
    const found = this.find(reference);
    if (!found) throw new DaemonError(`No such container: ${reference}`);
    return found;
  }

  async create(spec: NewContainer): Promise<Container> {
    this.#checkName(spec.name);
    const id = createHash('sha256').update(randomBytes(32)).digest('hex');
    const subnet = this.settings.address.split('.')[3]!;
    const container = new Container({
      ...spec,
      id,
      address: `127.78.${subnet}.${this.#freeAddress(subnet)}`,
      gateway: `127.78.${subnet}.1`,
      directory: join(this.settings.directory, 'containers', id.slice(0, 12)),
      runtime: this.runtimeDirectory,
      marker: this.settings.marker,
      forwards: this.#forwards,
    });
    this.#containers.set(id, container);
    try {
      await container.prepare();
    } catch (error) {
      await this.remove(container);
      throw error;
    }
    return container;
  }

  #freeAddress(subnet: string): number {
    const taken = new Set(this.all().map((container) => container.spec.address));
    for (let tried = 0; tried < 253; tried++) {
      this.#nextAddress = this.#nextAddress >= 254 ? 2 : this.#nextAddress + 1;
      if (!taken.has(`127.78.${subnet}.${this.#nextAddress}`)) return this.#nextAddress;
    }
    throw new DaemonError('no available IPv4 addresses on this network');
  }

  #checkName(name: string): void {
    const holder = this.all().find((container) => container.name === name);
    if (holder) {
      throw new DaemonError(
        `Conflict. The container name "/${name}" is already in use by container "${holder.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
    }
  }

  rename(container: Container, name: string): void {
    this.#checkName(name);
    container.name = name;
  }

  async remove(container: Container): Promise<void> {
    await container.remove();
    this.#containers.delete(container.id);
  }

  /** Where a named volume lies; it outlives its containers. */
  volumeDirectory(name: string): string {
    return join(this.settings.directory, 'volumes', name);
  }

  /** The address behind a published port, for connections made on the host itself. */
  published(port: number): { host: string; port: number } | undefined {
    for (const container of this.all()) {
      const open = container.openPorts.find((candidate) => candidate.port === port);
      if (open) return { host: open.host, port: open.port };
    }
    return undefined;
  }

  /** Stands for the host's own loopback: ports published on 127.0.0.1 alone listen there. */
  get loopback(): string {
    return `127.79.${this.settings.address.split('.')[3]}.1`;
  }

  #serve(socket: Socket): void {
    const gone = new AbortController();
    const stdin = new PassThrough();
    let rest: Buffer = Buffer.alloc(0);
    let called = false;
    this.#clients.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#clients.delete(socket);
      gone.abort(new Error('the client went away'));
      stdin.destroy();
    });
    // A half-closed client has died: a living one keeps its side open until the exit code came.
    socket.on('end', () => socket.destroy());
    const send = async (kind: number, content: Buffer) => {
      if (socket.destroyed) return;
      const head = Buffer.alloc(5);
      head[0] = kind;
      head.writeUInt32BE(content.length, 1);
      if (socket.write(Buffer.concat([head, content]))) return;
      await new Promise<void>((done) => {
        const finish = () => {
          socket.off('drain', finish);
          socket.off('close', finish);
          done();
        };
        socket.once('drain', finish);
        socket.once('close', finish);
      });
    };
    socket.on('data', (chunk: Buffer) => {
      rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const kind = rest[0];
        const content = rest.subarray(5, 5 + rest.readUInt32BE(1));
        rest = rest.subarray(5 + content.length);
        if (kind === 0 && !called) {
          called = true;
          const request = parseCall(content.toString());
          let asked = false;
          const call: Call = {
            ...request,
            signal: gone.signal,
            out: (text) => send(1, Buffer.from(text as string)),
            err: (text) => send(2, Buffer.from(text as string)),
            stdin: () => {
              if (!asked) void send(4, Buffer.alloc(0));
              asked = true;
              return stdin;
            },
          };
          const work = this.run(call).then(async (code) => {
            const bytes = Buffer.alloc(4);
            bytes.writeUInt32BE(code);
            await send(3, bytes);
            socket.end();
          });
          this.#calls.add(work);
          void work.finally(() => this.#calls.delete(work));
        } else if (kind === 1) {
          if (!stdin.write(content)) {
            socket.pause();
            stdin.once('drain', () => socket.resume());
          }
        } else if (kind === 2) {
          stdin.end();
        }
      }
    });
  }

  /** Makes docker commands fail or wait until `remove()` is called or `times` is used up. */
  fault(fault: EngineFault): { remove(): void } {
    const own = { ...fault };
    this.#faults.push(own);
    return { remove: () => this.#forget(own) };
  }

  #forget(fault: EngineFault): void {
    const at = this.#faults.indexOf(fault);
    if (at >= 0) this.#faults.splice(at, 1);
  }

  #hit(line: string): EngineFault | undefined {
    const fault = this.#faults.find(
      ({ command, holding }) => line.startsWith(command) && `${line} `.includes(holding ?? ''),
    );
    if (fault?.times !== undefined) {
      fault.times -= 1;
      if (fault.times <= 0) this.#forget(fault);
    }
    return fault;
  }

  /** Runs `docker <argv>` in a directory as a session on the host would, without one. */
  async docker(argv: string[], cwd: string): Promise<{ code: number; stdout: string; stderr: string }> {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const code = await this.run({
      argv,
      cwd,
      env: { HOME: join(this.settings.directory, 'home') },
      signal: new AbortController().signal,
      out: async (text) => void out.push(Buffer.from(text as string)),
      err: async (text) => void err.push(Buffer.from(text as string)),
      stdin: () => new PassThrough().end(),
    });
    return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
  }

  /** Runs one docker command; answers its exit code. */
  async run(call: Call): Promise<number> {
    try {
      if (this.#closed) throw new DaemonError('the host is shutting down');
      const line = call.argv.join(' ');
      this.calls.push(line);
      const fault = this.#hit(line);
      if (fault?.delayMs) await sleep(fault.delayMs, undefined, { signal: call.signal });
      if (fault?.message !== undefined) {
        await call.err(`${fault.message}\n`);
        return fault.code ?? 1;
      }
      return await runDocker(this, call);
    } catch (error) {
      if (call.signal.aborted) return 130;
      if (error instanceof DaemonError) {
        await call.err(`Error response from daemon: ${error.message}\n`);
        return 1;
      }
      await call.err(`${error instanceof Error ? error.message : String(error)}\n`);
      return 1;
    }
  }

  /** Ends every process, forwarder and client. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#clients) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // A command that waits for a container's grace period ends with the container.
    await Promise.all(this.all().map((container) => container.kill()));
    await Promise.allSettled(this.#calls);
    await Promise.all(this.all().map((container) => this.remove(container)));
    await Promise.all([...this.#forwards].map((forward) => forward.close(0)));
    if (this.#socketDirectory) await rm(this.#socketDirectory, { recursive: true, force: true });
  }
}

/** What docker-shim.pl sends of the process that it stands for. */
function parseCall(text: string): Pick<Call, 'argv' | 'cwd' | 'env'> {
  const [count, ...fields] = text.split('\0');
  const argv = fields.splice(0, Number(count));
  const [cwd = '', ...variables] = fields;
  const env = variables.map((variable) => {
    const at = variable.indexOf('=');
    return [variable.slice(0, at), variable.slice(at + 1)];
  });
  return { argv, cwd, env: Object.fromEntries(env) };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

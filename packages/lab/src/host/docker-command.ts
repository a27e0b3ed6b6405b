import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { runCompose } from './compose-command.ts';
import { type Container, killGroup, signalNumber } from './container.ts';
import type { Call, Engine } from './engine.ts';
import { type FlagKind, parseFlags, renderTemplate, UsageError } from './flags.ts';
import { type Credentials, DaemonError, type Image } from './images.ts';

const ENGINE_VERSION = '28.5.2';

type Command = (engine: Engine, call: Call, args: string[]) => Promise<number>;

const FORMAT: Record<string, FlagKind> = { format: 'value' };

const COMMANDS: Record<string, Command> = {
  version: showVersion,
  info: showInfo,
  compose: runCompose,
  ps: listContainers,
  inspect: inspectAny,
  images: listImages,
  image: imageCommand,
  container: containerCommand,
  tag: tagImage,
  rmi: removeImages,
  pull: pullImage,
  load: loadImage,
  logs: showLogs,
  stop: (engine, call, args) => eachContainer(engine, call, args, 'stop'),
  start: (engine, call, args) => eachContainer(engine, call, args, 'start'),
  restart: (engine, call, args) => eachContainer(engine, call, args, 'restart'),
  kill: (engine, call, args) => eachContainer(engine, call, args, 'kill'),
  rm: removeContainers,
  rename: renameContainer,
  exec: execInContainer,
  login: logIn,
  logout: logOut,
};

/** Runs `docker <argv>`; answers the exit code. */
export async function runDocker(engine: Engine, call: Call): Promise<number> {
  const [name, ...args] = call.argv;
  if (name === '--version' || name === '-v') {
    await call.out(`Docker version ${ENGINE_VERSION}, build lab-process-engine\n`);
    return 0;
  }
  const command = name === undefined ? undefined : COMMANDS[name];
  if (!command) {
    await call.err(
      `docker: '${name ?? ''}' is not a docker command of the lab's process engine. It knows: ${Object.keys(COMMANDS).join(', ')}\n`,
    );
    return 1;
  }
  try {
    return await command(engine, call, args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    await call.err(
      `${error.message}\n\nUsage:  docker ${name}\n\nRun 'docker ${name} --help' for more information\n`,
    );
    return name === 'compose' ? 1 : 125;
  }
}

async function show(call: Call, format: string | undefined, data: unknown, plain: string): Promise<number> {
  await call.out(format === undefined ? plain : `${renderFormat(format, data)}\n`);
  return 0;
}

function renderFormat(format: string, data: unknown): string {
  return format === 'json' ? JSON.stringify(data) : renderTemplate(format, data);
}

async function showVersion(_engine: Engine, call: Call, args: string[]): Promise<number> {
  const { values } = parseFlags(args, FORMAT, { f: 'format' });
  const common = {
    Version: ENGINE_VERSION,
    ApiVersion: '1.51',
    Os: 'linux',
    Arch: process.arch === 'x64' ? 'amd64' : process.arch,
  };
  const data = {
    Client: { ...common, DefaultAPIVersion: '1.51', Context: 'default', GitCommit: 'lab' },
    Server: {
      ...common,
      MinAPIVersion: '1.44',
      KernelVersion: release(),
      Platform: { Name: 'Lockkeeper lab process engine (no containers: commands run as processes)' },
      Components: [{ Name: 'Engine', Version: ENGINE_VERSION }],
    },
  };
  return show(
    call,
    values.format,
    data,
    `Client:\n Version:           ${ENGINE_VERSION}\n\nServer: ${data.Server.Platform.Name}\n Engine:\n  Version:          ${ENGINE_VERSION}\n`,
  );
}

async function showInfo(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { values } = parseFlags(args, FORMAT, { f: 'format' });
  const containers = engine.all();
  const data = {
    ID: engine.settings.name,
    Name: engine.settings.name,
    Containers: containers.length,
    ContainersRunning: containers.filter((container) => container.status === 'running').length,
    ContainersStopped: containers.filter((container) => container.status === 'exited').length,
    Images: engine.images.all().length,
    Driver: 'lab-process-engine',
    DockerRootDir: engine.settings.directory,
    OperatingSystem: 'Lockkeeper lab process engine',
    OSType: 'linux',
    Architecture: process.arch === 'x64' ? 'x86_64' : process.arch,
    NCPU: cpus().length,
    MemTotal: totalmem(),
    ServerVersion: ENGINE_VERSION,
    Warnings: null,
  };
  return show(
    call,
    values.format,
    data,
    `Server:\n Containers: ${data.Containers}\n Images: ${data.Images}\n Server Version: ${ENGINE_VERSION}\n Operating System: ${data.OperatingSystem}\n`,
  );
}

/** Whether a container passes `--filter key=value` conditions: same keys are alternatives, except labels. */
function passes(container: Container, filters: string[]): boolean {
  const groups = new Map<string, string[]>();
  for (const filter of filters) {
    const at = filter.indexOf('=');
    if (at < 0) throw new DaemonError(`invalid filter '${filter}'`);
    const key = filter.slice(0, at);
    groups.set(key, [...(groups.get(key) ?? []), filter.slice(at + 1)]);
  }
  return [...groups].every(([key, values]) => {
    const one = (value: string): boolean => {
      if (key === 'label') return hasLabel(container.spec.labels, value);
      if (key === 'name')
        return new RegExp(value).test(container.name) || `/${container.name}`.startsWith(value);
      if (key === 'id') return container.id.startsWith(value);
      if (key === 'status') return container.status === value;
      if (key === 'ancestor')
        return container.spec.imageRef === value || container.spec.image.id.startsWith(value);
      if (key === 'health') return (container.health?.Status ?? 'none') === value;
      throw new DaemonError(`invalid filter '${key}'`);
    };
    return key === 'label' ? values.every(one) : values.some(one);
  });
}

function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  return at < 0 ? wanted in labels : labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}

/** `Up 3 seconds (healthy)` and the like. */
export function describeStatus(container: Container): string {
  const health = container.health
    ? ` (${container.health.Status === 'starting' ? 'health: starting' : container.health.Status})`
    : '';
  if (container.status === 'running') return `Up ${since(container.startedAt)}${health}`;
  if (container.status === 'restarting')
    return `Restarting (${container.exitCode}) ${since(container.finishedAt)} ago`;
  if (container.status === 'exited')
    return `Exited (${container.exitCode}) ${since(container.finishedAt)} ago`;
  return container.status === 'created' ? 'Created' : 'Removal In Progress';
}

function since(iso: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (seconds < 1) return 'Less than a second';
  return seconds < 120 ? `${seconds} seconds` : `${Math.floor(seconds / 60)} minutes`;
}

/** Ports as `docker ps` shows them. */
export function describePorts(container: Container): string {
  return container.openPorts.map(({ host, port, target }) => `${host}:${port}->${target}/tcp`).join(', ');
}

async function listContainers(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { on, lists, values } = parseFlags(
    args,
    { all: 'boolean', quiet: 'boolean', 'no-trunc': 'boolean', filter: 'list', format: 'value' },
    { a: 'all', q: 'quiet', f: 'filter' },
  );
  const filters = lists.filter ?? [];
  const everything = on.has('all') || filters.some((filter) => filter.startsWith('status='));
  const found = engine
    .all()
    .filter((container) => everything || container.status === 'running' || container.status === 'restarting')
    .filter((container) => passes(container, filters))
    .reverse();
  const id = (container: Container) => (on.has('no-trunc') ? container.id : container.id.slice(0, 12));
  const rows = found.map((container) => ({
    ID: id(container),
    Image: container.spec.imageRef,
    Command: `"${[...container.spec.entrypoint, ...container.spec.command].join(' ')}"`,
    CreatedAt: container.created.toISOString(),
    Labels: Object.entries(container.spec.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
    Names: container.name,
    Networks: container.spec.network,
    Ports: describePorts(container),
    State: container.status,
    Status: describeStatus(container),
  }));
  if (on.has('quiet')) await call.out(rows.map((row) => `${row.ID}\n`).join(''));
  else if (values.format)
    await call.out(rows.map((row) => `${renderFormat(values.format!, row)}\n`).join(''));
  else {
    await call.out(
      columns([
        ['CONTAINER ID', 'IMAGE', 'STATUS', 'PORTS', 'NAMES'],
        ...rows.map((row) => [row.ID, row.Image, row.Status, row.Ports, row.Names]),
      ]),
    );
  }
  return 0;
}

/** Left-aligned columns, three spaces apart. */
export function columns(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at]!))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('');
}

function inspectImage(image: Image): Record<string, unknown> {
  return {
    Id: image.id,
    RepoTags: [...image.tags],
    RepoDigests: [...image.digests],
    Created: image.created,
    Architecture: image.architecture,
    Os: 'linux',
    Size: image.size,
    Config: { Labels: null, ...image.config },
    RootFS: { Type: 'layers', Layers: image.layers },
  };
}

async function inspectAny(engine: Engine, call: Call, args: string[]): Promise<number> {
  return inspect(call, args, 'object', (reference) => {
    const container = engine.find(reference);
    if (container) return container.inspect();
    const image = findImage(engine, reference);
    return image && inspectImage(image);
  });
}

function findImage(engine: Engine, reference: string): Image | undefined {
  try {
    return engine.images.find(reference);
  } catch (error) {
    if (error instanceof DaemonError) return undefined;
    throw error;
  }
}

async function inspect(
  call: Call,
  args: string[],
  what: 'object' | 'image' | 'container',
  find: (reference: string) => Record<string, unknown> | undefined,
): Promise<number> {
  const { values, rest } = parseFlags(
    args,
    { format: 'value', type: 'value', size: 'boolean' },
    { f: 'format', s: 'size' },
  );
  if (rest.length === 0) throw new UsageError('"docker inspect" requires at least 1 argument.');
  const found: Array<Record<string, unknown>> = [];
  const missing: string[] = [];
  for (const reference of rest) {
    const data = find(reference);
    if (data) found.push(data);
    else missing.push(reference);
  }
  if (values.format !== undefined) {
    for (const data of found) await call.out(`${renderFormat(values.format, data)}\n`);
  } else await call.out(`${JSON.stringify(found, null, 4)}\n`);
  for (const reference of missing) {
    await call.err(
      what === 'object'
        ? `Error: No such object: ${reference}\n`
        : `Error response from daemon: No such ${what}: ${reference}\n`,
    );
  }
  return missing.length ? 1 : 0;
}

async function listImages(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { on, lists, values, rest } = parseFlags(
    args,
    {
      all: 'boolean',
      quiet: 'boolean',
      'no-trunc': 'boolean',
      digests: 'boolean',
      filter: 'list',
      format: 'value',
    },
    { a: 'all', q: 'quiet', f: 'filter' },
  );
  const filters = [...(lists.filter ?? []), ...rest.map((reference) => `reference=${reference}`)];
  const labelled = (image: Image, wanted: string) => hasLabel(image.config.Labels ?? {}, wanted);
  const rows: Array<{ Repository: string; Tag: string; ID: string; Size: string }> = [];
  for (const image of engine.images.all()) {
    let labels = image.tags.size ? [...image.tags] : ['<none>:<none>'];
    let keep = true;
    for (const filter of filters) {
      const [key = '', ...value] = filter.split('=');
      const wanted = value.join('=');
      if (key === 'label') keep &&= labelled(image, wanted);
      else if (key === 'dangling') keep &&= (image.tags.size === 0) === (wanted === 'true');
      else if (key === 'reference') {
        labels = labels.filter((label) => matchesReference(label, wanted));
        keep &&= labels.length > 0;
      } else throw new DaemonError(`invalid filter '${key}'`);
    }
    if (!keep) continue;
    for (const label of labels) {
      const at = label.lastIndexOf(':');
      rows.push({
        Repository: label.slice(0, at),
        Tag: label.slice(at + 1),
        ID: on.has('no-trunc') ? image.id : image.id.slice(7, 19),
        Size: `${image.size}B`,
      });
    }
  }
  if (on.has('quiet')) await call.out([...new Set(rows.map((row) => `${row.ID}\n`))].join(''));
  else if (values.format)
    await call.out(rows.map((row) => `${renderFormat(values.format!, row)}\n`).join(''));
  else {
    await call.out(
      columns([
        ['REPOSITORY', 'TAG', 'IMAGE ID', 'SIZE'],
        ...rows.map((row) => [row.Repository, row.Tag, row.ID, row.Size]),
      ]),
    );
  }
  return 0;
}

/** A reference filter: `name`, `name:tag`, with `*` for any characters but a slash. */
function matchesReference(label: string, pattern: string): boolean {
  const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
  const name = label.slice(0, label.lastIndexOf(':'));
  return new RegExp(`^${source}$`).test(label) || new RegExp(`^${source}$`).test(name);
}

async function imageCommand(engine: Engine, call: Call, args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === 'inspect') {
    return inspect(call, rest, 'image', (reference) => {
      const image = findImage(engine, reference);
      return image && inspectImage(image);
    });
  }
  if (name === 'rm') return removeImages(engine, call, rest);
  if (name === 'ls') return listImages(engine, call, rest);
  if (name === 'tag') return tagImage(engine, call, rest);
  if (name === 'pull') return pullImage(engine, call, rest);
  if (name === 'load') return loadImage(engine, call, rest);
  throw new UsageError(`unknown command: docker image ${name ?? ''}`);
}

async function containerCommand(engine: Engine, call: Call, args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === 'inspect')
    return inspect(call, rest, 'container', (reference) => engine.find(reference)?.inspect());
  if (name === 'ls') return listContainers(engine, call, rest);
  if (name === 'rm') return removeContainers(engine, call, rest);
  if (name && ['logs', 'stop', 'start', 'restart', 'kill', 'rename', 'exec'].includes(name)) {
    return COMMANDS[name]!(engine, call, rest);
  }
  throw new UsageError(`unknown command: docker container ${name ?? ''}`);
}

async function tagImage(engine: Engine, _call: Call, args: string[]): Promise<number> {
  const { rest } = parseFlags(args, {});
  if (rest.length !== 2) throw new UsageError(`'docker tag' requires 2 arguments`);
  engine.images.tag(rest[0]!, rest[1]!);
  return 0;
}

async function removeImages(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { on, rest } = parseFlags(args, { force: 'boolean', 'no-prune': 'boolean' }, { f: 'force' });
  if (rest.length === 0) throw new UsageError(`'docker image rm' requires at least 1 argument`);
  const usedBy = (id: string) => engine.all().find((container) => container.spec.image.id === id)?.id;
  return each(call, rest, async (reference) => {
    if (on.has('force') && !findImage(engine, reference)) return;
    for (const line of await engine.images.remove(reference, on.has('force'), usedBy))
      await call.out(`${line}\n`);
  });
}

/** Does the same for every argument; a failure is told and the others still happen, as the docker client does. */
async function each(call: Call, items: string[], act: (item: string) => Promise<void>): Promise<number> {
  let code = 0;
  for (const item of items) {
    try {
      await act(item);
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      await call.err(`Error response from daemon: ${error.message}\n`);
      code = 1;
    }
  }
  return code;
}

async function pullImage(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { on, rest } = parseFlags(args, { quiet: 'boolean', platform: 'value' }, { q: 'quiet' });
  if (rest.length !== 1) throw new UsageError(`'docker pull' requires 1 argument`);
  const reference = rest[0]!;
  const { fresh, digest } = await engine.images.pull(reference, {
    credentials: storedCredentials(call),
    signal: call.signal,
  });
  if (on.has('quiet')) await call.out(`${reference}\n`);
  else {
    await call.out(
      `Digest: ${digest}\nStatus: ${fresh ? 'Downloaded newer image' : 'Image is up to date'} for ${reference}\n${reference}\n`,
    );
  }
  return 0;
}

async function loadImage(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { values } = parseFlags(args, { input: 'value', quiet: 'boolean' }, { i: 'input', q: 'quiet' });
  let archive: Buffer;
  if (values.input) archive = readFileSync(join(call.cwd, values.input));
  else {
    const chunks: Buffer[] = [];
    for await (const chunk of call.stdin()) chunks.push(chunk as Buffer);
    archive = Buffer.concat(chunks);
  }
  for (const line of await engine.images.load(archive)) await call.out(`${line}\n`);
  return 0;
}

async function showLogs(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { values, on, rest } = parseFlags(
    args,
    { tail: 'value', timestamps: 'boolean', details: 'boolean', since: 'value' },
    { n: 'tail', t: 'timestamps' },
  );
  if (rest.length !== 1) throw new UsageError(`'docker logs' requires 1 argument`);
  const container = engine.require(rest[0]!);
  const tail = tailOf(values.tail);
  const from = values.since === undefined ? 0 : Date.parse(values.since);
  if (Number.isNaN(from)) throw new DaemonError(`invalid value for "since": ${values.since}`);
  for (const line of container.logs(tail)) {
    if (line.at < from) continue;
    const text = `${on.has('timestamps') ? `${new Date(line.at).toISOString()} ` : ''}${line.text}\n`;
    await (line.stream === 'stdout' ? call.out(text) : call.err(text));
  }
  return 0;
}

/** `--tail N`, `all` or nothing. */
export function tailOf(value: string | undefined): number | undefined {
  if (value === undefined || value === 'all') return undefined;
  const tail = Number(value);
  if (!Number.isInteger(tail) || tail < 0)
    throw new UsageError(`invalid argument "${value}" for "--tail" flag`);
  return tail;
}

async function eachContainer(
  engine: Engine,
  call: Call,
  args: string[],
  verb: 'stop' | 'start' | 'restart' | 'kill',
): Promise<number> {
  const { values, rest } = parseFlags(
    args,
    verb === 'kill' ? { signal: 'value' } : { time: 'value', timeout: 'value' },
    { t: 'time', s: 'signal' },
  );
  if (rest.length === 0) throw new UsageError(`'docker ${verb}' requires at least 1 argument`);
  const seconds = values.time ?? values.timeout;
  const grace = seconds === undefined ? undefined : Number(seconds) * 1000;
  return each(call, rest, async (reference) => {
    const container = engine.require(reference);
    if (verb === 'kill') {
      if (container.status !== 'running') {
        throw new DaemonError(
          `cannot kill container: ${reference}: container ${container.id} is not running`,
        );
      }
      const signal = (values.signal ?? 'KILL').replace(/^(SIG)?/, 'SIG') as NodeJS.Signals;
      if (signal === 'SIGKILL') killGroup(container.pid, 'SIGKILL');
      else process.kill(container.pid, signal);
    }
    if (verb === 'stop' || verb === 'restart') await container.stop(grace);
    if (verb === 'start' || verb === 'restart') await container.start();
    await call.out(`${reference}\n`);
  });
}

async function removeContainers(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { on, rest } = parseFlags(
    args,
    { force: 'boolean', volumes: 'boolean' },
    { f: 'force', v: 'volumes' },
  );
  if (rest.length === 0) throw new UsageError(`'docker rm' requires at least 1 argument`);
  return each(call, rest, async (reference) => {
    const container = engine.find(reference);
    if (!container && on.has('force')) return;
    const found = container ?? engine.require(reference);
    if (!on.has('force') && (found.status === 'running' || found.status === 'restarting')) {
      throw new DaemonError(
        `cannot remove container "${found.name}": container is running: stop the container before removing or force remove`,
      );
    }
    await engine.remove(found);
    await call.out(`${reference}\n`);
  });
}

async function renameContainer(engine: Engine, _call: Call, args: string[]): Promise<number> {
  const { rest } = parseFlags(args, {});
  if (rest.length !== 2) throw new UsageError(`'docker rename' requires 2 arguments`);
  engine.rename(engine.require(rest[0]!), rest[1]!);
  return 0;
}

async function execInContainer(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { on, lists, rest } = parseFlags(
    args,
    { interactive: 'boolean', env: 'list' },
    { i: 'interactive', e: 'env' },
    true,
  );
  const [reference, ...argv] = rest;
  if (!reference || argv.length === 0) throw new UsageError(`'docker exec' requires at least 2 arguments`);
  return execute(call, engine.require(reference), argv, {
    env: lists.env ?? [],
    stdin: on.has('interactive'),
  });
}

/** Runs a command in a running container with the caller's streams; answers its exit code. */
export async function execute(
  call: Call,
  container: Container,
  argv: string[],
  { env, stdin }: { env: string[]; stdin: boolean },
): Promise<number> {
  if (container.status !== 'running') throw new DaemonError(`container ${container.id} is not running`);
  const child = container.exec(argv, environmentOf(env, call), stdin);
  if (stdin && child.stdin) {
    child.stdin.on('error', () => {});
    call.stdin().pipe(child.stdin);
  }
  const failed = new Promise<number>((done) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'executable file not found in $PATH' : 'permission denied';
      void call
        .err(
          `OCI runtime exec failed: exec failed: unable to start container process: exec: "${argv[0]}": ${why}: unknown\n`,
        )
        .then(() => done(error.code === 'ENOENT' ? 127 : 126));
    });
  });
  const ended = new Promise<number>((done) => {
    child.once('close', (code, signal) => done(code ?? 128 + signalNumber(signal)));
  });
  const copies = Promise.all([copy(child.stdout!, call.out), copy(child.stderr!, call.err)]);
  const code = await Promise.race([failed, ended]);
  await copies;
  return code;
}

async function copy(from: AsyncIterable<Buffer>, to: (chunk: Buffer) => Promise<void>): Promise<void> {
  try {
    for await (const chunk of from) await to(chunk);
  } catch {
    // The reader is gone; the command itself goes on, as with docker.
  }
}

/** `-e NAME=value` and `-e NAME` (the caller's own value). */
export function environmentOf(pairs: string[], call: Call): Record<string, string> {
  const result: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at >= 0) result[pair.slice(0, at)] = pair.slice(at + 1);
    else if (call.env[pair] !== undefined) result[pair] = call.env[pair];
  }
  return result;
}

function configFile(call: Call): string {
  return join(call.env.DOCKER_CONFIG ?? join(call.env.HOME ?? '/', '.docker'), 'config.json');
}

interface DockerConfig {
  auths?: Record<string, { auth?: string }>;
  [key: string]: unknown;
}

function readConfig(call: Call): DockerConfig {
  const file = configFile(call);
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as DockerConfig;
  } catch (error) {
    throw new Error(`WARNING: Error loading config file: ${file}: ${String(error)}`);
  }
}

/** Credentials that `docker login` left in the caller's Docker config, for one registry. */
export function storedCredentials(call: Call): (registry: string) => Credentials | undefined {
  const config = readConfig(call);
  return (registry) => {
    const key =
      registry === '' ? Object.keys(config.auths ?? {}).find((name) => name.includes('/v1/')) : registry;
    const stored = key === undefined ? undefined : config.auths?.[key]?.auth;
    if (!stored) return undefined;
    const [username = '', ...password] = Buffer.from(stored, 'base64').toString().split(':');
    return { username, password: password.join(':') };
  };
}

async function logIn(engine: Engine, call: Call, args: string[]): Promise<number> {
  const { values, on, rest } = parseFlags(
    args,
    { username: 'value', password: 'value', 'password-stdin': 'boolean' },
    { u: 'username', p: 'password' },
  );
  if (!values.username) throw new DaemonError('Must provide --username with --password-stdin');
  let password = values.password ?? '';
  if (values.password !== undefined) {
    await call.err('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n');
  }
  if (on.has('password-stdin')) {
    const chunks: Buffer[] = [];
    for await (const chunk of call.stdin()) chunks.push(chunk as Buffer);
    password = Buffer.concat(chunks)
      .toString()
      .replace(/\r?\n$/, '');
  }
  const registry = rest[0] ?? '';
  const host = /^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$/.test(registry) ? registry : engine.settings.registry;
  const auth = Buffer.from(`${values.username}:${password}`).toString('base64');
  const status = await new Promise<number>((done, fail) => {
    const ask = request(
      `http://${host}/v2/`,
      { headers: { authorization: `Basic ${auth}` }, agent: false },
      (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      },
    );
    ask.on('error', fail);
    ask.end();
  }).catch((error: NodeJS.ErrnoException) => {
    throw new DaemonError(`Get "http://${host}/v2/": dial tcp: ${error.code ?? error.message}`);
  });
  if (status === 401) {
    throw new DaemonError(`Get "http://${host}/v2/": unauthorized: incorrect username or password`);
  }
  if (status !== 200)
    throw new DaemonError(`login attempt to http://${host}/v2/ failed with status: ${status}`);
  const config = readConfig(call);
  const key = registry || 'https://lab/v1/';
  config.auths = { ...config.auths, [key]: { auth } };
  const file = configFile(call);
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${JSON.stringify(config, null, '\t')}\n`, { mode: 0o600 });
  await call.err(
    `\nWARNING! Your credentials are stored unencrypted in '${file}'.\nConfigure a credential helper to remove this warning.\n\n`,
  );
  await call.out('Login Succeeded\n');
  return 0;
}

async function logOut(_engine: Engine, call: Call, args: string[]): Promise<number> {
  const { rest } = parseFlags(args, {});
  const config = readConfig(call);
  const key = rest[0] ?? 'https://lab/v1/';
  if (!config.auths?.[key]) {
    await call.out(`Not logged in to ${rest[0] ?? 'the default registry'}\n`);
    return 0;
  }
  delete config.auths[key];
  writeFileSync(configFile(call), `${JSON.stringify(config, null, '\t')}\n`, { mode: 0o600 });
  await call.out(`Removing login credentials for ${rest[0] ?? 'the default registry'}\n`);
  return 0;
}

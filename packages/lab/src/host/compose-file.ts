import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { formatGoDuration, parseGoDuration } from './duration.ts';
import { parseEnvFile } from './env-file.ts';
import { InterpolationError, interpolate, type Lookup } from './interpolation.ts';

/** A Compose file that cannot be used; the message is what Compose would print. */
export class ComposeError extends Error {}

export interface PortMapping {
  mode: 'ingress';
  host_ip?: string;
  target: number;
  /** Empty: any free port. */
  published?: string;
  protocol: 'tcp';
}

export interface Mount {
  type: 'bind' | 'volume';
  /** Absolute path, name of a volume, or empty for an anonymous one. */
  source?: string;
  target: string;
  read_only?: boolean;
}

export interface HealthcheckConfig {
  test?: string[];
  interval?: string;
  timeout?: string;
  retries?: number;
  start_period?: string;
  start_interval?: string;
  disable?: boolean;
}

export interface Dependency {
  condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  required: boolean;
  restart?: boolean;
}

export interface BuildConfig {
  context: string;
  dockerfile?: string;
  args?: Record<string, string>;
  target?: string;
}

/** One service as `docker compose config` shows it. */
export interface ServiceConfig {
  build?: BuildConfig;
  command?: string[] | null;
  container_name?: string;
  depends_on?: Record<string, Dependency>;
  deploy?: { replicas?: number; [key: string]: unknown };
  entrypoint?: string[] | null;
  environment?: Record<string, string | null>;
  expose?: string[];
  healthcheck?: HealthcheckConfig;
  hostname?: string;
  image?: string;
  init?: boolean;
  labels?: Record<string, string>;
  logging?: unknown;
  networks?: Record<string, unknown>;
  ports?: PortMapping[];
  profiles?: string[];
  pull_policy?: string;
  restart?: string;
  scale?: number;
  stop_grace_period?: string;
  stop_signal?: string;
  volumes?: Mount[];
  working_dir?: string;
}

export interface Project {
  name: string;
  workingDirectory: string;
  files: string[];
  services: Record<string, ServiceConfig>;
  /** Services left out because none of their profiles is on. */
  disabled: Record<string, ServiceConfig>;
  networks: Record<string, unknown>;
  volumes: Record<string, { name: string; external?: boolean }>;
  /** The environment that a service's own `environment:` gives, where it has an `env_file:` besides. */
  ownEnvironment: Record<string, Record<string, string>>;
  warnings: string[];
}

export interface LoadOptions {
  cwd: string;
  /** The caller's environment: beats every env file. */
  environment: Record<string, string>;
  files?: string[];
  envFiles?: string[];
  projectDirectory?: string;
  projectName?: string;
  profiles?: string[];
}

type Raw = Record<string, unknown>;

// The order in which Compose looks for its file.
const DEFAULT_FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

const TOP_LEVEL = ['name', 'version', 'services', 'volumes', 'networks'];

/** Reads, interpolates, merges and checks a project as Compose does, for the subset of keys the engine can honour. */
export function loadProject(options: LoadOptions): Project {
  const { cwd, environment } = options;
  const given = options.files?.length
    ? options.files
    : (environment.COMPOSE_FILE?.split(environment.COMPOSE_PATH_SEPARATOR ?? ':') ?? []).filter(Boolean);
  const files = given.length
    ? given.map((file) => resolve(cwd, file))
    : discover(options.projectDirectory, cwd);
  const workingDirectory = options.projectDirectory
    ? resolve(cwd, options.projectDirectory)
    : dirname(files[0]!);
  const warnings: string[] = [];

  const envFiles = options.envFiles?.length
    ? options.envFiles
    : (environment.COMPOSE_ENV_FILES?.split(',') ?? []).filter(Boolean);
  const dotEnv = new Map<string, string>();
  const outside: Lookup = (name) => environment[name];
  if (envFiles.length) {
    for (const file of envFiles) {
      const path = resolve(cwd, file);
      if (!existsSync(path)) throw new ComposeError(`couldn't find env file: ${path}`);
      const seen: Lookup = (name) => environment[name] ?? dotEnv.get(name);
      for (const [name, value] of readEnv(path, seen)) dotEnv.set(name, value);
    }
  } else if (existsSync(join(workingDirectory, '.env'))) {
    for (const [name, value] of readEnv(join(workingDirectory, '.env'), outside)) dotEnv.set(name, value);
  }
  const lookup: Lookup = (name) => environment[name] ?? dotEnv.get(name);

  const unset = new Set<string>();
  const warn = (name: string) => {
    if (unset.has(name)) return;
    unset.add(name);
    warnings.push(`The "${name}" variable is not set. Defaulting to a blank string.`);
  };

  let named: string | undefined;
  const services: Record<string, ServiceConfig> = {};
  const networks: Record<string, unknown> = {};
  const volumes: Project['volumes'] = {};
  const envFilesOf = new Map<string, EnvFileRef[]>();
  const ownEnvironment: Project['ownEnvironment'] = {};
  const parsed = files.map((file) => ({ file, content: parse(file) }));
  for (const { file, content } of parsed) {
    for (const key of Object.keys(content)) {
      if (!TOP_LEVEL.includes(key) && !key.startsWith('x-')) throw unsupported(file, key);
    }
    if (content.name !== undefined) named = interpolateAll(content.name, 'name', lookup, warn) as string;
  }
  const name = projectName(options.projectName ?? lookup('COMPOSE_PROJECT_NAME'), named, workingDirectory);
  // ${COMPOSE_PROJECT_NAME} in a file means the resolved name.
  const withName: Lookup = (variable) => (variable === 'COMPOSE_PROJECT_NAME' ? name : lookup(variable));

  for (const { file, content } of parsed) {
    const entries = record(content.services ?? {}, `${file}: services`);
    for (const [service, raw] of Object.entries(entries)) {
      const where = `services.${service}`;
      if (!/^[a-zA-Z0-9._-]+$/.test(service)) throw new ComposeError(`${where}: invalid service name`);
      const plain = record(interpolateAll(raw ?? {}, where, withName, warn), where);
      const { service: next, envFiles: refs } = normalise(plain, where, workingDirectory, withName);
      const before = services[service];
      services[service] = before ? merge(before, next) : next;
      envFilesOf.set(service, [...(envFilesOf.get(service) ?? []), ...refs]);
    }
    for (const [volume, raw] of Object.entries(record(content.volumes ?? {}, `${file}: volumes`))) {
      const where = `volumes.${volume}`;
      const config = record(interpolateAll(raw ?? {}, where, withName, warn), where);
      for (const key of Object.keys(config)) {
        if (!['name', 'external', 'driver', 'labels'].includes(key)) throw unsupported(where, key);
      }
      const external = config.external === true;
      volumes[volume] = {
        name: typeof config.name === 'string' ? config.name : external ? volume : `${name}_${volume}`,
        ...(external ? { external } : {}),
      };
    }
    const nets = record(content.networks ?? {}, `${file}: networks`);
    Object.assign(networks, interpolateAll(nets, 'networks', withName, warn));
  }
  if (Object.keys(services).length === 0) throw new ComposeError('empty compose file');

  for (const [service, config] of Object.entries(services)) {
    for (const key of Object.keys(config) as Array<keyof ServiceConfig>) {
      if (config[key] === undefined) delete config[key];
    }
    if (!config.image && !config.build) {
      throw new ComposeError(
        `service "${service}" has neither an image nor a build context specified: invalid compose project`,
      );
    }
    if ((config.scale ?? config.deploy?.replicas ?? 1) > 1 && config.container_name) {
      throw new ComposeError(
        `services.${service}: can't set container_name and replicas at once: container name must be unique: invalid compose project`,
      );
    }
    for (const dependency of Object.keys(config.depends_on ?? {})) {
      if (!services[dependency] && config.depends_on![dependency]!.required) {
        throw new ComposeError(
          `service "${service}" depends on undefined service "${dependency}": invalid compose project`,
        );
      }
    }
    for (const mount of config.volumes ?? []) {
      if (mount.type === 'volume' && mount.source && !volumes[mount.source]) {
        throw new ComposeError(
          `service "${service}" refers to undefined volume ${mount.source}: invalid compose project`,
        );
      }
    }
    const environmentOf = new Map<string, string>();
    const own = new Map<string, string>();
    for (const ref of envFilesOf.get(service) ?? []) {
      if (!existsSync(ref.path)) {
        if (!ref.required) continue;
        throw new ComposeError(`env file ${ref.path} not found: stat ${ref.path}: no such file or directory`);
      }
      const seen: Lookup = (variable) => withName(variable) ?? environmentOf.get(variable);
      for (const [key, text] of readEnv(ref.path, seen, ref.literal)) environmentOf.set(key, text);
    }
    for (const [key, text] of Object.entries(config.environment ?? {})) {
      const found = text ?? withName(key);
      if (found === undefined) environmentOf.delete(key);
      else environmentOf.set(key, found);
      if (found !== undefined) own.set(key, found);
    }
    if (envFilesOf.get(service)?.length) ownEnvironment[service] = Object.fromEntries([...own].sort(byFirst));
    if (environmentOf.size) config.environment = Object.fromEntries([...environmentOf].sort(byFirst));
    else delete config.environment;
  }

  const wanted = new Set([
    ...(options.profiles ?? []),
    ...(lookup('COMPOSE_PROFILES')?.split(',').filter(Boolean) ?? []),
  ]);
  const project: Project = {
    name,
    workingDirectory,
    files,
    services: {},
    disabled: {},
    networks: { default: { name: `${name}_default`, ipam: {} }, ...networks },
    volumes,
    ownEnvironment,
    warnings,
  };
  for (const [service, config] of Object.entries(services).sort(byFirst)) {
    const profiles = config.profiles ?? [];
    const on = profiles.length === 0 || wanted.has('*') || profiles.some((profile) => wanted.has(profile));
    (on ? project.services : project.disabled)[service] = config;
  }
  return project;
}

function byFirst(a: [string, unknown], b: [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

function discover(projectDirectory: string | undefined, cwd: string): string[] {
  let at = resolve(cwd, projectDirectory ?? '.');
  for (;;) {
    const found = DEFAULT_FILES.find((file) => existsSync(join(at, file)));
    if (found) {
      const override = found.replace(/\.(ya?ml)$/, '.override.$1');
      const other = override.endsWith('.yml')
        ? override.replace(/yml$/, 'yaml')
        : override.replace(/yaml$/, 'yml');
      const overrides = [override, other].filter((file) => existsSync(join(at, file))).slice(0, 1);
      return [found, ...overrides].map((file) => join(at, file));
    }
    if (dirname(at) === at || projectDirectory !== undefined) {
      throw new ComposeError('no configuration file provided: not found');
    }
    at = dirname(at);
  }
}

function parse(file: string): Raw {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new ComposeError(`open ${file}: no such file or directory`);
  }
  // Merge keys (<<) and anchors are common in Compose files.
  const document = parseDocument(text, { merge: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new ComposeError(`yaml: ${file}: ${problem.message}`);
  return record(document.toJS() ?? {}, file);
}

function readEnv(path: string, lookup: Lookup, literal = false): Map<string, string> {
  try {
    return parseEnvFile(readFileSync(path, 'utf8'), lookup, { literal, file: path });
  } catch (error) {
    throw new ComposeError(error instanceof Error ? error.message : String(error));
  }
}

function projectName(asked: string | undefined, named: string | undefined, directory: string): string {
  const explicit = asked || named;
  if (explicit) {
    if (!/^[a-z0-9][a-z0-9_-]*$/.test(explicit)) {
      throw new ComposeError(
        `invalid project name "${explicit}": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
      );
    }
    return explicit;
  }
  const fromDirectory = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
  if (!fromDirectory) throw new ComposeError('project name must not be empty');
  return fromDirectory;
}

function interpolateAll(
  value: unknown,
  where: string,
  lookup: Lookup,
  warn: (name: string) => void,
): unknown {
  if (typeof value === 'string') {
    try {
      return interpolate(value, lookup, warn);
    } catch (error) {
      if (!(error instanceof InterpolationError)) throw error;
      throw new ComposeError(`error while interpolating ${where}: ${error.message}`);
    }
  }
  if (Array.isArray(value)) return value.map((item) => interpolateAll(item, `${where}.[]`, lookup, warn));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        interpolateAll(item, `${where}.${key}`, lookup, warn),
      ]),
    );
  }
  return value;
}

function unsupported(where: string, key: string): ComposeError {
  return new ComposeError(
    `${where}.${key} is not supported by the lab's process engine: it starts commands as processes and knows a subset of Compose`,
  );
}

function record(value: unknown, where: string): Raw {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new ComposeError(`${where} must be a mapping`);
  }
  return value as Raw;
}

function text(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new ComposeError(`${where} must be a string`);
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw new ComposeError(`${where} must be a list`);
  return value;
}

function integer(value: unknown, where: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0 || value === '')
    throw new ComposeError(`${where} must be a integer`);
  return number;
}

function boolean(value: unknown, where: string): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw new ComposeError(`${where} must be a boolean`);
}

function duration(value: unknown, where: string): string {
  const ms = parseGoDuration(text(value, where));
  if (ms === undefined) throw new ComposeError(`${where}: time: invalid duration "${String(value)}"`);
  return formatGoDuration(ms);
}

/** Words of a shell line as Compose splits `command:` and `entrypoint:` strings; quotes group, nothing expands. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at]!;
    if (quote) {
      if (char === quote) quote = '';
      else if (quote === '"' && char === '\\' && '"\\$`'.includes(line[at + 1] ?? ' ')) word += line[++at]!;
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (char === '\\' && at + 1 < line.length) {
      word = (word ?? '') + line[++at]!;
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote) throw new ComposeError(`invalid command line string: unterminated quote in ${line}`);
  if (word !== undefined) words.push(word);
  return words;
}

function words(value: unknown, where: string): string[] | null {
  if (value === null) return null;
  if (typeof value === 'string') return shellWords(value);
  return list(value, where).map((item) => text(item, where));
}

/** `K=V` lists and maps → a map; a key without a value is null. */
function pairs(value: unknown, where: string): Record<string, string | null> {
  if (Array.isArray(value)) {
    return Object.fromEntries(
      value.map((item) => {
        const entry = text(item, where);
        const at = entry.indexOf('=');
        return at < 0 ? [entry, null] : [entry.slice(0, at), entry.slice(at + 1)];
      }),
    );
  }
  return Object.fromEntries(
    Object.entries(record(value, where)).map(([key, item]) => [
      key,
      item === null ? null : text(item, `${where}.${key}`),
    ]),
  );
}

function port(value: unknown, where: string): PortMapping {
  if (typeof value === 'object' && value !== null) {
    const long = record(value, where);
    for (const key of Object.keys(long)) {
      if (!['target', 'published', 'host_ip', 'protocol', 'mode', 'name', 'app_protocol'].includes(key)) {
        throw unsupported(where, key);
      }
    }
    if ((long.protocol ?? 'tcp') !== 'tcp') throw unsupported(where, `protocol: ${String(long.protocol)}`);
    return {
      mode: 'ingress',
      ...(long.host_ip ? { host_ip: text(long.host_ip, where) } : {}),
      target: integer(long.target, `${where}.target`),
      ...(long.published === undefined ? {} : { published: text(long.published, where) }),
      protocol: 'tcp',
    };
  }
  const written = text(value, where);
  const match = /^(?:(?:(\d+\.\d+\.\d+\.\d+):)?(\d*):)?(\d+)(?:\/(\w+))?$/.exec(written);
  if (!match || (match[4] ?? 'tcp') !== 'tcp') throw unsupported(where, `"${written}"`);
  return {
    mode: 'ingress',
    ...(match[1] ? { host_ip: match[1] } : {}),
    target: integer(match[3], where),
    ...(match[2] ? { published: match[2] } : {}),
    protocol: 'tcp',
  };
}

function mount(value: unknown, where: string, directory: string, lookup: Lookup): Mount {
  const path = (source: string) => {
    if (source.startsWith('~')) return join(lookup('HOME') ?? '~', source.slice(1));
    return isAbsolute(source) ? source : resolve(directory, source);
  };
  if (typeof value === 'object' && value !== null) {
    const long = record(value, where);
    for (const key of Object.keys(long)) {
      if (!['type', 'source', 'target', 'read_only', 'volume', 'bind', 'consistency'].includes(key)) {
        throw unsupported(where, key);
      }
    }
    if (long.type !== 'bind' && long.type !== 'volume')
      throw unsupported(where, `type: ${String(long.type)}`);
    const source = long.source === undefined ? undefined : text(long.source, where);
    return {
      type: long.type,
      ...(source === undefined ? {} : { source: long.type === 'bind' ? path(source) : source }),
      target: text(long.target, `${where}.target`),
      ...(long.read_only === true ? { read_only: true } : {}),
    };
  }
  const parts = text(value, where).split(':');
  if (parts.length === 1) return { type: 'volume', target: parts[0]! };
  const [source, target, mode] = parts as [string, string, string?];
  const bind = /^[./~]/.test(source);
  return {
    type: bind ? 'bind' : 'volume',
    source: bind ? path(source) : source,
    target,
    ...(mode?.split(',').includes('ro') ? { read_only: true } : {}),
  };
}

function healthcheck(value: unknown, where: string): HealthcheckConfig {
  const raw = record(value, where);
  const result: HealthcheckConfig = {};
  for (const [key, item] of Object.entries(raw)) {
    const at = `${where}.${key}`;
    if (key === 'test') {
      result.test =
        typeof item === 'string' ? ['CMD-SHELL', item] : list(item, at).map((word) => text(word, at));
      if (!['NONE', 'CMD', 'CMD-SHELL'].includes(result.test[0] ?? '')) {
        throw new ComposeError(`${at}: must start either by "CMD", "CMD-SHELL" or "NONE"`);
      }
    } else if (
      key === 'interval' ||
      key === 'timeout' ||
      key === 'start_period' ||
      key === 'start_interval'
    ) {
      result[key] = duration(item, at);
    } else if (key === 'retries') result.retries = integer(item, at);
    else if (key === 'disable') result.disable = boolean(item, at);
    else throw unsupported(where, key);
  }
  return result;
}

function dependencies(value: unknown, where: string): Record<string, Dependency> {
  if (Array.isArray(value)) {
    return Object.fromEntries(
      value.map((name) => [text(name, where), { condition: 'service_started', required: true }]),
    );
  }
  return Object.fromEntries(
    Object.entries(record(value, where)).map(([name, item]) => {
      const raw = record(item, `${where}.${name}`);
      for (const key of Object.keys(raw)) {
        if (!['condition', 'required', 'restart'].includes(key)) throw unsupported(`${where}.${name}`, key);
      }
      const condition = text(raw.condition ?? 'service_started', `${where}.${name}.condition`);
      if (!['service_started', 'service_healthy', 'service_completed_successfully'].includes(condition)) {
        throw new ComposeError(
          `${where}.${name}.condition must be one of the following: "service_started", "service_healthy", "service_completed_successfully"`,
        );
      }
      return [
        name,
        {
          condition: condition as Dependency['condition'],
          required: raw.required !== false,
          ...(raw.restart === true ? { restart: true } : {}),
        },
      ];
    }),
  );
}

interface EnvFileRef {
  path: string;
  required: boolean;
  literal: boolean;
}

function envFileRefs(value: unknown, where: string, directory: string): EnvFileRef[] {
  const entries = Array.isArray(value) ? value : [value];
  return entries.map((entry) => {
    if (typeof entry === 'string') return { path: resolve(directory, entry), required: true, literal: false };
    const raw = record(entry, where);
    for (const key of Object.keys(raw)) {
      if (!['path', 'required', 'format'].includes(key)) throw unsupported(where, key);
    }
    return {
      path: resolve(directory, text(raw.path, `${where}.path`)),
      required: raw.required !== false,
      literal: raw.format === 'raw',
    };
  });
}

function normalise(
  raw: Raw,
  where: string,
  directory: string,
  lookup: Lookup,
): { service: ServiceConfig; envFiles: EnvFileRef[] } {
  const service: ServiceConfig = {};
  let envFiles: EnvFileRef[] = [];
  for (const [key, value] of Object.entries(raw)) {
    const at = `${where}.${key}`;
    switch (key) {
      case 'image':
      case 'container_name':
      case 'working_dir':
      case 'hostname':
      case 'stop_signal':
      case 'pull_policy':
        service[key] = text(value, at);
        break;
      case 'restart': {
        const policy = text(value, at);
        if (!/^(no|always|unless-stopped|on-failure(:\d+)?)$/.test(policy === 'false' ? 'no' : policy)) {
          throw new ComposeError(`${at}: invalid restart policy: unknown policy '${policy}'`);
        }
        service.restart = policy === 'false' ? 'no' : policy;
        break;
      }
      case 'stop_grace_period':
        service.stop_grace_period = duration(value, at);
        break;
      case 'command':
      case 'entrypoint':
        service[key] = words(value, at);
        break;
      case 'environment':
        service.environment = pairs(value, at);
        break;
      case 'env_file':
        envFiles = envFileRefs(value, at, directory);
        break;
      case 'labels':
        service.labels = Object.fromEntries(
          Object.entries(pairs(value, at)).map(([name, content]) => [name, content ?? '']),
        );
        break;
      case 'ports':
        service.ports = list(value, at).map((item) => port(item, at));
        break;
      case 'volumes':
        service.volumes = list(value, at).map((item) => mount(item, at, directory, lookup));
        break;
      case 'expose':
      case 'profiles':
        service[key] = list(value, at).map((item) => text(item, at));
        break;
      case 'depends_on':
        service.depends_on = dependencies(value, at);
        break;
      case 'healthcheck':
        service.healthcheck = healthcheck(value, at);
        break;
      case 'networks':
        service.networks = Array.isArray(value)
          ? Object.fromEntries(value.map((name) => [text(name, at), null]))
          : record(value, at);
        break;
      case 'scale':
        service.scale = integer(value, at);
        break;
      case 'init':
        service.init = boolean(value, at);
        break;
      case 'logging':
        service.logging = value;
        break;
      case 'deploy': {
        const deploy = record(value, at);
        for (const part of Object.keys(deploy)) {
          // resources and the Swarm update settings change nothing about a plain `up` that processes could show.
          if (!['replicas', 'resources', 'update_config', 'rollback_config', 'labels'].includes(part)) {
            throw unsupported(at, part);
          }
        }
        service.deploy = {
          ...deploy,
          ...(deploy.replicas === undefined ? {} : { replicas: integer(deploy.replicas, `${at}.replicas`) }),
        };
        break;
      }
      case 'build': {
        const build = typeof value === 'string' ? { context: value } : record(value, at);
        for (const part of Object.keys(build)) {
          if (!['context', 'dockerfile', 'args', 'target'].includes(part)) throw unsupported(at, part);
        }
        const args = build.args === undefined ? undefined : pairs(build.args, `${at}.args`);
        service.build = {
          context: resolve(directory, text(build.context ?? '.', `${at}.context`)),
          ...(build.dockerfile === undefined ? {} : { dockerfile: text(build.dockerfile, at) }),
          ...(args
            ? {
                args: Object.fromEntries(
                  Object.entries(args).map(([name, content]) => [name, content ?? lookup(name) ?? '']),
                ),
              }
            : {}),
          ...(build.target === undefined ? {} : { target: text(build.target, at) }),
        };
        break;
      }
      default:
        if (!key.startsWith('x-')) throw unsupported(where, key);
    }
  }
  return { service, envFiles };
}

/** An override file laid over what stood before: maps merge, ports and mounts are added, commands are replaced. */
function merge(base: ServiceConfig, over: ServiceConfig): ServiceConfig {
  const merged: ServiceConfig = { ...base, ...over };
  for (const key of [
    'environment',
    'labels',
    'depends_on',
    'networks',
    'deploy',
    'healthcheck',
    'build',
  ] as const) {
    if (base[key] && over[key]) (merged as Raw)[key] = { ...(base[key] as Raw), ...(over[key] as Raw) };
  }
  if (base.ports && over.ports) {
    const seen = new Map([...base.ports, ...over.ports].map((item) => [JSON.stringify(item), item]));
    merged.ports = [...seen.values()];
  }
  if (base.volumes && over.volumes) {
    merged.volumes = [
      ...new Map([...base.volumes, ...over.volumes].map((item) => [item.target, item])).values(),
    ];
  }
  for (const key of ['expose', 'profiles'] as const) {
    if (base[key] && over[key]) merged[key] = [...new Set([...base[key], ...over[key]])];
  }
  return merged;
}

/**
 * Hash by which `up` decides whether a service's container is still right. As in Compose (pkg/compose/hash.go) it
 * leaves out build, pull policy, scale, replicas, dependencies and profiles, and covers the image string.
 */
export function configHash(service: ServiceConfig): string {
  const { build: _b, pull_policy: _p, scale: _s, depends_on: _d, profiles: _r, deploy, ...rest } = service;
  const { replicas: _n, ...deployRest } = deploy ?? {};
  // What `config` writes out for a service that says nothing of it.
  if (rest.command === null) delete rest.command;
  if (rest.entrypoint === null) delete rest.entrypoint;
  if (canonical(rest.networks) === '{"default":null}') delete rest.networks;
  const hashed = Object.keys(deployRest).length ? { ...rest, deploy: deployRest } : rest;
  return createHash('sha256').update(canonical(hashed)).digest('hex');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(byFirst);
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

/** The image a service runs: its own, or the name Compose gives to what it builds. */
export function imageOf(project: Project, service: string): string {
  const config = project.services[service] ?? project.disabled[service];
  return config?.image ?? `${project.name}-${service}`;
}

/** How many containers a service wants. */
export function replicasOf(service: ServiceConfig): number {
  return service.scale ?? service.deploy?.replicas ?? 1;
}

/** Services in the order in which they start: what is depended on comes first. */
export function startOrder(project: Project, wanted: string[], withDependencies: boolean): string[] {
  const order: string[] = [];
  const visiting: string[] = [];
  const visit = (name: string) => {
    if (order.includes(name)) return;
    if (visiting.includes(name)) {
      throw new ComposeError(
        `dependency cycle detected: ${[...visiting, name].join(' -> ')}: invalid compose project`,
      );
    }
    visiting.push(name);
    for (const dependency of Object.keys(project.services[name]?.depends_on ?? {})) {
      if (project.services[dependency] && (withDependencies || wanted.includes(dependency)))
        visit(dependency);
    }
    visiting.pop();
    order.push(name);
  };
  for (const name of wanted) visit(name);
  return order;
}

/** What `docker compose config --format json` prints; `$` is doubled, because the output is a Compose file again. */
export function renderConfig(project: Project): Record<string, unknown> {
  const services = Object.fromEntries(
    Object.entries(project.services).map(([name, service]) => [
      name,
      {
        ...service,
        command: service.command ?? null,
        entrypoint: service.entrypoint ?? null,
        networks: service.networks ?? { default: null },
      },
    ]),
  );
  return escapeDollars({
    name: project.name,
    networks: project.networks,
    services,
    ...(Object.keys(project.volumes).length ? { volumes: project.volumes } : {}),
  }) as Record<string, unknown>;
}

function escapeDollars(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$');
  if (Array.isArray(value)) return value.map(escapeDollars);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escapeDollars(item)]));
  }
  return value;
}

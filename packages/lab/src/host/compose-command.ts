import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stringify } from 'yaml';
import {
  ComposeError,
  configHash,
  imageOf,
  loadProject,
  type Project,
  renderConfig,
  replicasOf,
  type ServiceConfig,
  shellWords,
  startOrder,
} from './compose-file.ts';
import type { Container, ContainerMount, ContainerSpec, Healthcheck, PublishedPort } from './container.ts';
import {
  columns,
  describePorts,
  describeStatus,
  environmentOf,
  execute,
  storedCredentials,
  tailOf,
} from './docker-command.ts';
import { buildImage } from './dockerfile.ts';
import { parseGoDuration } from './duration.ts';
import type { Call, Engine, NewContainer } from './engine.ts';
import { type FlagKind, type Parsed, parseFlags, UsageError } from './flags.ts';
import { DaemonError, type Image } from './images.ts';

const COMPOSE_VERSION = '2.40.3';

interface Context {
  engine: Engine;
  call: Call;
  project: Project;
  /** No file was found: only names and labels of existing containers are known. */
  bare: boolean;
  say(container: string, what: string): Promise<void>;
}

type Verb = (context: Context, args: string[]) => Promise<number>;

const VERBS: Record<string, Verb> = {
  config: showConfig,
  pull: pullImages,
  build: buildImages,
  up,
  down,
  create: (context, args) => up(context, ['--no-start', ...args]),
  stop: stopServices,
  start: startServices,
  restart: restartServices,
  rm: removeServices,
  ps: listServices,
  logs: showLogs,
  run: runOnce,
  exec: execInService,
};

// Verbs that Compose can do from labels alone when there is no file.
const WITHOUT_FILE = ['down', 'stop', 'start', 'restart', 'rm', 'ps', 'logs', 'exec'];

const GLOBAL: Record<string, FlagKind> = {
  file: 'list',
  'project-name': 'value',
  'project-directory': 'value',
  'env-file': 'list',
  profile: 'list',
  progress: 'value',
  ansi: 'value',
  parallel: 'value',
};

/** Runs `docker compose <args>`. */
export async function runCompose(engine: Engine, call: Call, args: string[]): Promise<number> {
  const flags = parseFlags(args, GLOBAL, { f: 'file', p: 'project-name' }, true);
  const [name, ...rest] = flags.rest;
  if (name === 'version') {
    const short = parseFlags(rest, { short: 'boolean', format: 'value' }, { f: 'format' });
    if (short.values.format === 'json')
      await call.out(`${JSON.stringify({ version: `v${COMPOSE_VERSION}` })}\n`);
    else
      await call.out(
        short.on.has('short') ? `${COMPOSE_VERSION}\n` : `Docker Compose version v${COMPOSE_VERSION}\n`,
      );
    return 0;
  }
  const verb = name === undefined ? undefined : VERBS[name];
  if (!verb || name === undefined) {
    throw new UsageError(
      `unknown docker command: "compose ${name ?? ''}"; the lab's process engine knows: ${Object.keys(VERBS).join(', ')}, version`,
    );
  }
  const projectName = flags.values['project-name'];
  let project: Project;
  let bare = false;
  try {
    project = loadProject({
      cwd: call.cwd,
      environment: call.env,
      files: flags.lists.file ?? [],
      envFiles: flags.lists['env-file'] ?? [],
      profiles: flags.lists.profile ?? [],
      ...(flags.values['project-directory'] ? { projectDirectory: flags.values['project-directory'] } : {}),
      ...(projectName ? { projectName } : {}),
    });
  } catch (error) {
    const noFile =
      error instanceof ComposeError && error.message.startsWith('no configuration file provided');
    if (!noFile || !projectName || !WITHOUT_FILE.includes(name)) throw error;
    bare = true;
    project = fromLabels(engine, projectName, call.cwd);
  }
  for (const warning of project.warnings) {
    await call.err(`time="${new Date().toISOString()}" level=warning msg=${JSON.stringify(warning)}\n`);
  }
  const quiet = flags.values.progress === 'quiet';
  const say = async (container: string, what: string) => {
    if (!quiet) await call.err(` ${container}  ${what}\n`);
  };
  return verb({ engine, call, project, bare, say }, rest);
}

function fromLabels(engine: Engine, name: string, cwd: string): Project {
  const services: Record<string, ServiceConfig> = {};
  for (const container of engine.all()) {
    const { labels } = container.spec;
    if (labels['com.docker.compose.project'] !== name) continue;
    services[labels['com.docker.compose.service'] ?? ''] = { image: container.spec.imageRef };
  }
  return {
    name,
    workingDirectory: cwd,
    files: [],
    services,
    disabled: {},
    networks: {},
    volumes: {},
    ownEnvironment: {},
    warnings: [],
  };
}

function ofProject({ engine, project }: Context): Container[] {
  return engine
    .all()
    .filter((container) => container.spec.labels['com.docker.compose.project'] === project.name);
}

function ofService(context: Context, service: string): Container[] {
  const number = (container: Container) =>
    Number(container.spec.labels['com.docker.compose.container-number'] ?? 0);
  return ofProject(context)
    .filter(({ spec }) => spec.labels['com.docker.compose.service'] === service)
    .filter(({ spec }) => spec.labels['com.docker.compose.oneoff'] !== 'True')
    .sort((a, b) => number(a) - number(b));
}

/** The services asked for; naming one whose profile is off turns it on, as in Compose. */
function select({ project }: Context, names: string[]): string[] {
  for (const name of names) {
    if (project.services[name]) continue;
    const disabled = project.disabled[name];
    if (!disabled) throw new ComposeError(`no such service: ${name}`);
    project.services[name] = disabled;
    delete project.disabled[name];
  }
  return names.length ? names : Object.keys(project.services);
}

async function showConfig(context: Context, args: string[]): Promise<number> {
  const { call, project } = context;
  const { on, values, rest } = parseFlags(
    args,
    {
      services: 'boolean',
      images: 'boolean',
      profiles: 'boolean',
      volumes: 'boolean',
      quiet: 'boolean',
      hash: 'value',
      format: 'value',
      output: 'value',
    },
    { q: 'quiet', o: 'output' },
  );
  const names = select(context, rest);
  if (on.has('quiet')) return 0;
  if (on.has('services')) await call.out(names.map((name) => `${name}\n`).join(''));
  else if (on.has('images')) {
    await call.out([...new Set(names.map((name) => `${imageOf(project, name)}\n`))].join(''));
  } else if (on.has('volumes')) {
    await call.out(
      Object.keys(project.volumes)
        .map((name) => `${name}\n`)
        .join(''),
    );
  } else if (on.has('profiles')) {
    const all = [...Object.values(project.services), ...Object.values(project.disabled)];
    await call.out(
      [...new Set(all.flatMap((service) => service.profiles ?? []))].map((name) => `${name}\n`).join(''),
    );
  } else if (values.hash !== undefined) {
    const wanted = values.hash === '*' ? Object.keys(project.services) : values.hash.split(',');
    for (const name of select(context, wanted)) {
      // As Compose 2.26 to 2.40 do: what `env_file` sets is left out here, and is in the label of a container.
      const { [name]: environment = project.services[name]!.environment } = project.ownEnvironment;
      await call.out(`${name} ${configHash(withEnvironment(project.services[name]!, environment))}\n`);
    }
  } else {
    const config = renderConfig(project);
    await call.out(values.format === 'json' ? `${JSON.stringify(config, null, 2)}\n` : stringify(config));
  }
  return 0;
}

function withEnvironment(service: ServiceConfig, environment: ServiceConfig['environment']): ServiceConfig {
  const { environment: _, ...rest } = service;
  return Object.keys(environment ?? {}).length > 0 ? { ...rest, environment } : rest;
}

async function pullImages(context: Context, args: string[]): Promise<number> {
  const { on, values, rest } = parseFlags(
    args,
    {
      quiet: 'boolean',
      'ignore-buildable': 'boolean',
      'ignore-pull-failures': 'boolean',
      'include-deps': 'boolean',
      policy: 'value',
    },
    { q: 'quiet' },
  );
  const { engine, call, project } = context;
  const say = on.has('quiet') ? async () => {} : context.say;
  const names = startOrder(project, select(context, rest), on.has('include-deps') || rest.length === 0);
  let failure: unknown;
  for (const name of names) {
    const service = project.services[name]!;
    if (!service.image || (service.build && on.has('ignore-buildable'))) {
      await say(name, 'Skipped - No image to be pulled');
      continue;
    }
    if (service.pull_policy === 'never' || service.pull_policy === 'build') {
      await say(name, `Skipped - Pull policy ${service.pull_policy}`);
      continue;
    }
    if (values.policy === 'missing' && engine.images.find(service.image)) {
      await say(name, 'Skipped - Image is already present locally');
      continue;
    }
    await say(name, 'Pulling');
    try {
      await engine.images.pull(service.image, { credentials: storedCredentials(call), signal: call.signal });
      await say(name, 'Pulled');
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      await say(name, `Error ${error.message}`);
      failure ??= error;
    }
  }
  if (failure && !on.has('ignore-pull-failures')) throw failure;
  return 0;
}

async function buildImages(context: Context, args: string[]): Promise<number> {
  const { lists, rest } = parseFlags(
    args,
    { quiet: 'boolean', 'no-cache': 'boolean', pull: 'boolean', progress: 'value', 'build-arg': 'list' },
    { q: 'quiet' },
  );
  const { engine, call, project, say } = context;
  const extra = environmentOf(lists['build-arg'] ?? [], call);
  for (const name of startOrder(project, select(context, rest), rest.length === 0)) {
    const { build } = project.services[name]!;
    if (!build) continue;
    await say(name, 'Building');
    await buildImage(engine.images, build, imageOf(project, name), {
      extra,
      credentials: storedCredentials(call),
    });
    await say(name, 'Built');
  }
  return 0;
}

async function ensureImage(context: Context, name: string, flags: Parsed): Promise<Image> {
  const { engine, call, project, say } = context;
  const service = project.services[name]!;
  const reference = imageOf(project, name);
  const policy = flags.values.pull ?? service.pull_policy ?? 'missing';
  const here = engine.images.find(reference);
  const build = async () => {
    await say(name, 'Building');
    await buildImage(engine.images, service.build!, reference, {
      extra: {},
      credentials: storedCredentials(call),
    });
    await say(name, 'Built');
    return engine.images.require(reference);
  };
  if (service.build && (flags.on.has('build') || policy === 'build') && !flags.on.has('no-build'))
    return build();
  if (policy === 'never' || (here && policy !== 'always')) {
    if (here) return here;
    if (!service.build || flags.on.has('no-build')) throw new DaemonError(`No such image: ${reference}`);
  }
  if (service.build && !service.image) {
    if (flags.on.has('no-build')) throw new DaemonError(`No such image: ${reference}`);
    return build();
  }
  await say(name, 'Pulling');
  try {
    await engine.images.pull(reference, { credentials: storedCredentials(call), signal: call.signal });
    await say(name, 'Pulled');
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    if (service.build && !flags.on.has('no-build')) return build();
    await say(name, `Error ${error.message}`);
    throw error;
  }
  return engine.images.require(reference);
}

/** How a service's container is made, from its Compose config and its image. */
function specOf(context: Context, name: string, image: Image, number: number): NewContainer {
  const { engine, project } = context;
  const service = project.services[name]!;
  const imageEnvironment = Object.fromEntries(
    (image.config.Env ?? []).map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  const environment = Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([key, value]) => [key, value ?? '']),
  );
  const ports = (service.ports ?? []).map((port): PublishedPort => {
    const hostIp = port.host_ip ?? '';
    const everywhere = hostIp === '' || hostIp === '0.0.0.0' || hostIp === engine.settings.address;
    if (!everywhere && !hostIp.startsWith('127.')) {
      throw new DaemonError(`cannot publish on ${hostIp}: cannot assign requested address`);
    }
    return {
      host: everywhere ? engine.settings.address : engine.loopback,
      hostIp,
      published: Number(port.published || 0),
      target: port.target,
    };
  });
  const mounts = (service.volumes ?? []).map((mount): ContainerMount => {
    const common = { target: mount.target, readOnly: mount.read_only === true };
    if (mount.type === 'bind') return { ...common, type: 'bind', source: mount.source! };
    const volume = mount.source ? project.volumes[mount.source]! : undefined;
    const volumeName =
      volume?.name ?? `${project.name}_${name}_${number}_${mount.target.replace(/[^a-zA-Z0-9]+/g, '_')}`;
    const source = engine.volumeDirectory(volumeName);
    if (volume?.external && !existsSync(source)) {
      throw new ComposeError(`external volume "${volumeName}" not found`);
    }
    return { ...common, type: 'volume', name: volumeName, source };
  });
  const [policy = 'no', max = '0'] = (service.restart ?? 'no').split(':');
  const stopSignal = (service.stop_signal ?? image.config.StopSignal ?? 'SIGTERM').replace(/^(SIG)?/, 'SIG');
  const healthcheck = healthcheckOf(service, image);
  return {
    name: nameOf(project, name, number),
    imageRef: imageOf(project, name),
    image,
    entrypoint: service.entrypoint ?? image.config.Entrypoint ?? [],
    // An entrypoint of the service's own drops the image's command, as in Docker.
    command: service.command ?? (service.entrypoint ? [] : (image.config.Cmd ?? [])),
    environment: {
      ...imageEnvironment,
      ...environment,
      ...(service.hostname ? { HOSTNAME: service.hostname } : {}),
    },
    workingDirectory: service.working_dir ?? image.config.WorkingDir ?? '/',
    labels: {
      ...image.config.Labels,
      ...service.labels,
      'com.docker.compose.project': project.name,
      'com.docker.compose.service': name,
      'com.docker.compose.oneoff': 'False',
      'com.docker.compose.container-number': String(number),
      'com.docker.compose.config-hash': configHash(service),
      'com.docker.compose.image': image.id,
      'com.docker.compose.project.working_dir': project.workingDirectory,
      'com.docker.compose.project.config_files': project.files.join(','),
      'com.docker.compose.depends_on': Object.entries(service.depends_on ?? {})
        .map(([dependency, { condition, restart }]) => `${dependency}:${condition}:${restart ?? false}`)
        .join(','),
      'com.docker.compose.version': COMPOSE_VERSION,
    },
    ports,
    mounts,
    ...(healthcheck ? { healthcheck } : {}),
    restart: { policy: policy as ContainerSpec['restart']['policy'], max: Number(max) },
    stopSignal: stopSignal as NodeJS.Signals,
    stopGraceMs: parseGoDuration(service.stop_grace_period ?? '10s') ?? 10_000,
    network: `${project.name}_${Object.keys(service.networks ?? { default: null })[0] ?? 'default'}`,
  };
}

function nameOf(project: Project, service: string, number: number): string {
  return project.services[service]!.container_name ?? `${project.name}-${service}-${number}`;
}

/** The service's health check over the image's, with Docker's defaults (30 s, 30 s, 3 tries, 5 s while starting). */
function healthcheckOf(service: ServiceConfig, image: Image): Healthcheck | undefined {
  const own = service.healthcheck;
  const inherited = image.config.Healthcheck;
  const test = own?.test ?? inherited?.Test;
  if (own?.disable || !test || test.length === 0 || test[0] === 'NONE') return undefined;
  const ms = (text: string | undefined, ns: number | undefined, otherwise: number) =>
    (text === undefined ? undefined : parseGoDuration(text)) || (ns ? ns / 1e6 : otherwise);
  return {
    test,
    intervalMs: ms(own?.interval, inherited?.Interval, 30_000),
    timeoutMs: ms(own?.timeout, inherited?.Timeout, 30_000),
    startPeriodMs: ms(own?.start_period, inherited?.StartPeriod, 0),
    startIntervalMs: ms(own?.start_interval, inherited?.StartInterval, 5_000),
    retries: own?.retries || inherited?.Retries || 3,
  };
}

async function up(context: Context, args: string[]): Promise<number> {
  const flags = parseFlags(
    args,
    {
      detach: 'boolean',
      build: 'boolean',
      'no-build': 'boolean',
      'no-deps': 'boolean',
      'no-recreate': 'boolean',
      'no-start': 'boolean',
      'force-recreate': 'boolean',
      'remove-orphans': 'boolean',
      'quiet-pull': 'boolean',
      wait: 'boolean',
      'wait-timeout': 'value',
      pull: 'value',
      timeout: 'value',
      scale: 'list',
    },
    { d: 'detach', t: 'timeout' },
  );
  const { call, project, say } = context;
  if (!flags.on.has('detach') && !flags.on.has('no-start') && !flags.on.has('wait')) {
    throw new UsageError("the lab's process engine runs `docker compose up` only detached: add -d");
  }
  if (flags.values.pull && !['always', 'missing', 'never'].includes(flags.values.pull)) {
    throw new ComposeError(`invalid --pull option "${flags.values.pull}"`);
  }
  for (const pair of flags.lists.scale ?? []) {
    const [name = '', count] = pair.split('=');
    if (!project.services[name] || !/^\d+$/.test(count ?? ''))
      throw new ComposeError(`invalid --scale option "${pair}"`);
    project.services[name] = { ...project.services[name], scale: Number(count) };
  }
  const names = select(context, flags.rest);
  const order = startOrder(project, names, !flags.on.has('no-deps'));
  const images = new Map<string, Image>();
  for (const name of order) images.set(name, await ensureImage(context, name, flags));

  const known = new Set([...Object.keys(project.services), ...Object.keys(project.disabled)]);
  const orphans = ofProject(context).filter(
    ({ spec }) =>
      spec.labels['com.docker.compose.oneoff'] !== 'True' &&
      !known.has(spec.labels['com.docker.compose.service'] ?? ''),
  );
  if (orphans.length && flags.on.has('remove-orphans')) {
    for (const orphan of orphans) await stopAndRemove(context, orphan);
  } else if (orphans.length) {
    const list = orphans.map((orphan) => orphan.name).join(' ');
    await call.err(
      `time="${new Date().toISOString()}" level=warning msg="Found orphan containers ([${list}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up."\n`,
    );
  }

  const graceMs = flags.values.timeout === undefined ? undefined : Number(flags.values.timeout) * 1000;
  for (const name of order) {
    call.signal.throwIfAborted();
    const force = flags.on.has('force-recreate') && names.includes(name);
    await reconcile(context, name, images.get(name)!, {
      force,
      keep: flags.on.has('no-recreate'),
      graceMs,
      order,
    });
  }
  if (flags.on.has('no-start')) return 0;
  for (const name of order) {
    await waitForDependencies(context, name, order);
    for (const container of ofService(context, name)) {
      call.signal.throwIfAborted();
      if (container.status === 'running') {
        await say(`Container ${container.name}`, 'Running');
        continue;
      }
      await say(`Container ${container.name}`, 'Starting');
      await container.start();
      await say(`Container ${container.name}`, 'Started');
    }
  }
  if (flags.on.has('wait')) {
    const limit =
      flags.values['wait-timeout'] === undefined ? undefined : Number(flags.values['wait-timeout']) * 1000;
    await waitForAll(context, order, limit);
  }
  return 0;
}

/** Creates, recreates and removes a service's containers until they match the file; starts none. */
async function reconcile(
  context: Context,
  name: string,
  image: Image,
  {
    force,
    keep,
    graceMs,
    order,
  }: { force: boolean; keep: boolean; graceMs: number | undefined; order: string[] },
): Promise<void> {
  const { engine, project, call, say } = context;
  const service = project.services[name]!;
  const wanted = replicasOf(service);
  const hash = configHash(service);
  const diverged = (container: Container) =>
    force ||
    container.spec.labels['com.docker.compose.config-hash'] !== hash ||
    container.spec.labels['com.docker.compose.image'] !== image.id;
  let actual = ofService(context, name);
  if (actual.length > wanted) {
    // Those that no longer fit go first, then the newest.
    const ranked = [...actual].sort(
      (a, b) => Number(diverged(a)) - Number(diverged(b)) || a.created.getTime() - b.created.getTime(),
    );
    for (const container of ranked.slice(wanted)) await stopAndRemove(context, container, graceMs);
    actual = actual.filter((container) => !ranked.slice(wanted).includes(container));
  }
  for (const old of actual) {
    if (keep || !diverged(old)) continue;
    const number = Number(old.spec.labels['com.docker.compose.container-number']);
    const spec = specOf(context, name, image, number);
    await say(`Container ${old.name}`, 'Recreate');
    // Only services of this `up`: nobody would start the others again.
    for (const dependent of order) {
      if (!project.services[dependent]?.depends_on?.[name]?.restart) continue;
      for (const container of ofService(context, dependent)) await container.stop();
    }
    const fresh = await engine.create({ ...spec, name: `${old.id.slice(0, 12)}_${spec.name}` });
    call.signal.throwIfAborted();
    await old.stop(graceMs);
    call.signal.throwIfAborted();
    await engine.remove(old);
    call.signal.throwIfAborted();
    engine.rename(fresh, spec.name);
    await say(`Container ${spec.name}`, 'Recreated');
  }
  const numbers = new Set(
    actual.map(({ spec }) => Number(spec.labels['com.docker.compose.container-number'])),
  );
  for (let number = 1, have = actual.length; have < wanted; number++) {
    if (numbers.has(number)) continue;
    const spec = specOf(context, name, image, number);
    await say(`Container ${spec.name}`, 'Creating');
    await engine.create(spec);
    await say(`Container ${spec.name}`, 'Created');
    have += 1;
  }
}

async function stopAndRemove(
  { engine, say }: Context,
  container: Container,
  graceMs?: number,
): Promise<void> {
  await say(`Container ${container.name}`, 'Stopping');
  await container.stop(graceMs);
  await say(`Container ${container.name}`, 'Stopped');
  await engine.remove(container);
  await say(`Container ${container.name}`, 'Removed');
}

async function waitForDependencies(context: Context, name: string, order: string[]): Promise<void> {
  const { project, call, say } = context;
  for (const [dependency, { condition, required }] of Object.entries(
    project.services[name]!.depends_on ?? {},
  )) {
    if (!order.includes(dependency) || condition === 'service_started') continue;
    for (const container of ofService(context, dependency)) {
      await say(`Container ${container.name}`, 'Waiting');
      for (;;) {
        call.signal.throwIfAborted();
        let answer: boolean;
        try {
          answer = condition === 'service_healthy' ? isHealthy(container) : isComplete(container, dependency);
        } catch (error) {
          await say(`Container ${container.name}`, 'Error');
          if (required) throw error;
          await call.err(`optional dependency "${dependency}" failed to start: ${String(error)}\n`);
          break;
        }
        if (answer) {
          await say(`Container ${container.name}`, condition === 'service_healthy' ? 'Healthy' : 'Exited');
          break;
        }
        await container.changed(500);
      }
    }
  }
}

function isHealthy(container: Container): boolean {
  if (container.status === 'exited') {
    throw new ComposeError(
      `dependency failed to start: container ${container.name} exited (${container.exitCode})`,
    );
  }
  if (!container.spec.healthcheck) {
    throw new ComposeError(
      `dependency failed to start: container ${container.name} has no healthcheck configured`,
    );
  }
  if (container.status !== 'running') return false;
  if (container.health?.Status === 'unhealthy') {
    throw new ComposeError(`dependency failed to start: container ${container.name} is unhealthy`);
  }
  return container.health?.Status === 'healthy';
}

function isComplete(container: Container, service: string): boolean {
  if (container.status !== 'exited') return false;
  if (container.exitCode === 0) return true;
  throw new ComposeError(`service "${service}" didn't complete successfully: exit ${container.exitCode}`);
}

/** `up --wait`: every service running, or healthy where it has a check. */
async function waitForAll(context: Context, order: string[], limitMs: number | undefined): Promise<void> {
  const started = Date.now();
  for (const name of order) {
    for (const container of ofService(context, name)) {
      for (;;) {
        context.call.signal.throwIfAborted();
        if (container.status === 'exited') {
          throw new ComposeError(`container ${container.name} exited (${container.exitCode})`);
        }
        if (container.health?.Status === 'unhealthy')
          throw new ComposeError(`container ${container.name} is unhealthy`);
        if (container.status === 'running' && (!container.health || container.health.Status === 'healthy'))
          break;
        if (limitMs !== undefined && Date.now() - started > limitMs) {
          throw new ComposeError(`application not healthy after ${limitMs / 1000}s`);
        }
        await container.changed(500);
      }
      await context.say(`Container ${container.name}`, 'Healthy');
    }
  }
}

async function down(context: Context, args: string[]): Promise<number> {
  const { values } = parseFlags(args, { timeout: 'value', 'remove-orphans': 'boolean' }, { t: 'timeout' });
  const graceMs = values.timeout === undefined ? undefined : Number(values.timeout) * 1000;
  const order = startOrder(context.project, Object.keys(context.project.services), true).reverse();
  for (const name of order) {
    for (const container of ofService(context, name)) await stopAndRemove(context, container, graceMs);
  }
  return 0;
}

function existing(context: Context, names: string[]): Array<[string, Container[]]> {
  const selected = select(context, names);
  return startOrder(context.project, selected, false).map((name) => [name, ofService(context, name)]);
}

async function stopServices(context: Context, args: string[]): Promise<number> {
  const { values, rest } = parseFlags(args, { timeout: 'value' }, { t: 'timeout' });
  const graceMs = values.timeout === undefined ? undefined : Number(values.timeout) * 1000;
  for (const [, containers] of existing(context, rest).reverse()) {
    for (const container of containers) {
      await context.say(`Container ${container.name}`, 'Stopping');
      await container.stop(graceMs);
      await context.say(`Container ${container.name}`, 'Stopped');
    }
  }
  return 0;
}

async function startServices(context: Context, args: string[]): Promise<number> {
  const { rest } = parseFlags(args, {});
  for (const [name, containers] of existing(context, rest)) {
    if (containers.length === 0) throw new ComposeError(`service "${name}" has no container to start`);
    for (const container of containers) {
      await context.say(`Container ${container.name}`, 'Starting');
      await container.start();
      await context.say(`Container ${container.name}`, 'Started');
    }
  }
  return 0;
}

async function restartServices(context: Context, args: string[]): Promise<number> {
  const { values, rest } = parseFlags(args, { timeout: 'value', 'no-deps': 'boolean' }, { t: 'timeout' });
  const graceMs = values.timeout === undefined ? undefined : Number(values.timeout) * 1000;
  for (const [, containers] of existing(context, rest)) {
    for (const container of containers) {
      await context.say(`Container ${container.name}`, 'Restarting');
      await container.stop(graceMs);
      await container.start();
      await context.say(`Container ${container.name}`, 'Started');
    }
  }
  return 0;
}

async function removeServices(context: Context, args: string[]): Promise<number> {
  const { on, rest } = parseFlags(
    args,
    { stop: 'boolean', force: 'boolean', volumes: 'boolean' },
    { s: 'stop', f: 'force', v: 'volumes' },
  );
  if (!on.has('force')) throw new UsageError('the lab has no terminal to ask for confirmation: add -f');
  for (const [, containers] of existing(context, rest).reverse()) {
    for (const container of containers) {
      const busy = container.status === 'running' || container.status === 'restarting';
      if (busy && !on.has('stop')) continue;
      await stopAndRemove(context, container);
    }
  }
  return 0;
}

async function listServices(context: Context, args: string[]): Promise<number> {
  const { on, values, rest } = parseFlags(
    args,
    {
      all: 'boolean',
      quiet: 'boolean',
      services: 'boolean',
      format: 'value',
      'no-trunc': 'boolean',
      orphans: 'boolean',
    },
    { a: 'all', q: 'quiet' },
  );
  const { call, project } = context;
  const names = rest.length ? select(context, rest) : undefined;
  const found = ofProject(context)
    .filter(({ spec }) => !names || names.includes(spec.labels['com.docker.compose.service'] ?? ''))
    .filter(({ spec }) => spec.labels['com.docker.compose.oneoff'] !== 'True' || on.has('all'))
    .filter(({ status }) => on.has('all') || status === 'running' || status === 'restarting')
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const service = (container: Container) => container.spec.labels['com.docker.compose.service'] ?? '';
  if (on.has('services'))
    await call.out([...new Set(found.map((container) => `${service(container)}\n`))].join(''));
  else if (on.has('quiet')) await call.out(found.map((container) => `${container.id}\n`).join(''));
  else if (values.format === 'json') {
    for (const container of found) {
      const row = {
        ID: on.has('no-trunc') ? container.id : container.id.slice(0, 12),
        Name: container.name,
        Names: container.name,
        Image: container.spec.imageRef,
        Project: project.name,
        Service: service(container),
        State: container.status,
        Status: describeStatus(container),
        Health: container.status === 'running' ? (container.health?.Status ?? '') : '',
        ExitCode: container.status === 'exited' ? container.exitCode : 0,
        Publishers: container.openPorts.map(({ port, target }) => ({
          URL: '0.0.0.0',
          TargetPort: target,
          PublishedPort: port,
          Protocol: 'tcp',
        })),
      };
      await call.out(`${JSON.stringify(row)}\n`);
    }
  } else {
    await call.out(
      columns([
        ['NAME', 'IMAGE', 'SERVICE', 'STATUS', 'PORTS'],
        ...found.map((container) => [
          container.name,
          container.spec.imageRef,
          service(container),
          describeStatus(container),
          describePorts(container),
        ]),
      ]),
    );
  }
  return 0;
}

async function showLogs(context: Context, args: string[]): Promise<number> {
  const { on, values, rest } = parseFlags(
    args,
    {
      'no-color': 'boolean',
      'no-log-prefix': 'boolean',
      timestamps: 'boolean',
      tail: 'value',
      index: 'value',
    },
    { n: 'tail', t: 'timestamps' },
  );
  const tail = tailOf(values.tail);
  const containers = select(context, rest).flatMap((name) => ofService(context, name));
  const label = (container: Container) => container.name.replace(new RegExp(`^${context.project.name}-`), '');
  const width = Math.max(0, ...containers.map((container) => label(container).length));
  const lines = containers.flatMap((container) =>
    container.logs(tail).map((line) => ({ ...line, label: label(container).padEnd(width) })),
  );
  for (const line of lines.sort((a, b) => a.at - b.at)) {
    const prefix = on.has('no-log-prefix') ? '' : `${line.label}  | `;
    const time = on.has('timestamps') ? `${new Date(line.at).toISOString()} ` : '';
    await context.call.out(`${prefix}${time}${line.text}\n`);
  }
  return 0;
}

async function runOnce(context: Context, args: string[]): Promise<number> {
  const { engine, call, project } = context;
  const flags = parseFlags(
    args,
    {
      rm: 'boolean',
      'no-deps': 'boolean',
      'no-TTY': 'boolean',
      'quiet-pull': 'boolean',
      'service-ports': 'boolean',
      interactive: 'boolean',
      env: 'list',
      label: 'list',
      entrypoint: 'value',
      name: 'value',
      workdir: 'value',
      pull: 'value',
    },
    { T: 'no-TTY', e: 'env', l: 'label', w: 'workdir', i: 'interactive' },
    true,
  );
  const [name, ...command] = flags.rest;
  if (!name) throw new UsageError('requires at least 1 arg(s), only received 0');
  select(context, [name]);
  if (!flags.on.has('no-deps')) {
    const dependencies = startOrder(project, [name], true).filter((other) => other !== name);
    if (dependencies.length) await up(context, ['-d', '--no-recreate', ...dependencies]);
    await waitForDependencies(context, name, dependencies);
  }
  const image = await ensureImage(context, name, flags);
  const spec = specOf(context, name, image, 1);
  const entrypoint =
    flags.values.entrypoint === undefined ? spec.entrypoint : shellWords(flags.values.entrypoint);
  const container = await engine.create({
    ...spec,
    name: flags.values.name ?? `${project.name}-${name}-run-${randomBytes(6).toString('hex')}`,
    entrypoint,
    command: command.length ? command : flags.values.entrypoint === undefined ? spec.command : [],
    environment: { ...spec.environment, ...environmentOf(flags.lists.env ?? [], call) },
    workingDirectory: flags.values.workdir ?? spec.workingDirectory,
    labels: {
      ...spec.labels,
      'com.docker.compose.oneoff': 'True',
      ...Object.fromEntries(
        (flags.lists.label ?? []).map((label) => [label.split('=')[0]!, label.replace(/^[^=]*=?/, '')]),
      ),
    },
    ports: flags.on.has('service-ports') ? spec.ports : [],
    restart: { policy: 'no', max: 0 },
  });
  const writes = new Set<Promise<void>>();
  const detach = container.attach((stream, chunk) => {
    const source = container.output(stream);
    source?.pause();
    const write = (stream === 'stdout' ? call.out(chunk) : call.err(chunk)).finally(() => {
      writes.delete(write);
      source?.resume();
    });
    writes.add(write);
  });
  const abandon = () => void container.kill();
  call.signal.addEventListener('abort', abandon, { once: true });
  try {
    if (call.signal.aborted) return 130;
    await container.start();
    while (container.status === 'running') await container.changed(1000);
    await Promise.all(writes);
    return container.exitCode;
  } finally {
    detach();
    call.signal.removeEventListener('abort', abandon);
    if (flags.on.has('rm')) await engine.remove(container);
  }
}

async function execInService(context: Context, args: string[]): Promise<number> {
  const { lists, values, rest } = parseFlags(
    args,
    { 'no-TTY': 'boolean', env: 'list', index: 'value', interactive: 'boolean' },
    { T: 'no-TTY', e: 'env', i: 'interactive' },
    true,
  );
  const [name, ...argv] = rest;
  if (!name || argv.length === 0) throw new UsageError('requires at least 2 arg(s)');
  select(context, [name]);
  const running = ofService(context, name).filter((container) => container.status === 'running');
  const wanted = values.index;
  const container = wanted
    ? running.find(({ spec }) => spec.labels['com.docker.compose.container-number'] === wanted)
    : running[0];
  if (!container) throw new ComposeError(`service "${name}" is not running`);
  return execute(context.call, container, argv, { env: lists.env ?? [], stdin: true });
}

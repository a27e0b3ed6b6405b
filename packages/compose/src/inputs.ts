import type { Inputs } from '@lockkeeper/action';
import { readFileSource } from './files/file-source.ts';
import { releaseIdPattern } from './record/release-id.ts';
import type { HealthProbe, ReleaseSettings } from './settings.ts';
import { readImageSource } from './stage/image-source.ts';

const minute = 60_000;
const variable = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Variables that would change how the host itself finds and runs docker. */
const reserved = /^(PATH|HOME|IFS|ENV|SHELL|USER|LD_.*|DOCKER_.*|COMPOSE_FILE|COMPOSE_PROJECT_NAME)$/;
const serviceName = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The release inputs that every deploying action shares. Problems are collected in `inputs`. */
export function readReleaseInputs(inputs: Inputs): ReleaseSettings {
  const singletonServices = readNames(inputs, 'singleton-services');

  const rollbackTo = inputs.text('rollback-to') || undefined;
  if (rollbackTo && rollbackTo !== 'previous' && !releaseIdPattern.test(rollbackTo))
    inputs.reject(
      'rollback-to',
      rollbackTo,
      'previous, or a release id such as 20261121-031200-a1b2c3d-k3f9',
    );

  return {
    projectDirectory: readDirectory(inputs),
    composeFiles: readPaths(inputs, 'compose-files', inputs.list('compose-files')),
    projectName:
      inputs.matching(
        'project-name',
        /^[a-z0-9][a-z0-9_-]*$/,
        'lower-case letters, digits, dashes and underscores, starting with a letter or digit',
      ) || undefined,
    files: readFileSource(inputs),
    images: readImageSource(inputs),
    profiles: readNames(inputs, 'profiles'),
    services: readNames(inputs, 'services'),
    pinnedImages: readPins(inputs),
    environment: readEnvironment(inputs),
    envFile: readEnvFile(inputs),
    envFilePath: readPaths(inputs, 'env-file-path', [inputs.text('env-file-path')])[0] ?? '.env',
    requiredEnv: inputs.list('required-env').filter((name) => {
      if (!variable.test(name)) inputs.reject('required-env', name, 'names of variables');
      return variable.test(name);
    }),
    registry: readRegistry(inputs),
    preDeploy: inputs.raw('pre-deploy'),
    postDeploy: inputs.raw('post-deploy'),
    preRollback: inputs.raw('pre-rollback'),
    ...readStrategy(inputs, singletonServices),
    singletonServices,
    healthTimeout: inputs.duration('health-timeout', { min: 1000 }),
    stabilityWindow: inputs.duration('stability-window'),
    health: readHealth(inputs),
    rollback: inputs.boolean('rollback'),
    rollbackTo,
    removeOrphans: inputs.boolean('remove-orphans'),
    keepReleases: inputs.integer('keep-releases', { min: 1, max: 100 }),
    stageTimeout: inputs.duration('stage-timeout', { min: minute / 60 }),
    commandTimeout: inputs.duration('command-timeout', { min: minute / 60 }),
    lockTimeout: inputs.duration('lock-timeout'),
    dryRun: inputs.boolean('dry-run'),
  };
}

function readStrategy(
  inputs: Inputs,
  singletons: readonly string[],
): Pick<ReleaseSettings, 'strategy' | 'blueGreenServices' | 'blueGreenReload'> {
  const strategy = inputs.choice('strategy', ['recreate', 'stop-first', 'blue-green']);
  const blueGreenServices = readNames(inputs, 'blue-green-services');
  const blueGreenReload = inputs.raw('blue-green-reload');
  if (strategy !== 'blue-green') {
    for (const name of ['blue-green-services', 'blue-green-reload'])
      if (inputs.isSet(name)) inputs.problem(name, 'is of use only with strategy: blue-green');
  } else if (blueGreenServices.length === 0)
    inputs.problem(
      'blue-green-services',
      'is required with strategy: blue-green; expected the services that get a second container, such as web',
    );
  const both = blueGreenServices.filter((service) => singletons.includes(service));
  if (both.length > 0)
    inputs.problem(
      'blue-green-services',
      `names ${both.join(', ')}, which singleton-services forbids to run twice`,
    );
  return { strategy, blueGreenServices, blueGreenReload };
}

function readDirectory(inputs: Inputs): string {
  const directory = inputs.required(
    'project-directory',
    'the directory on the host that holds the Compose file',
  );
  const expected = 'an absolute path on the host, or one that starts with ~/';
  if (
    directory &&
    (!/^(\/|~\/)[^\0\n\r]*$/.test(directory) || hasParent(directory) || /^\/+$/.test(directory))
  )
    inputs.reject('project-directory', directory, expected);
  return directory.replace(/\/+$/, '');
}

function hasParent(path: string): boolean {
  return path.split('/').includes('..');
}

function readPaths(inputs: Inputs, name: string, paths: string[]): string[] {
  for (const path of paths)
    if (!path || path.startsWith('/') || path.startsWith('-') || hasParent(path) || /[\0\n\r:]/.test(path))
      inputs.reject(name, path, 'paths relative to the project directory, without ..');
  return paths;
}

function readNames(inputs: Inputs, name: string): string[] {
  const names = inputs.list(name);
  for (const item of names)
    if (!serviceName.test(item)) inputs.reject(name, item, 'names as the Compose file has them');
  return [...new Set(names)];
}

function readPins(inputs: Inputs): Record<string, string> {
  const pins: Record<string, string> = {};
  for (const [service, reference] of inputs.pairs('image', { key: serviceName })) {
    if (!/^[a-z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$/.test(reference))
      inputs.reject('image', `${service}=${reference}`, 'service=repository@sha256:<64 hexadecimal digits>');
    else if (pins[service] && pins[service] !== reference)
      inputs.problem('image', `names the service ${service} twice, with different images`);
    else pins[service] = reference;
  }
  return pins;
}

function readEnvironment(inputs: Inputs): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of inputs.pairs('environment', { key: variable })) {
    if (reserved.test(name))
      inputs.problem('environment', `${name} steers the host's own docker and cannot be set here`);
    else environment[name] = value;
  }
  return environment;
}

function readEnvFile(inputs: Inputs): string | undefined {
  const content = inputs.secret('env-file');
  if (!content.trim()) return undefined;
  if (content.includes('\0')) inputs.problem('env-file', 'contains a NUL character');
  return content.endsWith('\n') ? content : `${content}\n`;
}

function readRegistry(inputs: Inputs): ReleaseSettings['registry'] {
  const server = inputs.matching(
    'registry',
    /^[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(\/[A-Za-z0-9._/-]*)?$/,
    'a registry host such as ghcr.io, without https://',
  );
  const username = inputs.text('registry-username');
  const password = inputs.secret('registry-password').trim();
  if (username.startsWith('-')) inputs.reject('registry-username', username, 'a user name');
  if (!username && !password) {
    if (server) inputs.problem('registry-username', 'is required with registry');
    return undefined;
  }
  if (!username) inputs.problem('registry-username', 'is required with registry-password');
  if (!password)
    inputs.problem('registry-password', 'is required with registry-username; is the secret set?');
  return { server: server || 'docker.io', username, password };
}

function readHealth(inputs: Inputs): HealthProbe | undefined {
  const url = inputs.text('health-url');
  const status = readStatus(inputs);
  const json = inputs.pairs('health-json', { key: /^[^\s=]+$/ });
  const headers = inputs.pairs('health-headers', { separator: ':', key: /^[A-Za-z0-9-]+$/ });
  if (!url) {
    for (const name of ['health-json', 'health-headers', 'health-status'])
      if (inputs.isSet(name)) inputs.problem(name, 'is of use only with health-url');
    return undefined;
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password)
    inputs.reject(
      'health-url',
      url,
      'http://… or https://… as the host itself reaches it, without a password',
    );
  return { url, status, json, headers };
}

function readStatus(inputs: Inputs): Array<[number, number]> {
  return inputs.list('health-status').flatMap((item) => {
    const [, from, to] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(item) ?? [];
    if (!from || (to && Number(to) < Number(from))) {
      inputs.reject('health-status', item, 'status codes or ranges, such as 200 or 200-299');
      return [];
    }
    return [[Number(from), Number(to ?? from)] as [number, number]];
  });
}

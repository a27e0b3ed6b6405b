import { describe, expect, it } from '@jest/globals';
import { type InputError, inputsOf } from '@lockkeeper/action';
import { judgeDirectory, judgePreflight } from '../src/host/preflight.ts';
import { withoutHelpers } from '../src/host/registry-login.ts';
import { readReleaseInputs } from '../src/inputs.ts';
import { parseEnvFile, secretValues } from '../src/stage/env-file.ts';

const defaults = {
  files: 'host',
  images: 'pull',
  build: 'sequential',
  'no-cache': 'false',
  'env-file-path': '.env',
  strategy: 'recreate',
  'health-timeout': '5m',
  'stability-window': '10s',
  'health-status': '200',
  rollback: 'true',
  'remove-orphans': 'false',
  'keep-releases': '5',
  'stage-timeout': '20m',
  'command-timeout': '20m',
  'lock-timeout': '10m',
  'dry-run': 'false',
};

function problems(values: Record<string, string>): string[] {
  const inputs = inputsOf({ 'project-directory': '/srv/shop', ...values }, defaults);
  readReleaseInputs(inputs);
  try {
    inputs.done();
    return [];
  } catch (error) {
    return (error as InputError).problems;
  }
}

describe('release inputs', () => {
  it('need no more than the directory', () => {
    const inputs = inputsOf({ 'project-directory': '~/shop/' }, defaults);
    expect(readReleaseInputs(inputs)).toMatchObject({
      projectDirectory: '~/shop',
      envFilePath: '.env',
      healthTimeout: 300_000,
      rollback: true,
      registry: undefined,
      health: undefined,
    });
    expect(() => inputs.done()).not.toThrow();
  });

  it('are told all at once when all are wrong', () => {
    const all = problems({
      'project-directory': '~root/shop',
      'compose-files': '../evil.yml',
      'project-name': 'Shop!',
      services: '-rf',
      image: 'web=web:latest',
      environment: 'PATH=/tmp\nno equals sign',
      'required-env': 'A-B',
      registry: 'https://ghcr.io',
      'registry-password': 'hunter22',
      'health-timeout': '5',
      'health-json': 'database=true',
      'rollback-to': '../../etc',
      strategy: 'blue-green',
      files: 'ftp',
    });
    expect(all.map((problem) => problem.split(':')[0])).toEqual(
      expect.arrayContaining([
        'project-directory',
        'compose-files',
        'project-name',
        'services',
        'image',
        'environment',
        'required-env',
        'registry',
        'registry-username',
        'health-timeout',
        'health-json',
        'rollback-to',
        'blue-green-services',
        'files',
      ]),
    );
    expect(all.join('\n')).not.toContain('hunter22');
  });

  it.each([
    [{ strategy: 'blue-green', 'blue-green-services': 'web' }, []],
    [
      { strategy: 'blue-green', 'blue-green-reload': 'nginx -s reload' },
      [
        'blue-green-services: is required with strategy: blue-green; expected the services that get a second container, such as web',
      ],
    ],
    [
      { 'blue-green-services': 'web', 'blue-green-reload': 'nginx -s reload' },
      [
        'blue-green-services: is of use only with strategy: blue-green',
        'blue-green-reload: is of use only with strategy: blue-green',
      ],
    ],
    [
      { strategy: 'blue-green', 'blue-green-services': 'web, beat', 'singleton-services': 'beat' },
      ['blue-green-services: names beat, which singleton-services forbids to run twice'],
    ],
    [
      { strategy: 'blue-green', 'blue-green-services': '-x' },
      [expect.stringMatching(/^blue-green-services: "-x" is not valid/)],
    ],
  ])('%j leave the problems %j', (values, expected) =>
    expect(problems(values as Record<string, string>)).toEqual(expected),
  );

  it.each(['/', '~', 'srv/shop', '~root/x', '/srv/../etc', '/srv/a\nb', '$HOME/shop'])(
    'refuse %j as a directory',
    (directory) => {
      expect(problems({ 'project-directory': directory })).toHaveLength(1);
    },
  );

  it('mask the password and the whole env file', () => {
    const inputs = inputsOf(
      {
        'project-directory': '/srv/shop',
        'registry-username': 'bot',
        'registry-password': 'hunter22',
        'env-file': 'SECRET_KEY=abcdefgh\nDEBUG=0',
      },
      defaults,
    );
    const settings = readReleaseInputs(inputs);
    expect(settings.registry).toEqual({ server: 'docker.io', username: 'bot', password: 'hunter22' });
    expect(settings.envFile).toBe('SECRET_KEY=abcdefgh\nDEBUG=0\n');
    expect(inputs.masked).toEqual(expect.arrayContaining(['hunter22', 'SECRET_KEY=abcdefgh']));
  });
});

describe('an env file', () => {
  it('is read as far as "set and not empty" goes', () => {
    expect(
      parseEnvFile(
        [
          '# comment',
          'A=1',
          'export B = two # note',
          "C='it is # here'",
          'D="a\\"b"',
          'E=',
          'F=$A',
          'bad line',
          'G: yaml',
        ].join('\r\n'),
      ),
    ).toEqual({ A: '1', B: 'two', C: 'it is # here', D: 'a\\"b', E: '', F: '$A', G: 'yaml' });
  });

  it('has values that must not be seen', () => {
    expect(secretValues('SECRET_KEY=abcdefgh\nDATABASE_URL=pg://u:p@h\nDEBUG=production\nTOKEN=x')).toEqual([
      'abcdefgh',
      'pg://u:p@h',
    ]);
  });
});

describe('preflight names the cause', () => {
  it.each([
    ['docker absent', /no docker in PATH/],
    ['docker present\ndaemon refused\npermission denied while trying to connect', /not in the group docker/],
    ['docker present\ndaemon refused\nCannot connect to the Docker daemon', /daemon does not answer/],
    ['docker present\ndaemon reached\ncompose absent', /no Docker Compose/],
    ['docker present\ndaemon reached\nstandalone 1.29.2', /Compose 1.29.2.*v2 is needed/],
  ])('%j', (text, problem) => {
    expect(() => judgePreflight(text, { name: 'host' })).toThrow(problem);
  });

  it('accepts the plugin and the standalone v2', () => {
    expect(judgePreflight('docker present\ndaemon reached\nplugin v2.26.1\n', { name: 'h' })).toBe('plugin');
    expect(judgePreflight('docker present\ndaemon reached\nstandalone 2.40.3\n', { name: 'h' })).toBe(
      'standalone',
    );
  });

  it('tells a missing directory from a link and from one that may not be read', () => {
    expect(judgeDirectory('plugin 2\ndirectory /srv/shop\nfree 1', '~/shop', { name: 'h' })).toBe(
      '/srv/shop',
    );
    expect(() => judgeDirectory('link /data/shop', '/srv/shop', { name: 'h' })).toThrow(
      'symbolic link to /data/shop',
    );
    expect(() => judgeDirectory('no directory', '/srv/shop', { name: 'h' })).toThrow('has no directory');
    expect(() => judgeDirectory('closed directory', '/srv/shop', { name: 'h' })).toThrow('may not read');
  });
});

describe('the throw-away Docker config', () => {
  it('keeps plugins and other logins, and no helper that would keep this one', () => {
    const own = {
      credsStore: 'desktop',
      credHelpers: { 'ghcr.io': 'x', 'other.io': 'y' },
      auths: {},
      proxies: {},
    };
    expect(JSON.parse(withoutHelpers(JSON.stringify(own), 'ghcr.io'))).toEqual({
      credHelpers: { 'other.io': 'y' },
      auths: {},
      proxies: {},
    });
    expect(withoutHelpers('not json', 'ghcr.io')).toBe('{}');
  });
});

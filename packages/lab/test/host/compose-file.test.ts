import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  configHash,
  type LoadOptions,
  loadProject,
  renderConfig,
  shellWords,
  startOrder,
} from '../../src/host/compose-file.ts';
import { formatGoDuration, parseGoDuration } from '../../src/host/duration.ts';
import { parseEnvFile } from '../../src/host/env-file.ts';
import { parseFlags, renderTemplate } from '../../src/host/flags.ts';
import { parseReference } from '../../src/host/images.ts';
import { interpolate } from '../../src/host/interpolation.ts';

describe('interpolation', () => {
  const lookup = (name: string) => ({ SET: 'yes', EMPTY: '', TAG: '1.2' })[name];
  it.each([
    ['plain', 'plain'],
    ['$SET', 'yes'],
    ['app:${TAG}-x', 'app:1.2-x'],
    ['${NONE:-fallback}', 'fallback'],
    ['${EMPTY:-fallback}', 'fallback'],
    ['${EMPTY-fallback}', ''],
    ['${NONE-fallback}', 'fallback'],
    ['${NONE:-${TAG}}', '1.2'],
    ['${SET:+there}', 'there'],
    ['${EMPTY:+there}', ''],
    ['${EMPTY+there}', 'there'],
    ['${SET:?must}', 'yes'],
    ['$$SET $${X}', '$SET ${X}'],
    ['${NONE}', ''],
  ])('makes %s into %s', (text, expected) => {
    expect(interpolate(text, lookup)).toBe(expected);
  });
  it.each([
    ['${NONE:?set it}', 'required variable NONE is missing a value: set it'],
    ['${EMPTY:?}', 'required variable EMPTY is missing a value'],
    ['${', 'invalid interpolation format: "${"'],
    ['a $1', 'invalid interpolation format: "a $1"'],
  ])('refuses %s', (text, message) => {
    expect(() => interpolate(text, lookup)).toThrow(message);
  });
});

describe('env files', () => {
  it('reads them as Compose does', () => {
    const text = `# comment
A=1
export B = two words # trailing
C='literal $A'
D="line\\none $A"
E=
F=a#b
G="two
lines"
H=\${A}\${NONE:-x}
PASS
NOPE
`;
    const found = parseEnvFile(text, (name) => ({ PASS: 'through' })[name]);
    expect(Object.fromEntries(found)).toEqual({
      A: '1',
      B: 'two words',
      C: 'literal $A',
      D: 'line\none 1',
      E: '',
      F: 'a#b',
      G: 'two\nlines',
      H: '1x',
      PASS: 'through',
    });
  });
  it('takes values as they stand when told so, and names a bad line', () => {
    expect(parseEnvFile('A="$B" # x', () => undefined, { literal: true }).get('A')).toBe('"$B" # x');
    expect(() => parseEnvFile('A=1\n!bad=2', () => undefined)).toThrow('line 2');
  });
});

it.each([
  ['1m30s', 90_000],
  ['500ms', 500],
  ['1.5s', 1500],
  ['2h', 7_200_000],
  ['10', undefined],
  ['soon', undefined],
])('reads the duration %s', (text, ms) => {
  expect(parseGoDuration(text)).toBe(ms);
});
it('prints durations as Compose does', () => {
  expect([500, 90_000, 3_600_000, 10_000].map(formatGoDuration)).toEqual(['500ms', '1m30s', '1h0m0s', '10s']);
});

it.each([
  ['app', { registry: '', repository: 'library/app', name: 'app', tag: 'latest' }],
  ['team/app:2', { registry: '', repository: 'team/app', name: 'team/app', tag: '2' }],
  [
    'localhost:5000/app:2',
    { registry: 'localhost:5000', repository: 'app', name: 'localhost:5000/app', tag: '2' },
  ],
  ['docker.io/library/app:1', { registry: '', repository: 'library/app', name: 'app', tag: '1' }],
])('splits the reference %s', (text, expected) => {
  expect(parseReference(text)).toEqual(expected);
});

it('reads flags as docker does', () => {
  const kinds = { all: 'boolean', filter: 'list', tail: 'value', detach: 'boolean' } as const;
  const names = { a: 'all', f: 'filter', n: 'tail', d: 'detach' };
  const parsed = parseFlags(
    ['-ad', '--filter', 'x=1', '-fy=2', '--tail=3', 'one', '--', '--two'],
    kinds,
    names,
  );
  expect(parsed).toEqual({
    values: { tail: '3' },
    lists: { filter: ['x=1', 'y=2'] },
    on: new Set(['all', 'detach']),
    rest: ['one', '--two'],
  });
  expect(() => parseFlags(['--nope'], kinds, names)).toThrow('unknown flag: --nope');
  expect(() => parseFlags(['-z'], kinds, names)).toThrow("unknown shorthand flag: 'z' in -z");
  expect(parseFlags(['-a', 'sh', '-c', 'x'], kinds, names, true).rest).toEqual(['sh', '-c', 'x']);
});

it('renders templates, and refuses more than it can', () => {
  const data = { State: { Pid: 7, Health: { Status: 'healthy' } } };
  expect(renderTemplate('{{.State.Pid}}\\t{{json .State.Health}}', data)).toBe('7\t{"Status":"healthy"}');
  expect(() => renderTemplate('{{range .}}', data)).toThrow('more than the lab');
});

it('splits command lines as Compose does', () => {
  expect(shellWords(`sh -c "echo 'a b' \\"c\\"" 'd e' f\\ g`)).toEqual([
    'sh',
    '-c',
    `echo 'a b' "c"`,
    'd e',
    'f g',
  ]);
});

describe('projects', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'compose '));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const load = (files: Record<string, string>, over: Partial<LoadOptions> = {}) => {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), content);
    }
    return loadProject({ cwd: directory, environment: {}, ...over });
  };

  it('merges overrides as Compose does and resolves every path and variable', () => {
    const project = load(
      {
        'compose.yaml': `
name: shop
services:
  web:
    image: app:\${TAG:-none}
    command: node server.mjs
    ports: ["8000:8000", "127.0.0.1:9000:9000/tcp"]
    environment: [A=1, B=2, FROM_ENV, ABSENT]
    env_file: [{ path: common.env }, { path: missing.env, required: false }]
    volumes: ["./conf:/etc/conf:ro", "data:/data"]
    depends_on: [db]
  db: { image: "db:1" }
volumes: { data: {} }
`,
        'compose.override.yaml': `
services:
  web:
    command: ["node", "other.mjs"]
    ports: ["8001:8001"]
    environment: { B: "3", PRICE: "$$5" }
    volumes: ["other:/data"]
    depends_on: { db: { condition: service_healthy } }
volumes: { other: { name: kept, external: true } }
`,
        'common.env': 'A=0\nC=common\n',
        '.env': 'TAG=7\nFROM_ENV=file\n',
      },
      { environment: { FROM_ENV: 'shell' } },
    );
    const config = renderConfig(project) as { name: string; services: Record<string, unknown> };
    expect(config.name).toBe('shop');
    expect(config.services.web).toMatchObject({
      image: 'app:7',
      command: ['node', 'other.mjs'],
      environment: { A: '1', B: '3', C: 'common', FROM_ENV: 'shell', PRICE: '$$5' },
      depends_on: { db: { condition: 'service_healthy', required: true } },
      ports: [
        { target: 8000, published: '8000' },
        { target: 9000, published: '9000', host_ip: '127.0.0.1' },
        { target: 8001, published: '8001' },
      ],
      volumes: [
        { type: 'bind', source: join(directory, 'conf'), target: '/etc/conf', read_only: true },
        { type: 'volume', source: 'other', target: '/data' },
      ],
    });
    expect(project.services.web!.environment).not.toHaveProperty('ABSENT');
    expect(project.services.web!.environment!.PRICE).toBe('$5');
    expect(startOrder(project, ['web'], true)).toEqual(['db', 'web']);
  });

  it('keeps the config hash over what does not change a container, and over nothing else', () => {
    const of = (yaml: string) =>
      configHash(
        load({ 'compose.yaml': `services:\n  web:\n    image: app:1\n${yaml}\n  db: { image: db }\n` })
          .services.web!,
      );
    const base = of('');
    for (const same of [
      '    depends_on: [db]',
      '    pull_policy: never',
      '    deploy: { replicas: 3 }',
      '    scale: 2',
      '    build: .',
    ]) {
      expect([same, of(same)]).toEqual([same, base]);
    }
    for (const other of [
      '    environment: [A=1]',
      '    command: x',
      '    ports: ["1:1"]',
      '    labels: [a=b]',
    ]) {
      expect(of(other)).not.toBe(base);
    }
  });

  it('leaves out services whose profile is off', () => {
    const files = { 'compose.yaml': 'services:\n  a: { image: a }\n  b: { image: b, profiles: [tools] }\n' };
    expect(Object.keys(load(files).services)).toEqual(['a']);
    expect(Object.keys(load(files, { profiles: ['tools'] }).services)).toEqual(['a', 'b']);
  });

  it('takes the project name from -p, the environment, the file or the directory', () => {
    const files = { 'My App/compose.yaml': 'services: { a: { image: a } }\n' };
    const there = { cwd: join(directory, 'My App') };
    expect(load(files, there).name).toBe('myapp');
    expect(load(files, { ...there, environment: { COMPOSE_PROJECT_NAME: 'other' } }).name).toBe('other');
    expect(load(files, { ...there, projectName: 'given' }).name).toBe('given');
    expect(() => load(files, { ...there, projectName: 'Bad' })).toThrow('invalid project name "Bad"');
  });

  it.each([
    [
      'services: { a: { image: "${X:?tell me}" } }',
      'error while interpolating services.a.image: required variable X',
    ],
    ['services: { a: {} }', 'service "a" has neither an image nor a build context specified'],
    ['services: { a: { image: a, privileged: true } }', 'services.a.privileged is not supported by the lab'],
    ['secrets: {}', 'secrets is not supported by the lab'],
    ['services: { a: { image: a, depends_on: [b] } }', 'depends on undefined service "b"'],
    ['services: { a: { image: a, volumes: ["v:/v"] } }', 'refers to undefined volume v'],
    ['services: { a: { image: a, healthcheck: { test: [x] } } }', 'must start either by "CMD"'],
    ['services: { a: { image: a, restart: sometimes } }', 'unknown policy'],
    ['services: [', 'yaml:'],
    ['services: { a: { image: a, container_name: x, scale: 2 } }', "can't set container_name and replicas"],
  ])('refuses %s', (yaml, message) => {
    expect(() => load({ 'compose.yaml': yaml })).toThrow(message);
  });

  it('says that there is no file, and which variable is not set', () => {
    expect(() => load({})).toThrow('no configuration file provided: not found');
    expect(load({ 'compose.yaml': 'services: { a: { image: "a:$T" } }' }).warnings).toEqual([
      'The "T" variable is not set. Defaulting to a blank string.',
    ]);
  });
});

import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { imagesByReference, parseImages } from '../src/host/images.ts';
import { checkSpace } from '../src/host/preflight.ts';
import { contentHash, type ReleaseRecord } from '../src/record/release-record.ts';
import { baselineId, environmentAsStarted, imagesAsStarted, runsAsRecorded } from '../src/stage/baseline.ts';
import { checkServices, parseConfig } from '../src/stage/compose-config.ts';
import { chooseFiles, composeArguments, composeDirectory } from '../src/stage/compose-files.ts';
import { clearedNames, requireVariables } from '../src/stage/env-file.ts';
import {
  type ImageQuestion,
  keepTags,
  movable,
  movedByPull,
  releaseImages,
  wantedImages,
  whatToPull,
} from '../src/stage/images.ts';
import { changedMounts, mountsByService } from '../src/stage/mounted-files.ts';
import { ownContainers } from '../src/stage/ownership.ts';

const host = { name: '10.0.0.5', login: 'ssh deploy@10.0.0.5' };
const place = { host, directory: '/srv/shop' };

describe('the Compose files', () => {
  it.each([
    [[], ['compose.yaml', 'docker-compose.yml'], ['compose.yaml']],
    [
      [],
      ['docker-compose.yml', 'docker-compose.override.yml'],
      ['docker-compose.yml', 'docker-compose.override.yml'],
    ],
    [
      ['deploy/prod.yml', 'x.yml'],
      ['x.yml', 'deploy/prod.yml'],
      ['deploy/prod.yml', 'x.yml'],
    ],
  ])('asked for %j, with %j there, are %j', (wanted, found, chosen) =>
    expect(chooseFiles(wanted, new Set(found), place)).toEqual(chosen),
  );

  it.each([
    [[], ['compose.override.yml'], /10\.0\.0\.5 has no Compose file in \/srv\/shop: none of compose\.yaml/],
    [['a.yml', 'b.yml'], ['b.yml'], /10\.0\.0\.5 has no a\.yml in \/srv\/shop/],
  ])('asked for %j, with %j there, are refused', (wanted, found, problem) =>
    expect(() => chooseFiles(wanted, new Set(found), place)).toThrow(problem),
  );

  it.each([
    [['compose.yaml'], '/srv/shop'],
    [['./deploy/prod.yml', 'other.yml'], '/srv/shop/deploy'],
  ])('%j have relative paths from %s', (files, home) =>
    expect(composeDirectory('/srv/shop', files)).toBe(home),
  );

  it('are called by their copies, with the name, env file and profiles of the release', () => {
    const tree = {
      release: '/srv/shop/.lockkeeper/releases/1',
      project: '/srv/shop',
      name: 'shop',
      files: ['compose.yaml', 'deploy/compose.yaml'],
      profiles: ['jobs'],
      hasEnv: true,
      hasOverride: true,
    };
    expect(composeArguments(tree).join(' ').replaceAll(tree.release, 'R')).toBe(
      '-p shop --project-directory /srv/shop -f R/files/0-compose.yaml -f R/files/1-compose.yaml -f R/override.json --env-file R/env --profile jobs',
    );
    expect(composeArguments({ ...tree, name: '', hasEnv: false })).toEqual(
      expect.arrayContaining(['--env-file', '/dev/null']),
    );
  });
});

const config = parseConfig(
  JSON.stringify({
    name: 'shop',
    services: {
      web: {
        image: 'reg/web:v1',
        volumes: [
          { type: 'bind', source: '/srv/shop/nginx.conf' },
          { type: 'volume', source: 'data' },
        ],
      },
      worker: { image: 'reg/web:v1' },
      db: { image: 'postgres:15' },
      built: { build: { context: '.' } },
      frozen: { image: 'sha256:77' },
    },
  }),
);
const container = (service: string, changes: Partial<Container> = {}) =>
  ({
    service,
    oneOff: false,
    image: 'sha256:old',
    status: 'running',
    project: 'shop',
    ...changes,
  }) as Container;
const question = (changes: Partial<ImageQuestion>): ImageQuestion => ({
  config,
  services: ['web', 'db'],
  named: ['web'],
  pins: {},
  containers: [],
  host: '10.0.0.5',
  ...changes,
});
const digest = `reg/web@sha256:${'a'.repeat(64)}`;

describe('images', () => {
  it.each<[string, Partial<ImageQuestion>, string[], { pinned: string[]; services: string[] }]>([
    ['what was asked for, again', {}, ['reg/web:v1', 'postgres:15'], { pinned: [], services: ['web'] }],
    ['what it depends on where that is not here', {}, [], { pinned: [], services: ['web', 'db'] }],
    [
      'nothing that runs and was not asked for',
      { containers: [container('db')] },
      [],
      { pinned: [], services: ['web'] },
    ],
    [
      'a given digest instead of the tag',
      { pins: { web: digest } },
      ['postgres:15'],
      { pinned: [digest], services: [] },
    ],
    [
      'no image that is named by its id',
      { services: ['frozen'], named: ['frozen'] },
      [],
      { pinned: [], services: [] },
    ],
  ])('to pull are %s', (_what, changes, present, pulls) =>
    expect(whatToPull(question(changes), new Set(present))).toEqual(pulls),
  );

  it.each<[string, Partial<ImageQuestion>, RegExp]>([
    [
      'a built service',
      { services: ['built'], named: ['built'] },
      /built on 10\.0\.0\.5 is built, not pulled/,
    ],
  ])('cannot be pulled for %s', (_what, changes, problem) =>
    expect(() => whatToPull(question(changes), new Set())).toThrow(problem),
  );

  it('that are only depended on stay those that run, whatever their tag means by now', () => {
    const containers = [container('db', { image: 'sha256:db' }), container('web', { image: 'sha256:web' })];
    expect(Object.fromEntries(wantedImages(question({ containers })))).toEqual({
      web: 'reg/web:v1',
      db: 'sha256:db',
    });
  });

  it('of one reference cannot be two', () => {
    const present = new Map([
      [digest, { id: 'sha256:1', digests: [] }],
      ['reg/web:v1', { id: 'sha256:2', digests: [`reg/web@sha256:${'b'.repeat(64)}`] }],
    ]);
    const wanted = new Map([
      ['web', digest],
      ['worker', 'reg/web:v1'],
    ]);
    expect(() => releaseImages(config, wanted, present, 'h')).toThrow(
      'worker and web both have image: reg/web:v1',
    );
    wanted.delete('web');
    expect(releaseImages(config, wanted, present, 'h')).toEqual({
      worker: { reference: 'reg/web:v1', id: 'sha256:2', digest: `reg/web@sha256:${'b'.repeat(64)}` },
    });
    expect(() => releaseImages(config, new Map([['db', 'postgres:15']]), present, 'h')).toThrow(
      'postgres:15 is not on h after the pull',
    );
  });

  it('that a pull moved get their tag back until the switch; those it left alone do not', () => {
    const before = new Map([
      ['reg/web:v1', { id: 'sha256:1', digests: [] }],
      ['postgres:15', { id: 'sha256:5', digests: [] }],
    ]);
    const images = {
      web: { reference: 'reg/web:v1', id: 'sha256:2' },
      db: { reference: 'postgres:15', id: 'sha256:5' },
    };
    expect(movedByPull(before, images)).toEqual(['sha256:1', 'reg/web:v1']);
  });

  it.each([
    ['reg:5000/web:v1', true],
    [digest, false],
    ['sha256:77', false],
  ])('%s can be moved: %s', (reference, can) => expect(movable(reference)).toBe(can));

  it('are read from docker, and only those that are there', () => {
    const text = `--- reg/web:v1\n[\n {"Id":"sha256:1","RepoDigests":["${digest}"]}\n]\n--- db:1\n[{"Id":"sha256:5"}]\n`;
    expect(parseImages(text)).toEqual(
      new Map([
        ['reg/web:v1', { id: 'sha256:1', digests: [digest] }],
        ['db:1', { id: 'sha256:5', digests: [] }],
      ]),
    );
  });

  it.each<[string, string[], string, string, Record<string, string> | undefined]>([
    ['all here', ['a:1', 'b:1'], '[{"Id":"1"},{"Id":"2"}]', '', { 'a:1': '1', 'b:1': '2' }],
    [
      'one missing',
      ['a:1', 'b:1', 'c:1'],
      '[{"Id":"1"},{"Id":"3"}]',
      'Error response from daemon: No such image: b:1',
      { 'a:1': '1', 'c:1': '3' },
    ],
    ['none here', ['a'], '[]', 'Error: No such image: a:latest', {}],
    [
      'a name that ends another',
      ['web:1', 'reg/web:1'],
      '[{"Id":"1"}]',
      'No such image: reg/web:1',
      { 'web:1': '1' },
    ],
    ['nothing that adds up', ['a:1', 'b:1'], '[{"Id":"1"}]', 'something else', undefined],
  ])('asked for at once are told apart: %s', (_what, references, stdout, stderr, ids) => {
    const found = imagesByReference(references, stdout, stderr);
    expect(found && Object.fromEntries([...found].map(([name, { id }]) => [name, id]))).toEqual(ids);
  });

  it('are kept by a tag of the release, one for each image', () =>
    expect(
      keepTags('shop', '1', {
        web: { reference: 'w', id: 'sha256:1' },
        worker: { reference: 'w', id: 'sha256:1' },
      }),
    ).toEqual(['sha256:1', 'lockkeeper/shop:worker-1']));
});

describe('whose containers these are', () => {
  const home = { name: 'shop', home: '/srv/shop', directory: '/srv/shop', host: host.name };
  const at = (project: string, workingDirectory: string) =>
    container('web', { project, workingDirectory, name: `${project}-web-1` });

  it('is clear where name and directory belong together', () => {
    const own = at('shop', '/srv/shop');
    expect(ownContainers([own], home)).toEqual([own]);
  });

  it.each([
    [at('shop', '/home/bob/shop'), /shop on 10\.0\.0\.5 belongs to \/home\/bob\/shop/],
    [at('shop-old', '/srv/shop'), /run under the project name shop-old, not shop/],
  ])('is refused where they do not', (other, problem) =>
    expect(() => ownContainers([other], home)).toThrow(problem),
  );
});

describe('mounted files', () => {
  it('belong to the services that mount them', () =>
    expect(mountsByService(config, ['web', 'db'], '123 45 /srv/shop/nginx.conf\nnoise\n')).toEqual({
      web: { '/srv/shop/nginx.conf': '123 45' },
    }));

  it.each([
    [{ web: { '/a/x.conf': '1 1' } }, { web: { '/a/x.conf': '2 1' } }, { web: ['x.conf'] }],
    [{ web: { '/a/x.conf': '1 1' } }, { web: { '/a/x.conf': '1 1' } }, {}],
    [{}, { web: { '/a/x.conf': '1 1' } }, {}],
    [{ web: { '/a/y.conf': '1 1' } }, { web: { '/a/x.conf': '1 1' } }, {}],
  ])('%j → %j changed %j', (before, now, changed) => expect(changedMounts(before, now)).toEqual(changed));
});

describe('what runs before the first deploy', () => {
  it('is a release of its own name', () =>
    expect(baselineId('20261121-031200-a1b2c3d-k3f9')).toBe('20261121-031200-initial-k3f9'));

  it.each([
    [{ web: 'sha256:old' }, true],
    [{ web: 'sha256:new' }, false],
    [{ db: 'sha256:new' }, true],
  ])('is the recorded release with %j: %s', (images, same) =>
    expect(
      runsAsRecorded(
        [container('web')],
        Object.fromEntries(Object.entries(images).map(([name, id]) => [name, { reference: name, id }])),
      ),
    ).toBe(same),
  );

  it('keeps the image and environment it was started with, dollars and all', () => {
    expect(imagesAsStarted([container('web', { reference: 'reg/web:v0' })], config)).toEqual({
      web: { image: 'reg/web:v0' },
    });
    expect(imagesAsStarted([container('web', { reference: 'reg/web:v1' })], config)).toEqual({});
    expect(environmentAsStarted(['A=1', 'PASSWORD=a$b=$$'])).toEqual({ A: '1', PASSWORD: 'a$$b=$$$$' });
  });
});

describe('before anything changes', () => {
  it('variables must be set and not empty', () => {
    const settings = { requiredEnv: ['A', 'B', 'C'], environment: { B: '1' }, envFilePath: '.env' };
    expect(() => requireVariables(settings, 'A=\nC=x', 'h')).toThrow('A is required (required-env)');
    expect(() => requireVariables(settings, 'A=1\nC=x', 'h')).not.toThrow();
  });

  it('the host loses variables that would beat the env file, and none that docker needs', () =>
    expect(clearedNames('A=1\nPATH=/x\nDOCKER_HOST=y\nB.C=2')).toEqual(['A']));

  it('named services must be in the file, and the disk must not be full', () => {
    expect(() => checkServices(config, ['web', 'wob'], 'h')).toThrow(
      'has no service wob; it has web, worker',
    );
    expect(() => checkSpace(20 * 1024, host)).toThrow('10.0.0.5 has only 20 MB of disk left');
    expect(() => checkSpace(undefined, host)).not.toThrow();
  });
});

it('two releases are the same by images, files, mounts and variables alone', () => {
  const record = {
    id: '1',
    commit: 'a',
    project: 'shop',
    services: ['web'],
    named: [],
    hashes: { web: 'h' },
    mounts: {},
    images: { web: { reference: 'w', id: 'sha256:1' } },
  } as unknown as ReleaseRecord;
  const hash = contentHash(record, {}, 'A=1');
  expect(contentHash({ ...record, id: '2', commit: 'b' }, {}, 'A=1')).toBe(hash);
  expect(contentHash({ ...record, mounts: { web: { '/x': '1 1' } } }, {}, 'A=1')).not.toBe(hash);
  expect(contentHash(record, { TAG: 'v2' }, 'A=1')).not.toBe(hash);
  expect(contentHash(record, {}, 'A=2')).not.toBe(hash);
});

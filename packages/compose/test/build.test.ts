import { describe, expect, it } from '@jest/globals';
import { type InputError, inputsOf } from '@lockkeeper/action';
import type { ReleaseFiles } from '../src/files/release-files.ts';
import type { Container } from '../src/host/containers.ts';
import {
  buildOverride,
  checkRoom,
  dependenciesFirst,
  ignoresRecord,
  parseRoom,
  recordInContext,
  whatToBuild,
} from '../src/stage/build-plan.ts';
import { type BuildConfig, parseConfig } from '../src/stage/compose-config.ts';
import { readImageSource } from '../src/stage/image-source.ts';
import { type ImageQuestion, releaseImages, wantedImages, whatToPull } from '../src/stage/images.ts';

const host = { name: '10.0.0.5', login: 'ssh deploy@10.0.0.5' };

describe('the inputs of images', () => {
  const defaults = { images: 'pull', build: 'sequential', 'no-cache': 'false' };
  const read = (values: Record<string, string>) => {
    const inputs = inputsOf(values, defaults);
    const source = readImageSource(inputs);
    try {
      inputs.done();
      return source;
    } catch (error) {
      return (error as InputError).problems;
    }
  };

  it.each([
    [{}, { from: 'pull' }],
    [{ images: 'build' }, { from: 'build', parallel: false, args: {}, noCache: false }],
    [
      { images: 'build', build: 'parallel', 'build-args': 'VERSION=1=2\nEMPTY=', 'no-cache': 'true' },
      { from: 'build', parallel: true, args: { VERSION: '1=2', EMPTY: '' }, noCache: true },
    ],
    [{ images: 'push' }, [expect.stringMatching(/^images: "push" is not valid/)]],
    [{ images: 'transfer' }, { from: 'transfer' }],
    [
      { images: 'transfer', image: `web=app@sha256:${'0'.repeat(64)}`, registry: 'ghcr.io' },
      [
        expect.stringMatching(/^image: names what a registry has/),
        'registry: is of no use with images: transfer, which asks no registry',
      ],
    ],
    [{ images: 'transfer', build: 'parallel' }, ['build: is of use only with images: build']],
    [{ build: 'parallel' }, ['build: is of use only with images: build']],
    [{ 'build-args': 'A=1' }, ['build-args: is of use only with images: build']],
    [{ 'no-cache': 'true' }, ['no-cache: is of use only with images: build']],
    [{ images: 'build', 'build-args': 'A-B=1' }, [expect.stringMatching(/^build-args: /)]],
  ])('%j are %j', (values, meaning) => expect(read(values as Record<string, string>)).toEqual(meaning));
});

const config = parseConfig(
  JSON.stringify({
    name: 'shop',
    services: {
      nginx: { image: 'nginx:1', depends_on: { web: {} } },
      web: { build: { context: '/srv/shop' }, depends_on: { db: {}, front: {} } },
      worker: { image: 'app:1', build: { context: '/srv/shop/app' }, depends_on: { db: {} } },
      beat: { image: 'app:1', depends_on: { db: {} } },
      front: { build: { context: '/srv/shop/front' } },
      db: { image: 'postgres:15' },
    },
  }),
);
const all = Object.keys(config.services);
const question = (changes: Partial<ImageQuestion> = {}): ImageQuestion => ({
  config,
  services: all,
  named: all,
  pins: {},
  containers: [],
  host: '10.0.0.5',
  ...changes,
});
const running = (service: string) => ({ service, oneOff: false, image: `sha256:${service}` }) as Container;

describe('what is built', () => {
  it.each<[string, Partial<ImageQuestion>, string[], string[]]>([
    [
      'everything that has build:, dependencies first, a shared image once',
      {},
      [],
      ['front', 'web', 'worker'],
    ],
    ['no image that was given by digest', { pins: { web: 'x@sha256:1' } }, [], ['front', 'worker']],
    ['what was asked for', { services: ['worker', 'db'], named: ['worker'] }, [], ['worker']],
    [
      'an image that another service was asked for by',
      { services: ['worker', 'beat', 'db'], named: ['beat'] },
      ['app:1'],
      ['worker'],
    ],
    [
      'what it depends on where that is not here',
      { services: ['web', 'front', 'db'], named: ['web'] },
      [],
      ['front', 'web'],
    ],
    [
      'and not where its image is here',
      { services: ['web', 'front', 'db'], named: ['web'] },
      ['shop-front'],
      ['web'],
    ],
    [
      'or it runs',
      { services: ['web', 'front', 'db'], named: ['web'], containers: [running('front')] },
      [],
      ['web'],
    ],
  ])('is %s', (_, changes, present, built) =>
    expect(whatToBuild(question(changes), new Set(present))).toEqual(built),
  );

  it('is not pulled, and found by its own tag; the reference is that of the Compose file', () => {
    const built = new Map([
      ['shop-web', 'keep:web'],
      ['shop-front', 'keep:front'],
      ['app:1', 'keep:worker'],
    ]);
    expect(whatToPull(question(), new Set(), new Set(built.keys()))).toEqual({
      pinned: [],
      services: ['nginx', 'db'],
    });
    const wanted = wantedImages(question(), built);
    expect(Object.fromEntries(wanted)).toEqual({
      nginx: 'nginx:1',
      web: 'keep:web',
      worker: 'keep:worker',
      beat: 'keep:worker',
      front: 'keep:front',
      db: 'postgres:15',
    });
    const present = new Map([...wanted.values()].map((tag) => [tag, { id: `sha256:${tag}`, digests: [] }]));
    const images = releaseImages(config, wanted, present, 'h');
    expect(images.web).toEqual({ reference: 'shop-web', id: 'sha256:keep:web', digest: undefined });
    expect(images.beat).toEqual(images.worker);
  });

  it('comes after what it depends on, also in a circle', () => {
    expect(dependenciesFirst(config, all)).toEqual(['db', 'front', 'web', 'nginx', 'worker', 'beat']);
    const circle = { name: 'x', services: { a: { dependsOn: ['b'] }, b: { dependsOn: ['a'] } } };
    expect(dependenciesFirst(circle as never, ['a', 'b'])).toEqual(['b', 'a']);
  });
});

describe('how it is built', () => {
  const files = { root: '/srv/shop', tree: '/srv/shop/.lockkeeper/releases/1/tree' } as ReleaseFiles;
  const build = (changes: Partial<BuildConfig> = {}): BuildConfig => ({
    context: '/srv/shop/app',
    dockerfile: 'Dockerfile',
    inline: false,
    more: {},
    ...changes,
  });
  const plain = { tag: 'lockkeeper/shop:web-1', args: {} };

  it.each<[string, BuildConfig, Parameters<typeof buildOverride>[1], object]>([
    ['as the file says, on the host', build(), plain, { context: '/srv/shop/app' }],
    ['from the tree of the release', build(), { ...plain, files }, { context: `${files.tree}/app` }],
    [
      'with a Dockerfile and further contexts from there too',
      build({
        dockerfile: '/srv/shop/docker/Dockerfile',
        more: { lib: '/srv/shop/lib', base: 'docker-image://x', other: '/opt/lib' },
      }),
      { ...plain, files },
      {
        context: `${files.tree}/app`,
        dockerfile: `${files.tree}/docker/Dockerfile`,
        additional_contexts: { lib: `${files.tree}/lib`, base: 'docker-image://x', other: '/opt/lib' },
      },
    ],
    [
      'from elsewhere',
      build({ context: 'https://github.com/a/b.git' }),
      { ...plain, files },
      { context: 'https://github.com/a/b.git' },
    ],
    [
      'with arguments that Compose must not expand, by a copy of its Dockerfile',
      build(),
      { ...plain, args: { A: 'x$B' }, copy: '/copy/web' },
      { context: '/srv/shop/app', dockerfile: '/copy/web', args: { A: 'x$$B' } },
    ],
  ])('%s', (_, config, options, expected) =>
    expect(buildOverride(config, options)).toEqual({ image: plain.tag, build: expected }),
  );

  it.each<[string, BuildConfig, ReleaseFiles | undefined, ReturnType<typeof recordInContext>]>([
    ['is not below another directory', build(), undefined, { guarded: [] }],
    [
      'is in the project directory',
      build({ context: '/srv/shop' }),
      undefined,
      { copy: { context: '/srv/shop', dockerfile: 'Dockerfile' }, guarded: [] },
    ],
    [
      'is below a directory above it',
      build({ context: '/srv' }),
      files,
      { copy: { context: '/srv', dockerfile: 'Dockerfile' }, guarded: [] },
    ],
    ['is not in the tree of a release', build({ context: '/srv/shop' }), files, { guarded: [] }],
    [
      'cannot be shielded without a Dockerfile',
      build({ context: '/srv/shop', inline: true }),
      undefined,
      { guarded: ['/srv/shop'] },
    ],
    [
      'may be in a further context',
      build({ more: { all: '/srv/shop', x: 'service:web' } }),
      undefined,
      { guarded: ['/srv/shop'] },
    ],
    ['is not in a URL', build({ context: 'https://github.com/a/b.git' }), undefined, { guarded: [] }],
  ])('our record %s', (_, config, own, expected) =>
    expect(recordInContext(config, '/srv/shop', own)).toEqual(expected),
  );

  it.each([
    ['.lockkeeper', true],
    ['node_modules\n/.lockkeeper/\n', true],
    ['*\n!src', true],
    ['**/.lockkeeper\r\n', true],
    ['', false],
    ['# .lockkeeper', false],
    ['.lockkeeper\n!.lockkeeper', false],
    ['.lockkeeper\n!**', false],
    ['src/.lockkeeper', false],
  ])('the ignore file %j keeps it out: %s', (text, ignored) => expect(ignoresRecord(text)).toBe(ignored));
});

describe('room for a build', () => {
  it.each([
    ['memory 2000000\ndisk 9000000\n', { memory: 2_000_000, disk: 9_000_000 }],
    ['memory 0\n', { memory: 0 }],
    ['', {}],
  ])('is read from %j', (text, room) => expect(parseRoom(text)).toEqual(room));

  it('is judged with figures, and what the host does not tell is let pass', () => {
    expect(() => checkRoom({}, host)).not.toThrow();
    expect(() => checkRoom({ memory: 262_144, disk: 1_048_576 }, host)).not.toThrow();
    expect(() => checkRoom({ memory: 102_400 }, host)).toThrow(
      '10.0.0.5 has 100 MB of memory left, swap included: too little to build an image (256 MB at least)',
    );
    expect(() => checkRoom({ disk: 512_000 }, host)).toThrow('10.0.0.5 has 500 MB of disk left for images');
  });
});

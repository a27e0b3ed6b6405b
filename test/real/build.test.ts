import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ComposeChoice } from './network/compose-versions.ts';
import { openRepository } from './repository.ts';
import { openShop, type Shop } from './shop.ts';

const stack = fileURLToPath(new URL('stack/', import.meta.url));

/**
 * The stack with its app built from the project directory itself: `web` without a name of its own, and one image that
 * worker, beat and frontend share.
 */
async function builtStack(): Promise<string> {
  const text = await readFile(join(stack, 'compose.yaml'), 'utf8');
  const build = (more = '') => `build:\n      context: .\n      dockerfile: Dockerfile${more}`;
  const image = '  image: ${REGISTRY:-registry.test:5000}/web:${TAG:-v1}\n';
  const service = (name: string, own: string) => [
    `  ${name}:\n    <<: *app\n`,
    `  ${name}:\n    <<: *app\n    ${own}\n`,
  ];
  const changes = [
    // A busy machine starts slowly.
    ['retries: 4', 'retries: 40'],
    [`${image}  restart`, '  restart'],
    [`  ${image}`, '    image: shop-app\n'],
    service('web', build('\n      args: { FROM_FILE: "yes" }')),
    service('worker', `image: shop-app\n    ${build()}`),
    service('beat', 'image: shop-app'),
  ];
  return changes.reduce((file, [from, to]) => {
    if (!file.includes(from!)) throw new Error(`the stack's Compose file has no ${from}`);
    return file.replace(from!, to!);
  }, text);
}

const dockerfile = `FROM registry.test:5000/python:3
ARG VERSION=none
ARG SICK=
ARG FROM_FILE=no
ENV VERSION=$VERSION SICK=$SICK FROM_FILE=$FROM_FILE PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY . /all
RUN test "$VERSION" != broken
WORKDIR /app
COPY app .
ENTRYPOINT ["python3", "manage.py"]
CMD ["serve"]
`;

/** Path → content of all that a build reads. */
async function sources(): Promise<Record<string, string>> {
  const app = ['manage.py', 'migrations/0001_initial.sql', 'migrations/0002_paid.sql', 'static/site.css'];
  const entries = app.map(async (file) => [`app/${file}`, await readFile(join(stack, 'app', file), 'utf8')]);
  return {
    ...Object.fromEntries(await Promise.all(entries)),
    'compose.yaml': await builtStack(),
    'nginx/default.conf': await readFile(join(stack, 'nginx/default.conf'), 'utf8'),
    Dockerfile: dockerfile,
    '.dockerignore': '.env\nnginx\n',
  };
}

describe.each<[ComposeChoice]>([['stable'], ['newest']])('images: build with the %s Compose', (compose) => {
  let shop: Shop;
  const secret = `s-${randomBytes(12).toString('hex')}`;
  /** What each deploy of a row came to. */
  const told: Record<
    string,
    {
      outputs: Record<string, string>;
      log: string;
      version: string;
      containers: Record<string, string>;
      image: string;
    }
  > = {};
  const deploy = async (
    name: string,
    values: Record<string, string>,
    run: Parameters<Shop['deploy']>[1] = {},
  ): Promise<void> => {
    const { main } = await shop.deploy(values, run);
    told[name] = {
      outputs: main?.outputs ?? {},
      log: main?.log.join('\n') ?? '',
      version: await shop.version(),
      containers: await shop.containers(),
      image: (await shop.host.ask('docker image inspect -f "{{.Id}}" shop-web')).stdout.trim(),
    };
  };

  beforeAll(async () => {
    shop = await openShop({ compose });
    for (const [path, content] of Object.entries(await sources()))
      await shop.host.write(join(shop.directory, path), content);
    const own = {
      images: 'build',
      'env-file': `POSTGRES_PASSWORD=${shop.secrets.POSTGRES_PASSWORD}\nSECRET_KEY=${secret}\n`,
    };
    await deploy('first', { ...own, 'build-args': 'VERSION=v1' });
    // From here on a release lies in the context of the build.
    await deploy('second', { ...own, 'build-args': 'VERSION=v2' });
    await deploy('again', { ...own, 'build-args': 'VERSION=v2' });
    await deploy('broken', { ...own, 'build-args': 'VERSION=broken' });
    await deploy('sick', { ...own, 'build-args': 'VERSION=v3\nSICK=503', build: 'parallel' });
    await shop.network.services.stop('open');
    await deploy('back', { 'rollback-to': 'previous' });
    await shop.network.services.start('open');
  }, 600_000);
  afterAll(() => shop?.close());

  it('builds one image after another, each once, and serves them', async () => {
    const { outputs, log, version, image } = told.first!;
    expect({ ...outputs, version }).toMatchObject({ result: 'deployed', reason: '', version: 'v1' });
    expect(log.match(/building \w+$/gm)).toEqual(['building web', 'building worker']);
    expect(log).toMatch(/COPY app/);
    const images = JSON.parse(outputs.images!);
    expect(images.beat).toBe(images.worker);
    expect(image).toBe(images.web);
  });

  it('keeps our record and its secrets out of every layer, and what the user ignores', async () => {
    expect(told.second).toMatchObject({ outputs: { result: 'deployed', reason: '' }, version: 'v2' });
    const id = JSON.parse(told.second!.outputs.images!).web;
    const layers = `cd "$(mktemp -d)"; docker save "$1" | tar -xf -
      for layer in $(find . -name '*.tar' -o -path './blobs/*' -type f); do tar -tf "$layer" 2>/dev/null || true; done`;
    const files = (await shop.host.run(layers, { as: 'root', args: [id] })).split('\n');
    expect(files).toContain('all/compose.yaml');
    expect(files.filter((file) => /lockkeeper|nginx\/default|\.env$/.test(file))).toEqual([]);
    const found = await shop.host.ask('docker save "$2" | grep -c "$1"', { args: [secret, id], as: 'root' });
    expect(found.stdout.trim()).toBe('0');
  });

  it('has nothing to do when nothing changed', () => {
    expect(told.again).toMatchObject({
      outputs: { result: 'unchanged' },
      containers: told.second!.containers,
    });
  });

  it('leaves all as it is when a build fails, and says why', () => {
    const { outputs, ...now } = told.broken!;
    expect(outputs).toMatchObject({ result: 'failed' });
    expect(outputs.reason).toMatch(/cannot build web on .*test "\$VERSION" != broken/);
    expect(now).toMatchObject({
      version: 'v2',
      containers: told.again!.containers,
      image: told.again!.image,
    });
  });

  it('goes back from a sick build, and further by name, without a build or a registry', () => {
    expect(told.sick).toMatchObject({
      outputs: { result: 'rolled-back' },
      version: 'v2',
      image: told.second!.image,
    });
    expect(told.back).toMatchObject({
      outputs: { result: 'deployed' },
      version: 'v1',
      image: told.first!.image,
    });
    expect(told.back!.containers.postgres).toBe(told.first!.containers.postgres);
  });
});

describe('images: build with files: git', () => {
  it('builds from the commit, not from what lies in the directory', async () => {
    const shop = await openShop();
    const repository = await openRepository(join(shop.network.services.repositories, 'built'));
    try {
      const old = await repository.commit({ ...(await sources()), '.gitignore': '.env\n' });
      await shop.host.run('rm -rf "$1"; git clone -q git://git.test/built "$1"', { args: [shop.directory] });
      await shop.setEnvironment();
      const commit = await repository.commit({ 'app/new.txt': 'new' });
      const deploy = (sha: string) =>
        shop.deploy(
          { files: 'git', images: 'build', 'build-args': 'VERSION=v4', 'no-cache': 'true' },
          { github: { sha } },
        );
      const there = () => shop.compose('', 'exec', '-T', 'web', 'ls');
      expect((await deploy(commit)).main?.outputs).toMatchObject({ result: 'deployed', reason: '' });
      expect(await there()).toContain('new.txt');
      // The directory has the newer commit while the older one is built.
      expect((await deploy(old)).main?.outputs).toMatchObject({ result: 'deployed', reason: '' });
      expect(await there()).not.toContain('new.txt');
      expect(await shop.version()).toBe('v4');
    } finally {
      await repository.close();
      await shop.close();
    }
  }, 300_000);
});

describe('images: build on a small machine', () => {
  it('is refused with figures before anything is built', async () => {
    const shop = await openShop({ disk: 700 });
    try {
      for (const [path, content] of Object.entries(await sources()))
        await shop.host.write(join(shop.directory, path), content);
      const { main } = await shop.deploy({ images: 'build', 'build-args': 'VERSION=v1' });
      expect(main?.outputs.result).toBe('failed');
      expect(main?.outputs.reason).toMatch(/has \d+ MB of disk left for images: too little to build one/);
      expect(await shop.host.docker('ps', '-aq')).toBe('');
    } finally {
      await shop.close();
    }
  });
});

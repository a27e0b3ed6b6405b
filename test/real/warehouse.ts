import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openApt } from './network/apt.ts';
import { type BaseImage, baseImages, layOutImage } from './network/base-images.ts';
import { cache, once } from './network/cache.ts';
import { run } from './network/command.ts';
import type { Host } from './network/host.ts';
import { openNetwork } from './network/network.ts';
import { codename } from './network/prerequisites.ts';
import { registries } from './network/services.ts';

/** Tag → how the app of that tag is ill (SICK in stack/app/manage.py). */
export const appVersions = {
  v1: '',
  v2: '',
  v3: '',
  'v2-crash': 'crash',
  'v2-unhealthy': 'unhealthy',
  'v2-dies': 'dies',
  'v2-503': '503',
  'v2-database': 'database',
  'v2-migration': 'migration',
};
export type AppVersion = keyof typeof appVersions;

/** What a network begins with, so that no test has to pull or build what all have. */
export interface Warehouse {
  /** A docker data root with the base images. */
  dockerRoot: string;
  /** A registry's storage with base images and all versions of the app. */
  registry: string;
}

const stack = fileURLToPath(new URL('stack/', import.meta.url));

/** Made once for each state of its recipe, and kept in the cache. */
export async function openWarehouse(): Promise<Warehouse> {
  const directory = await once(join(cache, 'warehouse', await recipe()), fill);
  return { dockerRoot: join(directory, 'docker'), registry: join(directory, 'registry') };
}

/** A hash of all that the images are made of, except for the packages' versions: delete the cache for newer ones. */
async function recipe(): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([await codename(), baseImages, appVersions]));
  for (const file of ['../network/base-images.ts', '../warehouse.ts', ...(await appFiles())])
    hash.update(file).update(await readFile(join(stack, file)));
  return hash.digest('hex').slice(0, 16);
}

async function appFiles(): Promise<string[]> {
  const entries = await readdir(join(stack, 'app'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(stack, join(entry.parentPath, entry.name)))
    .sort();
}

async function fill(directory: string): Promise<void> {
  const network = await openNetwork();
  try {
    const host = await network.host('builder', { compose: 'none' });
    for (const image of baseImages) await importImage(host, image);
    const base = await host.docker('image', 'ls', '-q');
    for (const [tag, sick] of Object.entries(appVersions)) await buildApp(host, tag, { sick });
    const built = Object.keys(appVersions).map((tag) => `${registries.open}/web:${tag}`);
    await host.docker('image', 'rm', ...built);
    if ((await host.docker('image', 'ls', '-q')) !== base)
      throw new Error('more than the base images is left');
    await host.run('kill "$(cat /run/docker.pid)"; while [ -e /run/docker.pid ]; do sleep 0.1; done', {
      as: 'root',
    });
    await run('cp', ['-a', host.path('/var/lib/docker'), join(directory, 'docker')]);
    await network.services.stop('open');
    await run('cp', ['-a', network.services.storage, join(directory, 'registry')]);
  } finally {
    await network.close();
  }
}

async function importImage(host: Host, image: BaseImage): Promise<void> {
  const apt = await openApt(await codename());
  if (!apt) throw new Error('apt has no packages of this Debian');
  const root = await mkdtemp(join(cache, 'image-'));
  try {
    await layOutImage(apt, image, root);
    await run('tar', ['-C', root, '-cf', host.path('/root/image.tar'), '.']);
    const changes = image.config.flatMap((change) => ['--change', change]);
    const reference = `${registries.open}/${image.reference}`;
    await host.run(
      'docker import "$@" && docker push -q "$ref" && rm image.tar'.replace('"$ref"', reference),
      {
        as: 'root',
        args: [...changes, 'image.tar', reference],
      },
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Builds a version of the app on a host with Docker, from the base image there, and pushes it; answers its id. */
export async function buildApp(
  host: Host,
  tag: string,
  { sick = '', registry = registries.open }: { sick?: string; registry?: string } = {},
): Promise<string> {
  const context = '/tmp/app';
  await run('cp', ['-r', join(stack, 'app'), host.path(context)]);
  try {
    const reference = `${registry}/web:${tag}`;
    const build = 'docker build -q --build-arg VERSION="$2" --build-arg SICK="$3" -t "$4" "$1"';
    const id = await host.run(build, { as: 'root', args: [context, tag, sick, reference] });
    await host.run('docker push -q "$1"', { as: 'root', args: [reference] });
    return id;
  } finally {
    await rm(host.path(context), { recursive: true, force: true });
  }
}

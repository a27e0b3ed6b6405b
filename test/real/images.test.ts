import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { registries } from './network/services.ts';
import { openShop, type Shop } from './shop.ts';

// An image stays on a host for as long as it has a name, and a digest is one: Docker's own ways decide what is freed.

const web = `${registries.open}/web`;
/** All services of the app's image. */
const apps = ['web', 'worker', 'beat', 'frontend'];
let shop: Shop;
const docker = (...args: string[]) => shop.host.docker(...args);

/** What the registry knows of a version, asked for without leaving it on the host. */
async function published(tag: string, alias?: string): Promise<{ id: string; digest: string }> {
  const reference = `${web}:${tag}`;
  const here = (await images()).length;
  await docker('pull', '-q', reference);
  const format = '{{.Id}} {{index .RepoDigests 0}}';
  const [id, digest] = (await docker('image', 'inspect', '--format', format, reference)).split(' ');
  if (alias) {
    await docker('tag', reference, `${web}:${alias}`);
    await docker('push', '-q', `${web}:${alias}`);
    await docker('image', 'rm', `${web}:${alias}`);
  }
  if ((await images()).length > here) await docker('image', 'rm', reference);
  return { id: id!, digest: digest! };
}

/** Ids of the images of the app that are on the host. */
async function images(): Promise<string[]> {
  const all = (await docker('images', '-q', '--no-trunc')).split('\n').filter(Boolean);
  const lines = await docker('image', 'inspect', '--format', '{{.Id}} {{json .Config.Env}}', ...new Set(all));
  return [...lines.matchAll(/^(\S+) .*"VERSION=/gm)].map(([, id]) => id!).sort();
}

beforeAll(async () => {
  shop = await openShop();
  await shop.start();
});
afterAll(() => shop?.close());
beforeEach(async () => {
  await shop.layOut();
  await shop.forgetUs();
});

it.each([
  [
    'is named by its digest',
    async (tag: string) => {
      const { id, digest } = await published(tag);
      return { id, image: apps.map((service) => `${service}=${digest}`).join('\n') };
    },
  ],
  [
    'has a tag that moves on',
    async (tag: string) => {
      await shop.layOut((file) => file.replaceAll(/web:\$\{TAG[^}]*\}/g, 'web:live'));
      return { id: (await published(tag, 'live')).id, image: '' };
    },
  ],
])('frees the disk of a release that goes, where the image %s', async (_how, publish) => {
  const ids: string[] = [];
  for (const tag of ['v2', 'v3', 'v2', 'v1']) {
    const { id, image } = await publish(tag);
    const { main } = await shop.deploy({ image, 'keep-releases': '1' });
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result: 'deployed', reason: '' });
    ids.push(id);
  }
  expect(await shop.runningVersions()).toEqual(['v1']);
  const [v2, v3, , v1] = ids;
  expect(await images()).toEqual([v1, v2].sort());
  expect(await images()).not.toContain(v3);
});

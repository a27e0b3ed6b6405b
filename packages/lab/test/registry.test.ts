import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type ImagePush, openRegistry, type Registry, sha256 } from '../src/registry.ts';

const image: ImagePush = {
  repository: 'team/app',
  tag: '1',
  config: { Cmd: ['node', 'server.mjs'], Env: ['VERSION=1'] },
  files: { 'app/server.mjs': 'console.log(1)\n', 'app/run.sh': { content: '#!/bin/sh\n', mode: 0o755 } },
};

let registry: Registry;
beforeEach(async () => {
  registry = await openRegistry();
});
afterEach(() => registry.close());

const ask = (path: string, init: RequestInit = {}) => fetch(`http://${registry.url}${path}`, init);

it('answers a ping, manifests by tag and digest, blobs and tags', async () => {
  const digest = await registry.push(image);
  expect((await ask('/v2/')).status).toBe(200);
  const byTag = await ask('/v2/team/app/manifests/1');
  expect(byTag.headers.get('docker-content-digest')).toBe(digest);
  expect(byTag.headers.get('content-type')).toBe('application/vnd.oci.image.manifest.v1+json');
  const text = await byTag.text();
  expect(sha256(text)).toBe(digest);
  expect(await (await ask(`/v2/team/app/manifests/${digest}`)).text()).toBe(text);
  const manifest = JSON.parse(text) as {
    config: { digest: string };
    layers: Array<{ digest: string; size: number }>;
  };
  expect(manifest.config.digest).toBe(registry.imageId('team/app', '1'));
  for (const { digest: blob } of [manifest.config, ...manifest.layers]) {
    const bytes = Buffer.from(await (await ask(`/v2/team/app/blobs/${blob}`)).arrayBuffer());
    expect(sha256(bytes)).toBe(blob);
  }
  const head = await ask(`/v2/team/app/blobs/${manifest.layers[0]!.digest}`, { method: 'HEAD' });
  expect(Number(head.headers.get('content-length'))).toBe(manifest.layers[0]!.size);
  expect(await (await ask('/v2/team/app/tags/list')).json()).toEqual({ name: 'team/app', tags: ['1'] });
});

it('gives the same digest for the same image, and another for another', async () => {
  const first = await registry.push(image);
  const other = await openRegistry();
  expect(await other.push(image)).toBe(first);
  expect(await other.push({ ...image, config: { ...image.config, Env: ['VERSION=2'] } })).not.toBe(first);
  await other.close();
});

it('moves a tag, and still answers for the digest it had', async () => {
  const first = await registry.push(image);
  const second = await registry.push({ ...image, config: { Cmd: ['true'] } });
  expect((await ask('/v2/team/app/manifests/1')).headers.get('docker-content-digest')).toBe(second);
  expect((await ask(`/v2/team/app/manifests/${first}`)).status).toBe(200);
});

it('takes an image by the upload verbs and refuses content that is not its digest', async () => {
  const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: [] } });
  const begun = await ask('/v2/up/blobs/uploads/', { method: 'POST' });
  expect(begun.status).toBe(202);
  const location = begun.headers.get('location')!;
  await ask(location, { method: 'PATCH', body: config });
  expect((await ask(`${location}?digest=${sha256(config)}`, { method: 'PUT' })).status).toBe(201);
  const other = (await ask('/v2/up/blobs/uploads/', { method: 'POST' })).headers.get('location')!;
  const wrong = await ask(`${other}?digest=${sha256('else')}`, { method: 'PUT', body: config });
  expect(wrong.status).toBe(400);
  const manifest = JSON.stringify({ config: { digest: sha256(config) }, layers: [] });
  const put = await ask('/v2/up/manifests/latest', { method: 'PUT', body: manifest });
  expect(put.headers.get('docker-content-digest')).toBe(sha256(manifest));
  expect(registry.imageId('up', 'latest')).toBe(sha256(config));
});

it('asks for credentials where it has some', async () => {
  const closed = await openRegistry({ auth: { username: 'ci', password: 'secret' } });
  const denied = await fetch(`http://${closed.url}/v2/`);
  expect(denied.status).toBe(401);
  expect(denied.headers.get('www-authenticate')).toBe('Basic realm="Lab registry"');
  const authorization = `Basic ${Buffer.from('ci:secret').toString('base64')}`;
  expect((await fetch(`http://${closed.url}/v2/`, { headers: { authorization } })).status).toBe(200);
  await closed.close();
});

it('fails on demand, as often as asked and where asked', async () => {
  await registry.push(image);
  const manifest = '/v2/team/app/manifests/1';
  registry.fault({ on: 'manifest', kind: 'throttle', times: 1 });
  expect((await ask(manifest)).status).toBe(429);
  expect((await ask(manifest)).status).toBe(200);
  const fault = registry.fault({ on: 'any', kind: 'error', path: 'team/app' });
  expect((await ask(manifest)).status).toBe(500);
  expect((await ask('/v2/')).status).toBe(200);
  fault.remove();
  registry.fault({ on: 'manifest', kind: 'missing', times: 1 });
  expect(await (await ask(manifest)).json()).toMatchObject({ errors: [{ code: 'MANIFEST_UNKNOWN' }] });
  registry.fault({ on: 'manifest', kind: 'slow', ms: 120, times: 1 });
  const start = Date.now();
  await ask(manifest);
  expect(Date.now() - start).toBeGreaterThanOrEqual(110);
});

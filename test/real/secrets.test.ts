import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ActionResult, leaksIn } from '@lockkeeper/runner';
import { ArgumentWatch, type Found } from './argument-watch.ts';
import { run } from './network/command.ts';
import { makeKey } from './network/keys.ts';
import { registries } from './network/services.ts';
import { openShop, type Shop } from './shop.ts';

const secret = (what: string) => `${what}-${randomBytes(12).toString('hex')}`;

describe('no secret of a deploy is found where it must not be', () => {
  let shop: Shop;
  const deploys: Array<ActionResult & { watched: Found }> = [];
  /** What nobody may see. */
  let canaries: string[];

  beforeAll(async () => {
    shop = await openShop();
    const passphrase = secret('passphrase');
    const key = await makeKey('ed25519', passphrase);
    await shop.host.write('.ssh/authorized_keys', `${key.public}\n`, 0o600);
    const { username, password } = shop.network.services.login;
    const [fromEnvironment, ...fromFile] = [secret('environment'), secret('postgres'), secret('django')];
    const envFile = `POSTGRES_PASSWORD=${fromFile[0]}\nSECRET_KEY=${fromFile[1]}\n`;
    const inputs = {
      'private-key': key.private,
      passphrase,
      'env-file': envFile,
      environment: `TAG=v1\nREGISTRY=${registries.locked}\nGREETING=${fromEnvironment}`,
      registry: registries.locked,
      'registry-username': username,
      'registry-password': password,
      'pre-deploy': 'docker compose run --rm -T web migrate',
      'post-deploy': 'docker compose exec -T web python3 manage.py collectstatic',
    };
    const secrets = {
      KEY: key.private,
      PASSPHRASE: passphrase,
      ENV_FILE: envFile,
      PASSWORD: password,
      GREETING: fromEnvironment,
    };
    const keyLines = key.private.split('\n').filter((line) => line.length > 60);
    canaries = [passphrase, password, fromEnvironment, ...fromFile, ...keyLines];
    for (const tag of ['v1', 'v2-crash']) {
      const watch = await ArgumentWatch.begin(canaries);
      const environment = inputs.environment.replace('TAG=v1', `TAG=${tag}`);
      const run = await shop.deploy({ ...inputs, environment }, { secrets, canaries });
      deploys.push({ ...run, watched: await watch.end() });
    }
  });
  afterAll(() => shop?.close());

  it.each([
    ['lands', 'deployed'],
    ['goes back, with what its containers said', 'rolled-back'],
  ])('on either side of a deploy that %s', (_how, result) => {
    const { main, leaks, watched } = deploys.find((deploy) => deploy.main?.outputs.result === result)!;
    expect({ ...main?.outputs, log: main?.log }).toMatchObject({ result });
    // The runner's side: log, summary, outputs, state, files, arguments and environment of children.
    expect(leaks).toEqual([]);
    // Every process of both sides.
    expect(watched.samples).toBeGreaterThan(20);
    expect(watched.found).toEqual([]);
  });

  it('on the host they are in files of 0600 alone: the env file, and the releases', async () => {
    // All that was written there; what Docker itself needs to start a container is root's alone.
    const places = [shop.host.written, shop.host.path('/tmp'), shop.host.path('/run')];
    const search = 'grep -rlF -f - --exclude-dir=docker "$@" || true';
    const found = await run('sh', ['-c', search, 'sh', ...places], { input: `${canaries.join('\n')}\n` });
    const files = found.split('\n').map((file) => file.replace(shop.host.written, ''));
    expect(files).toContain(join(shop.directory, '.env'));
    const elsewhere = new RegExp(
      `^(?!${shop.directory}/(\\.env|\\.lockkeeper/releases/[^/]+/(env|environment|override\\.json))$)`,
    );
    expect(files.filter((file) => elsewhere.test(file))).toEqual([]);
    const modes = await shop.host.run('stat -c %a "$@" | sort -u', { args: files });
    expect(modes).toBe('600');
    expect(await shop.host.run('ls -a "$1"', { args: [join(shop.directory, '.lockkeeper')] })).not.toContain(
      'docker-config',
    );
  });

  it('in no layer or configuration of any image', async () => {
    const images = await shop.host.docker(
      'image',
      'ls',
      '--filter',
      'reference=*/web',
      '--format',
      '{{.Repository}}:{{.Tag}}',
    );
    const directory = await mkdtemp(join(tmpdir(), 'lockkeeper-layers-'));
    try {
      await shop.host.run('docker save -o /tmp/images.tar "$@"', { as: 'root', args: images.split('\n') });
      await run('tar', ['-xf', shop.host.path('/tmp/images.tar'), '-C', directory]);
      const unpack =
        'find "$1" -name layer.tar | while read -r layer; do mkdir "$layer.d"; tar -xf "$layer" -C "$layer.d"; rm "$layer"; done';
      await run('sh', ['-ec', unpack, 'sh', directory]);
      const found = await run('sh', ['-c', 'grep -rlF -f - "$1" || true', 'sh', directory], {
        input: `${canaries.join('\n')}\n`,
      });
      expect(found).toBe('');
    } finally {
      await rm(directory, { recursive: true, force: true });
      await shop.host.run('rm -f /tmp/images.tar', { as: 'root' });
    }
  });

  it('nor in the answers of the app to the world', async () => {
    expect(leaksIn('health', await shop.version('/health/'), canaries)).toEqual([]);
  });
});

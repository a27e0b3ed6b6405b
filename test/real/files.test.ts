import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openGitServer } from '../../actions/compose-deploy/test/git-server.ts';
import { ArgumentWatch } from './argument-watch.ts';
import { run } from './network/command.ts';
import { openRepository, type Repository, write } from './repository.ts';
import { openShop, type Shop } from './shop.ts';

const stack = fileURLToPath(new URL('stack/', import.meta.url));

/** The stack's files, with a word that nginx says in a header; nginx mounts the directory that its file lies in. */
async function stackFiles(word: string): Promise<Record<string, string>> {
  const compose = await readFile(join(stack, 'compose.yaml'), 'utf8');
  const conf = await readFile(join(stack, 'nginx/default.conf'), 'utf8');
  return {
    'compose.yaml': compose
      .replace(/- \.\/nginx\/.*:ro/, '- ./nginx:/etc/nginx/conf.d:ro')
      // A busy machine starts slowly.
      .replace('retries: 4', 'retries: 40'),
    'nginx/default.conf': conf.replace('listen 80;', `listen 80;\n  add_header X-Files ${word} always;`),
  };
}

/** What a user gets, and what nginx says it was configured with. */
async function served(shop: Shop) {
  return { version: await shop.version(), word: await word(shop) };
}

async function word(shop: Shop): Promise<string | null> {
  const response = await fetch(`http://${shop.host.address}/alive/`, { headers: { connection: 'close' } });
  return response.headers.get('x-files');
}

const data = ({ postgres, redis }: Record<string, string>) => ({ postgres, redis });

describe('files: git on a real host that served before we came', () => {
  let shop: Shop;
  let repository: Repository;
  let before: Record<string, string>;
  const deploy = (sha: string, values: Record<string, string> = {}) =>
    shop.deploy({ files: 'git', environment: 'TAG=v1', ...values }, { github: { sha } });
  const there = (...args: string[]) =>
    shop.host.run('cd "$1"; shift; git "$@"', { args: [shop.directory, ...args] });

  beforeAll(async () => {
    shop = await openShop();
    repository = await openRepository(join(shop.network.services.repositories, 'shop'));
    await repository.commit({ ...(await stackFiles('one')), '.gitignore': '.env\n' });
    await shop.host.run('rm -rf "$1"; git clone -q git://git.test/shop "$1"', { args: [shop.directory] });
    await shop.setEnvironment();
    await shop.start('v1');
    before = await shop.containers();
    expect(await word(shop)).toBe('one');
  });
  afterAll(async () => {
    await repository?.close();
    await shop?.close();
  });

  it('goes back from a release that fails to branch, files and images, and leaves the database alone', async () => {
    const next = await repository.commit(await stackFiles('sick'));
    const now = await served(shop);
    const [head, branch] = [
      await there('rev-parse', 'HEAD'),
      await there('rev-parse', '--abbrev-ref', 'HEAD'),
    ];
    const { main } = await deploy(next, { environment: 'TAG=v2-503' });
    expect(main?.outputs).toMatchObject({ result: 'rolled-back' });
    expect(await served(shop)).toEqual(now);
    expect(await there('rev-parse', 'HEAD')).toBe(head);
    expect(await there('rev-parse', '--abbrev-ref', 'HEAD')).toBe(branch);
    expect(await there('status', '--porcelain')).toBe('');
    expect(data(await shop.containers())).toEqual(data(before));
  });

  it('shows nginx its new files with the switch', async () => {
    const next = await repository.commit(await stackFiles('landed'));
    const { main } = await deploy(next, {
      'pre-deploy': 'docker compose run --rm -T --no-deps web migrate',
    });
    expect(main?.outputs).toMatchObject({ result: 'deployed', reason: '' });
    expect(await served(shop)).toEqual({ version: 'v1', word: 'landed' });
    expect(await there('rev-parse', 'HEAD')).toBe(next);
    expect(data(await shop.containers())).toEqual(data(before));
    expect((await deploy(next)).main?.outputs).toMatchObject({ result: 'unchanged' });
  });

  it('refuses a checkout that was changed by hand, and changes nothing', async () => {
    const next = await repository.commit(await stackFiles('refused'));
    const now = await served(shop);
    await shop.host.run('echo "# by hand" >>"$1/nginx/default.conf"', { args: [shop.directory] });
    const { main } = await deploy(next);
    await there('checkout', '-q', '--', 'nginx/default.conf');
    expect(main?.outputs.result).toBe('failed');
    expect(main?.outputs.reason).toContain('nginx/default.conf was changed by hand');
    expect(await served(shop)).toEqual(now);
  });

  it('is made good by the next run when the host restarts in the middle of the switch', async () => {
    const [now, head] = [await served(shop), await there('rev-parse', 'HEAD')];
    const next = await repository.commit(await stackFiles('lost'));
    const lost = await shop.deploy(
      {
        files: 'git',
        environment: 'TAG=v2',
        'health-url': 'http://localhost/nowhere',
        'health-timeout': '60s',
      },
      { github: { sha: next }, loseAt: { line: /app is not well/ } },
    );
    expect(lost.main?.conclusion).not.toBe('success');
    expect(await served(shop)).toEqual({ version: 'v2', word: 'lost' });
    await shop.host.reboot();
    // As if git had been at it just then.
    await shop.host.run('cd "$1"; git show "$2:nginx/default.conf" >nginx/default.conf; : >.git/index.lock', {
      args: [shop.directory, head],
    });
    const { main } = await deploy(next, { environment: 'TAG=v2-503', 'lock-timeout': '3m' });
    expect(main?.outputs).toMatchObject({ result: 'rolled-back' });
    expect(await there('rev-parse', 'HEAD')).toBe(head);
    expect(await served(shop)).toEqual(now);
  }, 300_000);
});

describe('files: git with a token', () => {
  it('leaves the token in no argument, no file and no log, on either side', async () => {
    const token = `ghs_${randomBytes(18).toString('hex')}`;
    const shop = await openShop();
    const { repositories } = shop.network.services;
    const [repository, server] = await Promise.all([
      openRepository(join(repositories, 'octo/shop')),
      openGitServer(repositories, token, shop.network.address),
    ]);
    try {
      const sha = await repository.commit({ ...(await stackFiles('one')), '.gitignore': '.env\n' });
      await shop.host.run('rm -rf "$1"; mkdir "$1"', { args: [shop.directory] });
      await shop.host.write('ca.pem', server.certificate);
      await shop.host.run(
        'git config --global http.sslCAInfo ~/ca.pem; git config --global credential.helper store',
      );
      const envFile = Object.entries(shop.secrets).map(([name, value]) => `${name}=${value}\n`);
      const watch = await ArgumentWatch.begin([token]);
      const { main, leaks } = await shop.deploy(
        { files: 'git', 'git-token': token, environment: 'TAG=v1', 'env-file': envFile.join('') },
        {
          github: { sha, server_url: server.url, repository: 'octo/shop' },
          secrets: { SSH_PRIVATE_KEY: shop.network.key.private, TOKEN: token },
          canaries: [token],
        },
      );
      const { samples, found } = await watch.end();
      expect(main?.outputs).toMatchObject({ result: 'deployed', reason: '' });
      expect(await word(shop)).toBe('one');
      expect(server.seen.withToken).toBeGreaterThan(0);
      expect({ leaks, found }).toEqual({ leaks: [], found: [] });
      expect(samples).toBeGreaterThan(20);
      const search = 'grep -rlF -f - --exclude-dir=docker "$@" || true';
      const places = [shop.host.written, shop.host.path('/tmp'), shop.host.path('/run')];
      expect(await run('sh', ['-c', search, 'sh', ...places], { input: `${token}\n` })).toBe('');
    } finally {
      await server.close();
      await repository.close();
      await shop.close();
    }
  }, 300_000);
});

describe('files: upload on a real host that served before we came', () => {
  let shop: Shop;
  let workspace: string;
  let before: Record<string, string>;
  const deploy = async (word: string, values: Record<string, string> = {}) => {
    for (const [path, content] of Object.entries(await stackFiles(word)))
      await write(workspace, path, content);
    return shop.deploy(
      { files: 'upload', 'upload-paths': 'compose.yaml\nnginx', environment: 'TAG=v1', ...values },
      { settings: { workspace } },
    );
  };

  beforeAll(async () => {
    shop = await openShop();
    workspace = await mkdtemp(join(tmpdir(), 'workspace-'));
    await shop.start('v1');
    before = await shop.containers();
  });
  afterAll(async () => {
    await shop?.close();
    await rm(workspace, { recursive: true, force: true });
  });

  it('goes back to the files that lay there, or serve, when it fails', async () => {
    const now = await served(shop);
    const own = await shop.host.read(join(shop.directory, 'compose.yaml'));
    const { main } = await deploy('sick', { environment: 'TAG=v2-crash' });
    expect(main?.outputs).toMatchObject({ result: 'rolled-back' });
    expect(await served(shop)).toEqual(now);
    expect(await shop.host.read(join(shop.directory, 'compose.yaml'))).toBe(own);
    expect(data(await shop.containers())).toEqual(data(before));
  });

  it('lands, is proven again when nothing changed, and goes back by name', async () => {
    const first = await deploy('one');
    expect(first.main?.outputs).toMatchObject({ result: 'deployed', reason: '' });
    expect(await word(shop)).toBe('one');
    expect((await deploy('one')).main?.outputs).toMatchObject({ result: 'unchanged' });
    expect((await deploy('two')).main?.outputs).toMatchObject({ result: 'deployed', reason: '' });
    expect(await word(shop)).toBe('two');
    const back = await shop.deploy({ 'rollback-to': 'previous' });
    expect(back.main?.outputs).toMatchObject({
      result: 'deployed',
      release: first.main?.outputs.release,
    });
    expect(await served(shop)).toEqual({ version: 'v1', word: 'one' });
    expect(data(await shop.containers())).toEqual(data(before));
  }, 300_000);
});

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Cancelled } from '@lockkeeper/action';
import { git, openRepository, type Repository } from './git-repository.ts';
import { openGitServer } from './git-server.ts';
import { openStack, type Stack } from './stack.ts';

interface Scene {
  stack: Stack;
  repository: Repository;
  /** Deploys a commit from the host's checkout. */
  deploy(commit: string, values?: Record<string, string>, signal?: AbortSignal): ReturnType<Stack['deploy']>;
  /** A file of the project directory. */
  file(path: string): Promise<string>;
  /** Runs git in the project directory, as a person there would. */
  there(...args: string[]): Promise<string>;
  close(): Promise<void>;
}

async function openScene(): Promise<Scene> {
  const [stack, repository] = [await openStack(), await openRepository()];
  return {
    stack,
    repository,
    deploy(commit, values = {}, signal) {
      stack.run = { ...stack.run, commit };
      return stack.deploy({ files: 'git', ...values }, signal);
    },
    file: (path) => readFile(join(stack.directory, path), 'utf8'),
    there: (...args) => git(stack.directory, ...args),
    async close() {
      await stack.close();
      await repository.close();
    },
  };
}

/** A compose file whose web container takes variables and a directory from the repository. */
const composeFile = (stack: Stack) =>
  stack.composeFile.replace(
    '    ports:',
    '    env_file: web.env\n    volumes: ["./conf:/etc/shop"]\n    ports:',
  );

/** Each on a host of its own, side by side: they mostly wait. */
const promise = (name: string, keep: (scene: Scene) => Promise<void>) =>
  it.concurrent(name, async () => {
    const scene = await openScene();
    try {
      await keep(scene);
    } finally {
      await scene.close();
    }
  }, 120_000);

/** The project directory becomes a clone on main, with v1 committed. */
async function clone({ stack, repository }: Pick<Scene, 'stack' | 'repository'>): Promise<string> {
  const commit = await repository.commit({
    'compose.yaml': composeFile(stack),
    'web.env': 'NOTE=one\n',
    'conf/app.conf': 'one\n',
  });
  await rm(stack.directory, { recursive: true });
  await git(stack.host.home, 'clone', '-q', repository.origin, stack.directory);
  return commit;
}

describe('files: git', () => {
  promise('moves the work tree at the switch, and back with the release that failed', async (scene) => {
    const { stack, repository, deploy, file, there } = scene;
    const one = await clone(scene);
    const first = await deploy(one);
    expect(first).toMatchObject({ result: 'deployed', reason: '' });
    const before = await stack.containers();

    const two = await repository.commit({ 'conf/app.conf': 'two\n', 'conf/more.conf': 'new\n' });
    const second = await deploy(two, { 'pre-deploy': 'cat conf/app.conf' });
    expect(second).toMatchObject({ result: 'deployed', reason: '' });
    expect(await file('conf/more.conf')).toBe('new\n');
    expect(await there('rev-parse', 'HEAD')).toBe(two);
    const after = await stack.containers();
    expect(after.web).not.toBe(before.web);
    expect(after.db).toBe(before.db);
    expect((await deploy(two)).result).toBe('unchanged');

    await stack.push('v2', '503');
    const three = await repository.commit({ 'web.env': 'NOTE=three\n', 'conf/more.conf': undefined });
    const failed = await deploy(three, { environment: 'TAG=v2' });
    expect(failed).toMatchObject({ result: 'rolled-back', hosts: [{ serving: second.release }] });
    expect(await there('rev-parse', 'HEAD')).toBe(two);
    expect(await file('conf/more.conf')).toBe('new\n');
    expect(await file('web.env')).toBe('NOTE=one\n');
    expect(await there('status', '--porcelain')).toBe('');
    expect(await stack.version()).toBe('v1');
  });

  promise(
    'makes an empty directory a checkout with a token that leaves no trace, for a branch',
    async (scene) => {
      const { stack, repository, deploy, file, there } = scene;
      const token = 'ghs_correctHorseBatteryStaple';
      const server = await openGitServer(dirname(repository.origin), token);
      try {
        await rm(stack.directory, { recursive: true });
        await mkdir(stack.directory);
        await writeFile(join(stack.host.home, 'ca.pem'), server.certificate);
        await writeFile(
          join(stack.host.home, '.gitconfig'),
          `[http]\n\tsslCAInfo = ${join(stack.host.home, 'ca.pem')}\n[credential]\n\thelper = store\n`,
        );
        stack.run = { ...stack.run, repository: { ...stack.run.repository, url: `${server.url}/shop` } };
        const commit = await repository.commit({ 'compose.yaml': stack.composeFile, 'a.txt': 'one\n' });

        const refused = await deploy(commit, { 'git-ref': 'main' });
        expect(refused.reason).toContain('cannot fetch from the repository: it is refused there');
        expect(refused.next).toContain('give git-token');

        const report = await deploy(commit, { 'git-ref': 'main', 'git-token': token });
        expect(report).toMatchObject({ result: 'deployed', reason: '' });
        expect(await file('a.txt')).toBe('one\n');
        expect(await there('rev-parse', 'HEAD')).toBe(commit);
        expect(await there('config', 'remote.origin.url')).toBe(`${server.url}/shop`);
        expect(server.seen.withToken).toBeGreaterThan(0);
        const lies = readdirSync(stack.host.home, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .filter((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(token))
          .map(({ name }) => name);
        expect(lies).toEqual([]);
        expect(report.log.join('\n')).not.toContain(token);
      } finally {
        await server.close();
      }
    },
  );

  promise(
    'goes back onto the branch that the host was on, and takes up what an interrupted run left',
    async (scene) => {
      const { stack, repository, deploy, file, there } = scene;
      const one = await clone(scene);
      await stack.docker('compose', 'up', '-d');
      await stack.push('v2', '503');
      const two = await repository.commit({ 'conf/app.conf': 'two\n', 'conf/b.conf': 'two\n' });
      const failed = await deploy(two, { environment: 'TAG=v2' });
      expect(failed).toMatchObject({ result: 'rolled-back' });
      expect(await there('rev-parse', '--abbrev-ref', 'HEAD')).toBe('main');
      expect(await there('rev-parse', 'HEAD')).toBe(one);
      const serving = failed.hosts[0]?.serving;

      const cancel = new AbortController();
      const vanished = deploy(two, { environment: 'TAG=v2', 'health-timeout': '60s' }, cancel.signal);
      while ((await stack.version()) !== 'v2') await new Promise((resolve) => setTimeout(resolve, 50));
      cancel.abort(new Cancelled('the machine is gone'));
      await expect(vanished).rejects.toThrow();
      // As if the host had restarted in the middle of the checkout, and 90 s had passed.
      await writeFile(join(stack.directory, 'conf/app.conf'), 'one\n');
      await writeFile(join(stack.directory, '.git/index.lock'), '');
      const state = join(stack.directory, '.lockkeeper');
      for (const name of readdirSync(state))
        if (name.startsWith('beat.')) await writeFile(join(state, name), '1000000000');

      const three = await repository.commit({ 'conf/app.conf': 'three\n', 'conf/b.conf': undefined });
      const next = await deploy(three, { environment: 'TAG=v2' });
      expect(next).toMatchObject({ result: 'rolled-back', hosts: [{ serving }] });
      expect([await file('conf/app.conf'), await there('status', '--porcelain')]).toEqual(['one\n', '']);
      expect(await there('rev-parse', '--abbrev-ref', 'HEAD')).toBe('main');
      const good = await deploy(three);
      expect(good).toMatchObject({ result: 'deployed', reason: '' });
      expect([await file('conf/app.conf'), existsSync(join(stack.directory, 'conf/b.conf'))]).toEqual([
        'three\n',
        false,
      ]);
    },
  );

  promise(
    'checks out a tag that no branch has, from a server that gives no commit by its id',
    async (scene) => {
      const { stack, repository, deploy, there } = scene;
      await clone(scene);
      await there('config', 'protocol.version', '0');
      await repository.commit({ 'conf/app.conf': 'tagged\n' });
      await repository.git('tag', '-a', 'v1.0', '-m', 'one');
      await repository.git('push', '-q', 'origin', 'v1.0');
      const tagged = await repository.git('rev-parse', 'HEAD');
      await repository.git('reset', '-q', '--hard', 'HEAD~1');
      await repository.git('push', '-q', '--force', 'origin', 'HEAD:main');
      expect(await deploy('', { 'git-ref': 'v1.0' })).toMatchObject({ result: 'deployed', reason: '' });
      expect(await there('rev-parse', 'HEAD')).toBe(tagged);
      await rm(stack.directory, { recursive: true });
      await git(stack.host.home, 'clone', '-q', '--depth=1', `file://${repository.origin}`, stack.directory);
      await there('config', 'protocol.version', '0');
      expect(await deploy(tagged)).toMatchObject({ result: 'deployed', reason: '' });
      expect(await there('rev-parse', 'HEAD')).toBe(tagged);
    },
  );
});

/** One host that serves the first commit of its clone; nothing below changes a container or a file. */
describe('where a commit serves', () => {
  let scene: Scene;
  let serving: string;
  let first: string;
  beforeAll(async () => {
    scene = await openScene();
    first = await clone(scene);
    serving = (await scene.deploy(first)).release;
  }, 60_000);
  afterAll(() => scene.close());

  const unchanged = async (work: () => Promise<void>) => {
    const { stack, file, there } = scene;
    const before = [await stack.containers(), await file('conf/app.conf'), await there('rev-parse', 'HEAD')];
    await work();
    expect([await stack.containers(), await file('conf/app.conf'), await there('rev-parse', 'HEAD')]).toEqual(
      before,
    );
    expect(existsSync(join(stack.directory, '.lockkeeper/pending.json'))).toBe(false);
  };

  it('names a tracked file that was changed by hand, and the command that shows the change', async () => {
    const { stack, repository, deploy } = scene;
    const next = await repository.commit({ 'conf/app.conf': 'theirs\n' });
    await writeFile(join(stack.directory, 'web.env'), 'NOTE=by hand\n');
    await unchanged(async () => {
      const report = await deploy(next);
      expect(report).toMatchObject({ result: 'failed' });
      expect(report.reason).toContain('web.env was changed by hand');
      expect(report.next).toContain('git diff');
    });
    expect(await scene.file('web.env')).toBe('NOTE=by hand\n');
    await scene.there('checkout', '-q', '--', 'web.env');
  });

  it('names a file that nobody tracks and the commit would overwrite, also one that git ignores', async () => {
    const { stack, repository, deploy } = scene;
    await writeFile(join(stack.directory, 'prod.env'), 'SECRET=theirs\n');
    await writeFile(join(stack.directory, '.git/info/exclude'), 'prod.env\n');
    const next = await repository.commit({ 'prod.env': 'SECRET=ours\n' });
    await unchanged(async () => {
      expect((await deploy(next)).reason).toContain('would overwrite prod.env');
    });
    expect(await scene.file('prod.env')).toBe('SECRET=theirs\n');
    await rm(join(stack.directory, 'prod.env'));
    await repository.commit({ 'prod.env': undefined });
  });

  it('names submodules and files of Git LFS, and the way to ship them', async () => {
    const { repository, deploy } = scene;
    await repository.git('update-index', '--add', '--cacheinfo', `160000,${first},vendor/lib`);
    await repository.git('commit', '-q', '-m', 'submodule');
    await repository.git('push', '-q', 'origin', 'HEAD:sub');
    const withSubmodule = await repository.git('rev-parse', 'HEAD');
    await repository.git('reset', '-q', '--hard', 'origin/main');
    await unchanged(async () => {
      const report = await deploy(withSubmodule);
      expect(report.reason).toContain('has submodules (vendor/lib)');
      expect(report.next).toContain('submodules: true');
    });
    const withLfs = await repository.commit({
      '.gitattributes': '*.bin filter=lfs -text\n',
      'big.bin': 'version\n',
    });
    await unchanged(async () =>
      expect((await deploy(withLfs)).reason).toContain('big.bin pass through the git filter lfs'),
    );
    await repository.commit({ '.gitattributes': undefined, 'big.bin': undefined });
  });

  it.each([
    ['nowhere', 'is no branch and no tag'],
    ['0123456789012345678901234567890123456789', 'is in no branch and no tag'],
  ])('says that %s is not in the repository', async (ref, reason) => {
    await unchanged(async () =>
      expect((await scene.deploy(first, { 'git-ref': ref })).reason).toContain(reason),
    );
  });

  it('fetches for a dry run, and leaves nothing of it', async () => {
    const { repository, deploy, there } = scene;
    const next = await repository.commit({ 'web.env': 'NOTE=planned\n', 'conf/app.conf': 'planned\n' });
    await unchanged(async () => {
      const report = await deploy(next, { 'dry-run': 'true' });
      expect(report.hosts[0]?.services).toContainEqual({
        service: 'web',
        change: 'recreate',
        why: 'configuration changed, mounted conf/app.conf changed',
      });
    });
    await expect(there('cat-file', '-e', next)).rejects.toThrow();
    expect(serving).toBeTruthy();
  });
});

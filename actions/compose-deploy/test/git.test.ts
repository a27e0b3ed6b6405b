import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { git, openRepository, type Repository } from './git-repository.ts';
import { openStack, type Stack } from './stack.ts';

interface Scene {
  stack: Stack;
  repository: Repository;
  /** Deploys a commit from the host's checkout. */
  deploy(commit: string, values?: Record<string, string>): ReturnType<Stack['deploy']>;
  /** A file of the project directory. */
  file(path: string): Promise<string>;
  /** Runs git in the project directory, as a person there would. */
  there(...args: string[]): Promise<string>;
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
    const [stack, repository] = [await openStack(), await openRepository()];
    try {
      const deploy: Scene['deploy'] = (commit, values = {}) => {
        stack.run = { ...stack.run, commit };
        return stack.deploy({ files: 'git', ...values });
      };
      await keep({
        stack,
        repository,
        deploy,
        file: (path) => readFile(join(stack.directory, path), 'utf8'),
        there: (...args) => git(stack.directory, ...args),
      });
    } finally {
      await stack.close();
      await repository.close();
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
});

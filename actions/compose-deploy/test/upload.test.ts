import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Cancelled } from '@lockkeeper/action';
import { openStack, type Stack } from './stack.ts';

interface Scene {
  stack: Stack;
  /** Writes files of the workspace; undefined removes one. */
  workspace(files: Record<string, string | undefined>): Promise<void>;
  /** A file of the project directory; undefined where there is none. */
  file(path: string): Promise<string | undefined>;
  deploy(values?: Record<string, string>, signal?: AbortSignal): ReturnType<Stack['deploy']>;
}

const promise = (name: string, keep: (scene: Scene) => Promise<void>) =>
  it.concurrent(name, async () => {
    const stack = await openStack();
    const workspace = await mkdtemp(join(tmpdir(), 'workspace-'));
    stack.run = { ...stack.run, repository: { ...stack.run.repository, workspace } };
    try {
      await keep({
        stack,
        async workspace(files) {
          for (const [path, content] of Object.entries(files)) {
            await mkdir(dirname(join(workspace, path)), { recursive: true });
            if (content === undefined) await rm(join(workspace, path));
            else await writeFile(join(workspace, path), content);
          }
        },
        file: (path) => readFile(join(stack.directory, path), 'utf8').catch(() => undefined),
        deploy: (values, signal) =>
          stack.deploy({ files: 'upload', 'upload-paths': 'compose.yaml, conf', ...values }, signal),
      });
    } finally {
      await stack.close();
      await rm(workspace, { recursive: true });
    }
  }, 120_000);

/** A compose file whose web container mounts a directory of the upload, and a file that only the host has. */
const composeFile = (stack: Stack) =>
  stack.composeFile.replace(
    '    ports:',
    '    env_file: prod.env\n    volumes: ["./conf:/etc/shop"]\n    ports:',
  );

describe('files: upload', () => {
  promise(
    'ships files of the workspace, removes what is gone, and goes back to what lay there before',
    async (scene) => {
      const { stack, workspace, file, deploy } = scene;
      await stack.docker('compose', 'up', '-d');
      await writeFile(join(stack.directory, 'prod.env'), 'NOTE=host\n');
      await workspace({
        'compose.yaml': composeFile(stack),
        'conf/app.conf': 'one\n',
        'conf/old.conf': 'old\n',
      });
      const first = await deploy();
      expect(first).toMatchObject({ result: 'deployed', reason: '' });
      expect(await file('conf/old.conf')).toBe('old\n');
      const before = await stack.containers();

      await workspace({ 'conf/app.conf': 'two\n', 'conf/old.conf': undefined });
      const second = await deploy();
      expect(second).toMatchObject({ result: 'deployed', reason: '' });
      expect(second.hosts[0]?.services).toContainEqual({
        service: 'web',
        change: 'recreate',
        why: expect.stringContaining('conf/app.conf'),
      });
      expect([await file('conf/app.conf'), await file('conf/old.conf')]).toEqual(['two\n', undefined]);
      const after = await stack.containers();
      expect(after.db).toBe(before.db);
      expect(after.web).not.toBe(before.web);
      expect((await deploy()).result).toBe('unchanged');

      await workspace({ 'conf/app.conf': 'three\n', 'conf/new.conf': 'three\n' });
      await stack.push('v2', '503');
      const failed = await deploy({ environment: 'TAG=v2' });
      expect(failed).toMatchObject({ result: 'rolled-back', hosts: [{ serving: second.release }] });
      expect([await file('conf/app.conf'), await file('conf/new.conf')]).toEqual(['two\n', undefined]);

      const initial = first.hosts[0]?.previous;
      const back = await deploy({ 'rollback-to': initial! });
      expect(back).toMatchObject({ result: 'deployed', release: initial });
      expect([await file('compose.yaml'), await file('conf/app.conf')]).toEqual([
        stack.composeFile,
        undefined,
      ]);
      expect(await stack.version()).toBe('v1');
    },
  );

  promise('is made good by post when it is cancelled after the switch', async (scene) => {
    const { stack, workspace, file, deploy } = scene;
    await writeFile(join(stack.directory, 'prod.env'), 'NOTE=host\n');
    await workspace({ 'compose.yaml': composeFile(stack), 'conf/app.conf': 'one\n' });
    const serving = (await deploy()).release;
    const { web } = await stack.containers();
    await stack.push('v2', '503');
    await workspace({ 'conf/app.conf': 'two\n', 'conf/b.conf': 'two\n' });
    const cancel = new AbortController();
    const deploying = deploy({ environment: 'TAG=v2', 'health-timeout': '60s' }, cancel.signal);
    while ((await stack.version()) !== 'v2') await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await file('conf/b.conf')).toBe('two\n');
    cancel.abort(new Cancelled('SIGINT'));
    await expect(deploying).rejects.toThrow('cancelled (SIGINT)');
    expect((await stack.recover()).message).toContain(`Rolled back to ${serving}, verified.`);
    expect([await file('conf/app.conf'), await file('conf/b.conf')]).toEqual(['one\n', undefined]);
    expect((await stack.containers()).web).not.toBe(web);
    expect(await stack.version()).toBe('v1');
  });

  promise('refuses what leads out of the workspace, and what was changed by hand', async (scene) => {
    const { stack, workspace, file, deploy } = scene;
    const { workspace: root } = stack.run.repository;
    await writeFile(join(stack.directory, 'prod.env'), 'NOTE=host\n');
    await workspace({
      'compose.yaml': composeFile(stack),
      'conf/app.conf': 'one\n',
      'conf/.git/config': 'token',
      'bin/run.sh': '#!/bin/sh\n',
    });
    await chmod(join(root, 'bin/run.sh'), 0o750);
    await symlink('../bin/run.sh', join(root, 'conf/run.sh'));
    expect(await deploy()).toMatchObject({ result: 'deployed', reason: '' });
    expect([await file('conf/run.sh'), await file('conf/.git/config')]).toEqual(['#!/bin/sh\n', undefined]);

    await symlink('/etc/passwd', join(root, 'conf/passwd'));
    expect((await deploy()).reason).toBe(
      'conf/passwd is a link that leads out of the workspace; it is not uploaded',
    );
    await rm(join(root, 'conf/passwd'));

    await writeFile(join(stack.directory, 'conf/app.conf'), 'by hand\n');
    await workspace({ 'conf/app.conf': 'two\n' });
    expect((await deploy()).reason).toContain('conf/app.conf was changed by hand');
    expect(await file('conf/app.conf')).toBe('by hand\n');
    expect((await deploy({ 'upload-paths': 'nowhere' })).reason).toBe('the workspace has no nowhere');
  });
});

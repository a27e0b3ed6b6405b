import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { extract } from 'tar-stream';
import { hashFiles, tarOf, workspaceFiles } from '../../src/files/workspace.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'workspace-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (files: Record<string, string>) => {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
};
const paths = async (...wanted: string[]) => (await workspaceFiles(root, wanted)).map(({ path }) => path);

describe('the files of the workspace', () => {
  it('are those named, with all below directories, and no repository of git', async () => {
    put({
      'compose.yaml': '1',
      'conf/b': '2',
      'conf/a/x': '3',
      'conf/.git/config': 'token',
      other: '4',
      '.env': '5',
    });
    expect(await paths('compose.yaml', 'conf')).toEqual(['compose.yaml', 'conf/a/x', 'conf/b']);
  });

  it('are what links within it lead to', async () => {
    put({ 'shared/x': '1' });
    mkdirSync(join(root, 'conf'));
    symlinkSync('../shared', join(root, 'conf/shared'));
    symlinkSync('../shared/x', join(root, 'conf/y'));
    expect(await paths('conf')).toEqual(['conf/shared/x', 'conf/y']);
  });

  it.each([
    ['/proc/self/environ', /leads out of the workspace/],
    ['../..', /leads out of the workspace/],
    ['../.git/config', /leads out of the workspace/],
    ['..', /link to a directory that it lies in|leads out/],
    ['nowhere', /has no conf\/link/],
  ])('are refused where a link leads to %s', async (target, reason) => {
    put({ 'conf/x': '1', '.git/config': 'token' });
    symlinkSync(target, join(root, 'conf/link'));
    await expect(paths('conf')).rejects.toThrow(reason);
  });

  it('are no pipes, no odd names, and not none', async () => {
    put({ 'conf/x': '1' });
    mkdirSync(join(root, 'empty'));
    await expect(paths('empty')).rejects.toThrow('there is no file in empty');
    await expect(paths('missing')).rejects.toThrow('the workspace has no missing');
    execFileSync('mkfifo', [join(root, 'conf/pipe')]);
    await expect(paths('conf')).rejects.toThrow('conf/pipe is neither a file nor a directory');
    rmSync(join(root, 'conf/pipe'));
    writeFileSync(join(root, 'conf/a\nb'), '');
    await expect(paths('conf')).rejects.toThrow('has a name that cannot be uploaded');
    await expect(workspaceFiles('', ['x'])).rejects.toThrow('GITHUB_WORKSPACE is not set');
  });

  it('travel as they are, a program as one', async () => {
    put({ 'a/run.sh': '#!/bin/sh\n', 'a/data': 'x'.repeat(200_000) });
    chmodSync(join(root, 'a/run.sh'), 0o700);
    const files = await workspaceFiles(root, ['a']);
    const reader = extract();
    tarOf(files).pipe(reader);
    const arrived: Array<[string, number | undefined, string]> = [];
    for await (const entry of reader) {
      const hash = createHash('sha256');
      for await (const chunk of entry) hash.update(chunk as Buffer);
      arrived.push([entry.header.name, entry.header.mode, hash.digest('hex')]);
    }
    const hashes = await hashFiles(files);
    expect(arrived).toEqual([
      ['a/data', 0o644, hashes.get('a/data')],
      ['a/run.sh', 0o755, hashes.get('a/run.sh')],
    ]);
  });

  it('fail to travel, and are not cut short, when one changes meanwhile', async () => {
    put({ a: 'x'.repeat(1000) });
    const files = await workspaceFiles(root, ['a']);
    writeFileSync(join(root, 'a'), 'short');
    const reading = (async () => {
      for await (const _ of tarOf(files));
    })();
    await expect(reading).rejects.toThrow();
  });
});

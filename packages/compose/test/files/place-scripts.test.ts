import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pack } from 'tar-stream';
import { manifestText } from '../../src/files/manifest.ts';
import * as uploads from '../../src/files/upload-scripts.ts';
import { makeView } from '../../src/files/view-scripts.ts';
import { type HostKind, hostKinds } from './host-kinds.ts';

const { kinds, close } = hostKinds();
afterAll(close);

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'project with space-'));
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

type Files = Record<string, string>;
const record = () => join(project, '.lockkeeper');
const releases = () => join(record(), 'releases');
const put = (directory: string, files: Files) => {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
};
/** All files below the project directory but the record's. */
const lies = (directory = project): Files =>
  Object.fromEntries(
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => statSync(path).isFile())
      .filter((path) => !path.startsWith(join(project, '.lockkeeper')) || directory !== project)
      .map((path) => [path.slice(directory.length + 1), readFileSync(path, 'utf8')]),
  );
const sum = (text: string) => createHash('sha256').update(text).digest('hex');
const manifestOf = (files: Files) =>
  manifestText(new Map(Object.entries(files).map(([path, content]) => [path, sum(content)])));

async function tar(files: Files): Promise<Buffer> {
  const stream = pack();
  for (const [name, content] of Object.entries(files))
    stream.entry({ name, mode: name.endsWith('.sh') ? 0o755 : 0o644 }, content);
  stream.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function run(kind: HostKind, script: string, args: string[], stdin?: string | Buffer) {
  const result = await kind.run(script, args, stdin);
  if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stderr}`);
  return result.stdout;
}

/** Uploads a release, and answers what speaks against it. */
async function upload(kind: HostKind, id: string, files: Files, inPlace: string[] = []): Promise<string> {
  const release = join(releases(), id);
  await run(kind, uploads.unpack, [release], await tar(files));
  const manifests = inPlace.map((one) => join(one === 'before' ? record() : releases(), one, 'manifest'));
  return run(kind, uploads.inspectUpload, [project, release, ...manifests], manifestOf(files));
}

const place = (kind: HostKind, id: string, how: 'fresh' | 'mixed', known: string[]) =>
  run(kind, uploads.placeUpload, [
    project,
    id && join(releases(), id),
    join(record(), 'before'),
    join(releases(), 'aside'),
    how,
    ...known.map((one) => join(releases(), one, 'manifest')),
  ]);

describe.each(kinds.map((kind) => [kind.name, kind] as const))('on a host with %s', (_, kind) => {
  const promise = kind.available ? it : it.skip;

  promise('uploaded files replace those that lay there, and these come back', async () => {
    const before = { 'compose.yaml': 'theirs', 'conf/a b.conf': 'theirs', 'untouched.txt': 'theirs' };
    put(project, before);
    const one = {
      'compose.yaml': 'one',
      'conf/a b.conf': 'theirs',
      'bin/run.sh': '#!/bin/sh',
      'new/deep/x': 'one',
    };
    expect(await upload(kind, '1', one)).toBe(
      'differs compose.yaml\ndiffers bin/run.sh\ndiffers new/deep/x\nserving\n',
    );
    await place(kind, '1', 'fresh', []);
    expect(lies()).toEqual({ ...before, ...one });
    expect(statSync(join(project, 'bin/run.sh')).mode & 0o777).toBe(0o755);
    expect(statSync(join(project, 'compose.yaml')).mode & 0o777).toBe(0o644);

    const two = { 'compose.yaml': 'two', 'bin/run.sh': '#!/bin/sh' };
    await upload(kind, '2', two, ['1']);
    await place(kind, '2', 'fresh', ['1']);
    expect(lies()).toEqual({ ...before, 'compose.yaml': 'two', 'bin/run.sh': '#!/bin/sh' });
    expect(existsSync(join(project, 'new'))).toBe(false);

    await place(kind, '1', 'mixed', ['1', '2']);
    expect(lies()).toEqual({ ...before, ...one });
    await place(kind, '', 'mixed', ['1', '2']);
    expect(lies()).toEqual(before);
  });

  promise('a placing that broke off half-way ends well, forward or back, done again', async () => {
    put(project, { a: 'theirs', c: 'theirs' });
    await upload(kind, '1', { a: 'one', b: 'one', c: 'one' });
    await place(kind, '1', 'fresh', []);
    await upload(kind, '2', { a: 'two', b: 'two', d: 'two' }, ['1']);
    await place(kind, '2', 'fresh', ['1']);
    // As if it had been cut while it wrote `b`.
    put(project, { b: 'one', 'b.lockkeeper-part': 'tw' });
    const other = { a: 'three', e: 'three' };
    expect(await upload(kind, '3', other, ['1', '2', 'before'])).not.toContain('changed');
    await place(kind, '3', 'mixed', ['1', '2']);
    expect(lies()).toEqual({ ...other, c: 'theirs' });
    await place(kind, '1', 'mixed', ['1', '2', '3']);
    expect(lies()).toEqual({ a: 'one', b: 'one', c: 'one' });
  });

  promise('what a person changed is told before the switch, and kept on the way back', async () => {
    await upload(kind, '1', { a: 'one', b: 'one' });
    await place(kind, '1', 'fresh', []);
    put(project, { b: 'by hand' });
    expect(await upload(kind, '2', { a: 'two', b: 'two' }, ['1'])).toContain('changed b\n');
    expect(await place(kind, '1', 'mixed', ['1'])).toContain('b was changed by hand: a copy is in');
    expect(lies()).toEqual({ a: 'one', b: 'one' });
    expect(readFileSync(join(releases(), 'aside/b'), 'utf8')).toBe('by hand');
  });

  promise('what did not arrive whole, and what is in the way, is told', async () => {
    mkdirSync(join(project, 'a'));
    symlinkSync('/etc', join(project, 'conf'));
    const files = { a: '1', 'conf/x': '2', whole: '3' };
    const release = join(releases(), '1');
    await run(kind, uploads.unpack, [release], await tar({ ...files, whole: 'cut' }));
    const told = await run(kind, uploads.inspectUpload, [project, release], manifestOf(files));
    expect(told).toContain('damaged whole\n');
    expect(told).toContain('blocked a\nblocked conf\n');
    await expect(place(kind, '1', 'fresh', [])).rejects.toThrow('a is a directory');
  });

  promise(
    'the view has the release and what only the host has, without what goes and what is ours',
    async () => {
      const release = join(releases(), '2');
      put(join(release, 'tree'), { 'compose.yaml': 'new', 'conf/app.conf': 'new' });
      put(join(releases(), '1/tree'), { 'conf/old.conf': 'old', 'gone.env': 'old' });
      put(project, {
        'compose.yaml': 'old',
        'conf/old.conf': 'old',
        'gone.env': 'old',
        'conf/local.conf': 'host',
        'prod.env': 'host',
        'data/deep/x': 'host',
        '.hidden': 'host',
        '.git/config': 'host',
      });
      await run(kind, makeView, [project, release, 'upload', join(releases(), '1/tree'), '']);
      const view = join(release, 'view');
      expect(lies(view)).toMatchObject({
        'compose.yaml': 'new',
        'conf/app.conf': 'new',
        'conf/local.conf': 'host',
      });
      expect(readdirSync(view).sort()).toEqual(['.hidden', 'compose.yaml', 'conf', 'data', 'prod.env']);
      expect(readdirSync(join(view, 'conf')).sort()).toEqual(['app.conf', 'local.conf']);
      expect(readFileSync(join(view, 'data/deep/x'), 'utf8')).toBe('host');
    },
  );
});

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import * as scripts from '../../src/files/git-scripts.ts';
import { makeView } from '../../src/files/view-scripts.ts';
import { type HostKind, hostKinds } from './host-kinds.ts';

const { kinds, close } = hostKinds();
afterAll(close);

/** The top of a checkout; the project lies below it. */
let top: string;
const project = () => join(top, 'deploy here');
const record = () => join(project(), '.lockkeeper');

const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
    cwd: top,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
const put = (files: Record<string, string | undefined>) => {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    if (content === undefined) rmSync(join(top, path));
    else writeFileSync(join(top, path), content);
  }
};
const read = (path: string) => readFileSync(join(top, path), 'utf8');
const commit = (files: Record<string, string | undefined>) => {
  put(files);
  git('add', '-A');
  git('commit', '-q', '-m', 'change');
  return git('rev-parse', 'HEAD');
};

let one: string;
let two: string;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'checkout with space-'));
  git('init', '-q', '-b', 'main');
  one = commit({ a: 'one', b: 'one', 'deploy here/compose.yaml': 'one', '.gitignore': '*.log\n' });
  two = commit({ a: 'two', b: undefined, 'deploy here/new': 'two' });
  git('reset', '-q', '--hard', one);
  mkdirSync(record(), { recursive: true });
  writeFileSync(join(record(), '.gitignore'), '*\n');
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

async function run(kind: HostKind, script: string, args: string[]) {
  const result = await kind.run(script, args);
  if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stderr}`);
  return result.stdout;
}
const checkOut = (kind: HostKind, id: string, branch = '', known: string[] = []) =>
  run(kind, scripts.checkOut, [project(), id, branch, join(record(), 'aside'), ...known]);
const release = () => join(record(), 'releases/1');
const layOut = (kind: HostKind, id: string, base = '', known: string[] = []) =>
  run(kind, scripts.exportCommit, [top, release(), id, 'deploy here/', base, '', ...known]);

describe.each(kinds.map((kind) => [kind.name, kind] as const))('on a host with %s', (_, kind) => {
  const promise = kind.available ? it : it.skip;

  promise('a checkout is told: its top, the project below it, where HEAD is', async () => {
    expect(await run(kind, scripts.lookAtCheckout, [project()])).toBe(
      `top ${top}\nprefix deploy here/\ntracked yes\nhead ${one}\nbranch main\n`,
    );
    git('checkout', '-q', '--detach', two);
    expect(await run(kind, scripts.lookAtCheckout, [project()])).toContain(`head ${two}\n`);
    rmSync(join(top, '.git'), { recursive: true });
    expect(await run(kind, scripts.lookAtCheckout, [project()])).toBe('none\n');
    put({ 'deploy here/compose.yaml': undefined, 'deploy here/new': undefined });
    expect(await run(kind, scripts.lookAtCheckout, [project()])).toBe('none\nempty yes\n');
  });

  promise('a commit is laid out beside the work tree, which stays as it is', async () => {
    const told = await layOut(kind, two, one);
    expect(told).toBe(
      `tree ${git('rev-parse', `${two}^{tree}`)}\ndiffers a\ndiffers b\ndiffers deploy here/new\nlaid out\n`,
    );
    expect([read('a'), readFileSync(join(release(), 'tree/a'), 'utf8')]).toEqual(['one', 'two']);
    expect(git('status', '--porcelain')).toBe('');
    put({ 'deploy here/local.env': 'host', 'data/x': 'host', 'data/y': 'host' });
    await run(kind, makeView, [top, release(), 'git', '', 'deploy here/new']);
    expect(readFileSync(join(release(), 'view/deploy here/local.env'), 'utf8')).toBe('host');
    expect(readFileSync(join(release(), 'view/data/y'), 'utf8')).toBe('host');
    expect(existsSync(join(release(), 'view/b'))).toBe(false);
    expect(existsSync(join(release(), 'view/deploy here/.lockkeeper'))).toBe(false);
  });

  promise(
    'what a person changed, and what would be overwritten, is told and nothing is laid out',
    async () => {
      put({ a: 'by hand', 'deploy here/new': 'theirs' });
      expect(await layOut(kind, two)).toBe('changed a\noverwritten deploy here/new\n');
      put({ a: 'one', 'deploy here/new': undefined, 'x.log': 'ignored' });
      const three = git('commit-tree', '-p', two, '-m', 'x', git('rev-parse', `${two}^{tree}`));
      expect(await layOut(kind, three)).toContain('laid out');
      expect(existsSync(join(release(), 'tree/a'))).toBe(true);
    },
  );

  promise('no hook and no filter of the host runs', async () => {
    const trap = join(top, '.git/hooks/post-checkout');
    mkdirSync(dirname(trap), { recursive: true });
    writeFileSync(trap, `#!/bin/sh\ntouch '${top}/trapped'\n`, { mode: 0o755 });
    await checkOut(kind, two);
    expect(existsSync(join(top, 'trapped'))).toBe(false);
    git('config', 'filter.trap.smudge', `touch '${top}/trapped'; cat`);
    const filtered = commit({ '.gitattributes': '*.bin filter=trap\n', 'x.bin': 'x' });
    rmSync(join(top, 'trapped'), { force: true });
    expect(await layOut(kind, filtered)).toBe('filter trap x.bin\n');
    expect(existsSync(join(top, 'trapped'))).toBe(false);
  });

  promise(
    'a work tree left half-way, with the lock of a git that is gone, ends on the branch it was on',
    async () => {
      await checkOut(kind, two);
      expect([read('a'), existsSync(join(top, 'b'))]).toEqual(['two', false]);
      put({ a: 'one', 'deploy here/new': 'by hand' });
      writeFileSync(join(top, '.git/index.lock'), '');
      expect(await layOut(kind, one, '', [one, two])).toBe('changed deploy here/new\n');
      expect(await checkOut(kind, one, 'main', [one, two])).toContain(
        'deploy here/new was changed by hand: a copy is in',
      );
      expect(readFileSync(join(record(), 'aside/deploy here/new'), 'utf8')).toBe('by hand');
      expect([read('a'), read('b'), git('status', '--porcelain')]).toEqual(['one', 'one', '']);
      expect(git('rev-parse', '--abbrev-ref', 'HEAD')).toBe('main');
    },
  );

  promise('a file that was changed after staging keeps the work tree where it is', async () => {
    put({ a: 'by hand' });
    await expect(checkOut(kind, two)).rejects.toThrow('changed by hand since it was staged: a');
    expect([read('a'), git('rev-parse', 'HEAD')]).toEqual(['by hand', one]);
  });
});

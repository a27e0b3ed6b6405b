import { describe, expect, it } from '@jest/globals';
import { type InputError, inputsOf } from '@lockkeeper/action';
import { servicesThatMount } from '../../src/files/changed-files.ts';
import { readFileSource } from '../../src/files/file-source.ts';
import { explainGit, judgeCheckout, parseCheckout } from '../../src/files/git-checkout.ts';
import { judgeExport, listed, parseExport } from '../../src/files/git-export.ts';
import { isCommitId, isRefName, resolveRef } from '../../src/files/git-ref.ts';
import { differingPaths, manifestText, parseManifest } from '../../src/files/manifest.ts';
import { type FilesOf, placementOf } from '../../src/files/place.ts';
import { moved } from '../../src/files/release-files.ts';
import { judgeInspection, parseInspection } from '../../src/files/upload.ts';

const host = { name: '10.0.0.5', login: 'ssh deploy@10.0.0.5' };
const [a, b, c] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];

describe('the inputs of files', () => {
  const read = (values: Record<string, string>) => {
    const inputs = inputsOf(values, { files: 'host' });
    const source = readFileSource(inputs);
    try {
      inputs.done();
      return { source, masked: inputs.masked };
    } catch (error) {
      return { problems: (error as InputError).problems };
    }
  };

  it.each([
    [{}, { from: 'host' }],
    [{ files: 'git' }, { from: 'git' }],
    [
      { files: 'git', 'git-ref': 'release/1.2' },
      { from: 'git', ref: 'release/1.2' },
    ],
    [
      { files: 'upload', 'upload-paths': './compose.yaml, conf/\nconf' },
      { from: 'upload', paths: ['compose.yaml', 'conf'] },
    ],
  ])('%j mean %j', (values, source) => expect(read(values).source).toEqual(source));

  it('mask the token', () =>
    expect(read({ files: 'git', 'git-token': 'ghs_0123456789' })).toMatchObject({
      source: { token: 'ghs_0123456789' },
      masked: ['ghs_0123456789'],
    }));

  it.each([
    [{ files: 'ftp' }, /^files: /],
    [{ 'git-ref': 'main' }, /^git-ref: is of use only with files: git/],
    [{ 'git-token': 'x' }, /^git-token: is of use only with files: git/],
    [{ files: 'git', 'git-token': 'two words' }, /^git-token: has characters that no token has/],
    [{ 'upload-paths': 'a' }, /^upload-paths: is of use only with files: upload/],
    [{ files: 'upload' }, /^upload-paths: is required/],
    ...['.', '/etc/passwd', '../x', 'a/../../x', '-rf', '.git', 'a/.git/config', '.lockkeeper', 'a//b'].map(
      (path) => [{ files: 'upload', 'upload-paths': path }, /^upload-paths: ".*" is not valid/] as const,
    ),
  ])('%j is refused', (values, problem) =>
    expect(read(values as Record<string, string>).problems).toEqual([expect.stringMatching(problem)]),
  );
});

describe('a git ref', () => {
  it.each(['main', 'v1.2.3', 'feature/x_y-z', 'refs/heads/main', a])('may be %s', (ref) =>
    expect(isRefName(ref)).toBe(true),
  );
  it.each([
    '',
    '-oProxyCommand=id',
    '--upload-pack=x',
    'a b',
    'a;b',
    '$(id)',
    'a..b',
    'a/../b',
    '.hidden',
    'a/.b',
    'a//b',
    'a/',
    'a.lock',
    'a.lock/b',
    'a.',
    'a~1',
    'a^{}',
    'a:b',
    '@{u}',
    `${'x'.repeat(256)}`,
  ])('may not be %j', (ref) => expect(isRefName(ref)).toBe(false));

  it('is a commit only as a whole id', () => {
    expect([a, `${a}${'0'.repeat(24)}`, a.slice(1), 'A'.repeat(40), 'main'].map(isCommitId)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it.each<[string, string, ReturnType<typeof resolveRef>]>([
    ['main', `${a}\trefs/heads/main\n`, { commit: a }],
    ['v1', `${a}\trefs/tags/v1\n${b}\trefs/tags/v1^{}\n`, { commit: b }],
    ['v1', `${a}\trefs/tags/v1\n`, { commit: a }],
    ['refs/heads/v1', `${c}\trefs/heads/v1\n`, { commit: c }],
    ['x', `${a}\trefs/heads/x\n${a}\trefs/tags/x\n`, { commit: a }],
    [
      'x',
      `${a}\trefs/heads/x\n${b}\trefs/tags/x\n`,
      { problem: 'is both a branch and a tag; say refs/heads/x or refs/tags/x' },
    ],
    ['x', `${a}\trefs/heads/other/x\n`, { problem: 'is no branch and no tag of the repository' }],
    ['x', 'nonsense', { problem: 'is no branch and no tag of the repository' }],
  ])('%s among %j is %j', (ref, listing, resolved) => expect(resolveRef(ref, listing)).toEqual(resolved));
});

describe('the checkout', () => {
  it('has its top as the project directory is written, whatever links lead there', () => {
    const told = `top /data/srv/app\nprefix deploy/\ntracked yes\nhead ${a}\norigin yes\n`;
    expect(parseCheckout(told, '/srv/app/deploy')).toMatchObject({
      root: '/srv/app',
      prefix: 'deploy/',
      head: a,
    });
    expect(parseCheckout(told, '/elsewhere')).toMatchObject({ root: '/data/srv/app' });
    expect(parseCheckout('top /srv/app\nprefix \n', '/srv/app')).toMatchObject({
      root: '/srv/app',
      prefix: '',
    });
    expect(parseCheckout('none\nempty yes\n', '/srv/app')).toMatchObject({ root: undefined, empty: true });
  });

  it.each([
    [`top /srv/app\nprefix \nhead ${a}\n`, { root: '/srv/app', prefix: '', initialise: false }],
    ['top /srv\nprefix app/\ntracked yes\n', { root: '/srv', prefix: 'app/', initialise: false }],
    ['none\nempty yes\n', { root: '/srv/app', prefix: '', initialise: true }],
    ['top /srv\nprefix app/\nempty yes\n', { root: '/srv/app', prefix: '', initialise: true }],
  ])('%j is used as %j', (told, decision) =>
    expect(judgeCheckout(parseCheckout(told, '/srv/app'), '/srv/app', host)).toEqual(decision),
  );

  it.each([
    ['git absent\n', /has no git/],
    ['none\n', /no git checkout, and not empty/],
    ['top /srv\nprefix app/\n', /\/srv is one, and has no files there/],
    [
      "none\nsaid fatal: detected dubious ownership in repository at '/srv/app'\n",
      /belongs to another user than the one who logs in/,
    ],
  ])('%j is refused', (told, reason) =>
    expect(() => judgeCheckout(parseCheckout(told, '/srv/app'), '/srv/app', host)).toThrow(reason),
  );

  it.each([
    [
      "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
      /it is refused there/,
    ],
    [
      'git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.',
      /it is refused/,
    ],
    ['Host key verification failed.\nfatal: Could not read from remote', /host key is not in known_hosts/],
    ["fatal: unable to access 'https://x/': Could not resolve host: x", /it is not reached/],
    ["fatal: 'origin' does not appear to be a git repository", /has no remote origin/],
    ['error: something else\nfatal: the end', /git failed on 10\.0\.0\.5: error: something else/],
  ])('git saying %j is told in words', (said, reason) =>
    expect(explainGit(said, host, '/srv/app').message).toMatch(reason),
  );

  it('never shows a password that stands in a URL', () => {
    const error = explainGit("fatal: x 'https://bot:hunter2@github.com/a'", host, '/srv/app');
    expect(error.message + error.details).not.toContain('hunter2');
  });
});

describe('what speaks against a commit', () => {
  const judge = (text: string) => () => judgeExport(parseExport(text), { host, root: '/srv/app', commit: a });
  it.each([
    ['changed a.txt\nchanged b c\n', /a\.txt, b c were changed by hand/],
    ['overwritten prod.env\n', /would overwrite prod\.env/],
    ['submodule vendor/lib\n', /submodules \(vendor\/lib\)/],
    ['filter lfs big file.bin\n', /big file\.bin pass through the git filter lfs/],
    ['record yes\n', /files below \.lockkeeper/],
    [`tree ${b}\n`, /did not lay out/],
  ])('%j is told', (text, reason) => expect(judge(text)).toThrow(reason));

  it('is nothing where it was laid out', () => {
    expect(judge(`tree ${b}\ndiffers x\nlaid out\n`)).not.toThrow();
    expect(parseExport(`tree ${b}\ndiffers x\nlaid out\n`)).toMatchObject({ tree: b, differs: ['x'] });
  });

  it('names ten files and counts the rest', () =>
    expect(listed(Array.from({ length: 12 }, (_, n) => `f${n}`))).toMatch(/^f0, .*f9 and 2 more$/));
});

describe('what was uploaded', () => {
  const hash = 'a'.repeat(64);
  const manifest = new Map([
    ['a b', hash],
    ['c', 'b'.repeat(64)],
  ]);

  it('has a manifest that is read as it was written', () =>
    expect(parseManifest(manifestText(manifest))).toEqual(manifest));

  it('differs where a path has another content, or is in one alone', () =>
    expect(
      differingPaths(
        manifest,
        new Map([
          ['a b', hash],
          ['d', hash],
        ]),
      ).sort(),
    ).toEqual(['c', 'd']));

  it.each([
    ['damaged x\nserving\n', /x did not arrive/],
    ['blocked conf\nserving\n', /conf in \/srv\/app on 10\.0\.0\.5 is a link/],
    ['changed x\nchanged y\nserving\n', /x, y were changed by hand/],
  ])('is refused for %j', (text, reason) =>
    expect(() => judgeInspection(parseInspection(text), { host, directory: '/srv/app' })).toThrow(reason),
  );

  it('is told from what serves', () =>
    expect(parseInspection(`differs x\nserving\n${hash}  differs y\n`)).toMatchObject({
      differs: ['x'],
      serving: new Map([['differs y', hash]]),
    }));
});

describe('files are put in place', () => {
  const at = (commit: string, branch: string | null = null) => ({ commit, branch });
  it.each<[string, Parameters<typeof placementOf>[0], FilesOf[], ReturnType<typeof placementOf>]>([
    ['of a commit', { files: 'git', git: at(a) }, [], { upload: false, commit: at(a) }],
    ['of an upload', { files: 'upload' }, ['host'], { upload: true }],
    [
      'back from a commit',
      { files: 'host', git: at(a, 'main') },
      ['git'],
      { upload: false, commit: at(a, 'main') },
    ],
    ['back from an upload', { files: 'host' }, ['upload'], { upload: true }],
    [
      'back to a commit from an upload',
      { files: 'git', git: at(a) },
      ['upload'],
      { upload: true, commit: at(a) },
    ],
    ['back to nothing from a commit', undefined, ['git'], { upload: false, commit: at(b) }],
    ['back to nothing from an upload', undefined, ['upload'], { upload: true }],
    ['not at all between files of the host', { files: 'host', git: at(a) }, ['host'], { upload: false }],
  ])('%s', (_, target, inPlace, placement) => {
    const before = inPlace.includes('git') ? at(b) : undefined;
    expect(placementOf(target, inPlace, before)).toEqual(placement);
  });

  it('and a service sees that by its mounts, a directory above the file included', () =>
    expect(
      servicesThatMount(['nginx/conf.d/a.conf', 'README.md'], '/srv/app', {
        nginx: ['/srv/app/nginx/conf.d', '/srv/data'],
        one: ['/srv/app/nginx/conf.d/a.conf'],
        other: ['/srv/app/nginx/conf'],
        all: ['/srv/app'],
        none: [],
      }),
    ).toEqual({
      nginx: ['nginx/conf.d/a.conf'],
      one: ['nginx/conf.d/a.conf'],
      all: ['nginx/conf.d/a.conf', 'README.md'],
    }));

  it.each([
    ['/srv/app', '/srv/app', '/tree', '/tree'],
    ['/srv/app/x', '/srv/app', '/tree', '/tree/x'],
    ['/srv/apple', '/srv/app', '/tree', undefined],
    ['/srv', '/srv/app', '/tree', undefined],
  ])('%s below %s is below %s %s', (path, from, to, expected) =>
    expect(moved(path, from, to)).toBe(expected),
  );
});

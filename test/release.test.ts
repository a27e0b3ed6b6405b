import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { actions, root } from '../tools/manifest.ts';

// The scripts of release.yml, in a clone of a bare repository; `gh` is played, and keeps its releases in files.

const gh = `#!/bin/sh
# Dies just before, or just after, what it is told to do.
set -eu
last() { while [ $# -gt 1 ]; do shift; done; printf '%s' "$1"; }
after() { wanted=$1; shift; while [ $# -gt 0 ]; do if [ "$1" = "$wanted" ]; then printf '%s' "$2"; return; fi; shift; done; }
deed="$1 $2"
case "$*" in *--draft=false*) deed='release publish' ;; esac
[ "\${DIE_BEFORE:-}" != "$deed" ] || exit 9
case $deed in
  'release list') tag=$(last "$@" | sed -n 's/.*"\\(v[0-9.]*\\)".*/\\1/p'); [ ! -e "$GH/$tag" ] || cat "$GH/$tag" ;;
  'release create') echo draft > "$GH/$3"; after --target "$@" > "$GH/$3.target"; after --notes "$@" > "$GH/$3.notes" ;;
  'release edit') after --target "$@" > "$GH/$3.target" ;;
  'release upload') cp "$(last "$@")" "$GH/$3.asset" ;;
  'release publish')
    git --git-dir="$ORIGIN" tag "$3" "$(cat "$GH/$3.target")"
    echo published > "$GH/$3"
    ;;
  'pr list') [ ! -e "$GH/pr" ] || echo 7 ;;
  'pr create' | 'pr edit') after --title "$@" >> "$GH/pr"; echo >> "$GH/pr" ;;
  'workflow run') printf '%s\\n' "$*" >> "$GH/runs" ;;
  *) echo "no gh $*" >&2; exit 2 ;;
esac
[ "\${DIE_AFTER:-}" != "$deed" ] || exit 9
`;

let scratch: string;
let clone: string;
const place = (name: string) => join(scratch, name);
const environment = () => ({
  PATH: `${place('bin')}:${process.env.PATH}`,
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.com',
  GH: place('gh'),
  ORIGIN: place('origin'),
});

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}
function run(program: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { cwd: clone, env: { ...environment(), ...env } },
      (_, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, stdout: stdout.trim(), stderr: stderr.trim() }),
    );
  });
}
const script = (name: string, args: string[] = [], env?: Record<string, string>) =>
  run(join(clone, 'tools/release', name), args, env);
async function git(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('git', args);
  if (code !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  return stdout;
}
const at = async (tag: string) =>
  (await git('ls-remote', '--refs', place('origin'), tag)).split(/\s/)[0] || undefined;

function write(path: string, content: string): void {
  mkdirSync(join(clone, path, '..'), { recursive: true });
  writeFileSync(join(clone, path), content);
}
const name = (version: string) => {
  for (const action of actions())
    write(`actions/${action.name}/package.json`, `{\n  "version": "${version}",\n  "type": "module"\n}\n`);
};
/** Commits everything to main, and answers the commit. */
async function commit(): Promise<string> {
  await git('add', '--all');
  await git('commit', '--quiet', '--allow-empty', '--message', 'a change');
  await git('push', '--quiet', 'origin', 'HEAD:refs/heads/main');
  return git('rev-parse', 'HEAD');
}

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'lockkeeper-release-'));
  clone = place('clone');
  for (const directory of ['bin', 'gh', 'clone']) mkdirSync(place(directory));
  writeFileSync(place('bin/gh'), gh);
  chmodSync(place('bin/gh'), 0o755);
  await git('init', '--quiet', '--bare', '--initial-branch=main', place('origin'));
  await git('init', '--quiet', '--initial-branch=main', clone);
  await git('remote', 'add', 'origin', place('origin'));
  cpSync(join(root, 'tools/release'), join(clone, 'tools/release'), { recursive: true });
  name('1.0.0');
});
afterEach(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 3 }));

it('names one version for all five actions, and refuses two', async () => {
  expect((await script('version.sh')).stdout).toBe('1.0.0');
  write('actions/slack-notify/package.json', '{\n  "version": "1.0.1",\n}\n');
  expect(await script('version.sh')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('1.0.0 1.0.1'),
  });
});

describe('the plan of a push', () => {
  it('is to propose a version when there are changes that none has', async () => {
    write('.changeset/brave-boats-pass.md', '---\n"@lockkeeper/compose-deploy": minor\n---\n\nA change.\n');
    expect((await script('plan.sh')).stdout).toBe('propose');
  });

  it('is to release until the version is out and the major tag is at it, then nothing', async () => {
    await commit();
    expect((await script('plan.sh')).stdout).toBe('release');
    await git('push', '--quiet', 'origin', 'HEAD:refs/tags/v1.0.0');
    expect((await script('plan.sh')).stdout).toBe('release');
    await git('push', '--quiet', 'origin', 'HEAD:refs/tags/v1');
    expect((await script('plan.sh')).stdout).toBe('nothing');
  });

  it('is none when the remote does not answer', async () => {
    const { code, stdout } = await script('plan.sh', [place('nowhere')]);
    expect({ code: code === 0, stdout }).toEqual({ code: false, stdout: '' });
  });
});

it('is a version in step for all five, made by changesets from what was described', async () => {
  for (const file of ['.changeset/config.json', 'pnpm-workspace.yaml', 'package.json'])
    cpSync(join(root, file), join(clone, file));
  for (const { name } of actions())
    cpSync(join(root, 'actions', name, 'package.json'), join(clone, 'actions', name, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  write(
    '.changeset/brave-boats-pass.md',
    '---\n"@lockkeeper/compose-deploy": major\n---\n\nBuilds on the host.\n',
  );
  const [major = 0] = (await script('version.sh')).stdout.split('.').map(Number);
  const made = await run(process.execPath, ['node_modules/@changesets/cli/bin.js', 'version']);
  expect(made).toMatchObject({ code: 0 });
  const version = `${major + 1}.0.0`;
  expect((await script('version.sh')).stdout).toBe(version);
  expect((await script('notes.sh', [version])).stdout).toMatch(
    /^## compose-deploy\n\n### Major Changes\n\n- (\w+: )?Builds on the host\.\n\nPin/,
  );
  expect(readdirSync(join(clone, '.changeset'))).toEqual(['config.json']);
}, 60_000);

it('tells in the notes what each action changed in that version alone', async () => {
  write(
    'actions/compose-deploy/CHANGELOG.md',
    '# x\n\n## 1.0.0\n\n### Minor Changes\n\n- Builds on the host.\n\n## 0.9.0\n\n- Old.\n',
  );
  write('actions/health-gate/CHANGELOG.md', '# x\n\n## 1.0.0\n\nNo changes in this release.\n');
  const { stdout } = await script('notes.sh', ['1.0.0']);
  expect(stdout).toMatch(
    /^## compose-deploy\n\n### Minor Changes\n\n- Builds on the host\.\n\nPin the commit/,
  );
});

describe('publishing', () => {
  let head: string;
  const publish = (env?: Record<string, string>, version = '1.0.0') =>
    script('publish.sh', [version, head, join(clone, 'dist.sha256')], env);
  const release = (what = '') =>
    existsSync(place(`gh/v1.0.0${what}`))
      ? readFileSync(place(`gh/v1.0.0${what}`), 'utf8').trim()
      : undefined;
  beforeEach(async () => {
    head = await commit();
    write('dist.sha256', 'abc  actions/compose-deploy/dist/index.js\n');
  });

  it('makes a draft with its files, and the tag only by publishing it', async () => {
    expect((await publish({ DIE_BEFORE: 'release publish' })).code).toBe(9);
    expect(release()).toBe('draft');
    expect(release('.asset')).toContain('compose-deploy');
    expect(await at('refs/tags/v1.0.0')).toBeUndefined();
    expect(await publish()).toMatchObject({ code: 0, stdout: `v1.0.0 is out, at ${head}` });
    expect(await at('refs/tags/v1.0.0')).toBe(head);
  });

  const deeds = ['release list', 'release create', 'release upload', 'release publish'];
  const deaths = deeds.flatMap((deed): Record<string, string>[] => [
    { DIE_BEFORE: deed },
    { DIE_AFTER: deed },
  ]);
  it.each(deaths)('goes on where a run died: %p', async (death) => {
    expect((await publish(death)).code).not.toBe(0);
    expect((await publish()).code).toBe(0);
    expect(release()).toBe('published');
    expect(release('.asset')).toContain('compose-deploy');
    expect(await at('refs/tags/v1.0.0')).toBe(head);
  });

  it('gives a draft of a run that died to the commit of this one', async () => {
    await publish({ DIE_AFTER: 'release create' });
    head = await commit();
    await publish();
    expect(await at('refs/tags/v1.0.0')).toBe(head);
  });

  it('leaves what is out as it is, whatever commit asks', async () => {
    await publish();
    const first = head;
    head = await commit();
    expect(await publish()).toMatchObject({ code: 0, stdout: `v1.0.0 is out already, at ${first}` });
    expect(await at('refs/tags/v1.0.0')).toBe(first);
  });

  it('refuses a tag that someone else made elsewhere', async () => {
    await git('push', '--quiet', 'origin', 'HEAD:refs/tags/v1.0.0');
    head = await commit();
    const { code, stderr } = await publish();
    expect(code).toBe(1);
    expect(stderr).toContain('there is a tag v1.0.0 without a release');
    expect(release()).toBeUndefined();
  });
});

describe('moving the major tag', () => {
  const move = (version: string) => script('move-major.sh', [version]);
  const tag = (version: string) => git('push', '--quiet', 'origin', `HEAD:refs/tags/v${version}`);

  it('makes it, moves it forward, and a second time changes nothing', async () => {
    const first = await commit();
    await tag('1.0.0');
    expect(await move('1.0.0')).toMatchObject({ code: 0, stdout: `v1 moved to v1.0.0 (${first})` });
    const second = await commit();
    await tag('1.1.0');
    await move('1.1.0');
    expect(await at('refs/tags/v1')).toBe(second);
    expect(await move('1.1.0')).toMatchObject({ code: 0, stdout: 'v1 is at v1.1.0 already' });
    expect(await at('refs/tags/v1')).toBe(second);
  });

  it('works in a clone that has never seen the tags', async () => {
    await commit();
    await tag('1.0.0');
    await move('1.0.0');
    const second = await commit();
    await tag('1.1.0');
    await git('clone', '--quiet', place('origin'), place('fresh'));
    clone = place('fresh');
    await git('tag', '--delete', 'v1', 'v1.0.0', 'v1.1.0');
    expect((await move('1.1.0')).code).toBe(0);
    expect(await at('refs/tags/v1')).toBe(second);
  });

  it('refuses to go back to an older version', async () => {
    await commit();
    await tag('1.0.0');
    const second = await commit();
    await tag('1.1.0');
    await move('1.1.0');
    const { code, stderr } = await move('1.0.0');
    expect(code).toBe(1);
    expect(stderr).toContain(`v1 is at ${second}, which is not an ancestor of v1.0.0`);
    expect(await at('refs/tags/v1')).toBe(second);
  });

  it('refuses a version that was never published', async () => {
    await commit();
    expect(await move('1.0.0')).toMatchObject({
      code: 1,
      stderr: 'origin has no tag v1.0.0, so v1 stays. Next: publish v1.0.0 first',
    });
  });

  it('does not overwrite what another run has just moved', async () => {
    const first = await commit();
    await tag('1.0.0');
    await move('1.0.0');
    const second = await commit();
    await tag('1.1.0');
    await commit();
    await tag('1.2.0');
    // Between the decision and the push.
    const hook = join(clone, '.git/hooks/pre-push');
    writeFileSync(hook, `#!/bin/sh\ngit --git-dir="$ORIGIN" update-ref refs/tags/v1 ${second} ${first}\n`, {
      mode: 0o755,
    });
    expect((await move('1.2.0')).code).not.toBe(0);
    expect(await at('refs/tags/v1')).toBe(second);
  });
});

describe('proposing a version', () => {
  const proposed = () => readFileSync(place('gh/pr'), 'utf8').trim().split('\n');

  it('is one pull request from one branch, which a newer proposal replaces', async () => {
    const main = await commit();
    name('1.1.0');
    expect((await script('propose.sh')).code).toBe(0);
    await git('reset', '--quiet', '--hard', main);
    const newer = await commit();
    name('1.2.0');
    expect((await script('propose.sh')).code).toBe(0);
    expect(proposed()).toEqual(['Release v1.1.0', 'Release v1.2.0']);
    expect(await git('rev-list', '--count', `${newer}..${await at('refs/heads/release/next')}`)).toBe('1');
    expect(await at('refs/heads/main')).toBe(newer);
  });

  it('has CI look at it, which a push with the token of a job does not', async () => {
    await commit();
    name('1.1.0');
    await script('propose.sh');
    expect(readFileSync(place('gh/runs'), 'utf8')).toBe('workflow run ci.yml --ref release/next\n');
  });
});

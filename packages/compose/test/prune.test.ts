import { afterAll, describe, expect, it } from '@jest/globals';
import { dropImages } from '../src/host/docker-scripts.ts';
import type { NamedImage } from '../src/host/images.ts';
import { HostState } from '../src/record/host-state.ts';
import type { ReleaseRecord } from '../src/record/release-record.ts';
import { cameWith } from '../src/record/staging-note.ts';
import { broughtImages, leftByInterrupted, unusedImages } from '../src/stage/prune.ts';
import { type LocalHost, localHost, shells } from './local-host.ts';

const run = '20261121-031200-a1b2c3d-x7k2';
const other = '20261122-031200-b1b2c3d-y8l3';
const pin = (digest: string) => `registry.test/web@sha256:${digest}`;

/** A release whose web and database are these images. */
const release = (web: string, changes: Partial<ReleaseRecord> = {}, db = 'db') =>
  ({
    id: run,
    baseline: false,
    images: {
      web: { reference: 'registry.test/web:latest', id: web },
      db: { reference: 'postgres:15', id: db },
    },
    ...changes,
  }) as ReleaseRecord;
const image = (id: string, names: { tags?: string[]; digests?: string[] } = {}): NamedImage => ({
  ...{ id, tags: [], digests: [] },
  ...names,
});

describe('of releases that go', () => {
  const kept = release('new', { brought: ['new'] });
  it.each<[string, ReleaseRecord[], string[]]>([
    ['the image goes that came with it', [release('old', { brought: ['old'] })], ['old']],
    [
      'two images go that had the same reference',
      [release('old', { brought: ['old'] }), release('older', { brought: ['older'] })],
      ['old', 'older'],
    ],
    ['an image stays that a kept release has', [release('new', { brought: ['new'] })], []],
    ['an image stays that lay there before', [release('theirs', { brought: [] })], []],
    ['an image stays that ran before our first deploy', [release('theirs', { baseline: true })], []],
    ['all go where the record does not tell whose they were', [release('old')], ['old']],
  ])('%s', (_what, gone, ids) =>
    expect(unusedImages({ releases: [...gone, kept] }, gone)).toEqual(
      ids.map((id) => ({ reference: 'registry.test/web:latest', id })),
    ),
  );
});

it.each<[string, string[], ReleaseRecord[], Array<{ wanted: string[]; had: string[] }>, string[]]>([
  ['what was not here', ['db'], [], [], ['web']],
  ['nothing of what was here', ['db', 'web'], [], [], []],
  ['what an earlier release brought', ['db', 'web'], [release('web', { brought: ['web'] })], [], ['web']],
  ['what an interrupted run brought', ['db', 'web'], [], [{ wanted: [], had: ['db'] }], ['web']],
  ['nothing of what ran before', ['db', 'web'], [release('web', { baseline: true })], [], []],
])('a release calls its own: %s', (_what, had, releases, notes, brought) => {
  const interrupted = notes.map((note) => ({ id: other, ...note }));
  expect(broughtImages(release('web').images, had, { releases, interrupted })).toEqual(brought);
});

it.each<[string, string[], NamedImage, boolean]>([
  ['the digest that was wanted', [pin('a')], image('a', { digests: [pin('a')] }), true],
  ['another digest', [pin('a')], image('b', { digests: [pin('b')] }), false],
  ['the tag that was wanted', ['web:1'], image('a', { tags: ['web:1'] }), true],
  ['what the wanted tag stood for', ['web:1'], image('a', { digests: ['web@sha256:a'] }), true],
  ['another tag of that repository', ['web:1'], image('a', { tags: ['web:2'] }), false],
  ['what was here before', [pin('a')], image('before', { digests: [pin('a')] }), false],
])('an interrupted run brought %s: see', (_what, wanted, one, came) =>
  expect(cameWith({ wanted, had: ['before'] }, one)).toBe(came),
);

it('what an interrupted run had brought goes, with its tags; what a release has or others brought stays', () => {
  const ours = `lockkeeper/shop:db-${run}`;
  const here = [
    image('brought', { digests: [pin('a')] }),
    image('sent', { tags: [`lockkeeper/shop:web-${run}`] }),
    image('served', { tags: ['registry.test/web:latest'], digests: [pin('b')] }),
    image('db', { tags: ['postgres:15', ours] }),
    image('theirs', { tags: ['theirs:1'] }),
    image('unnamed'),
  ];
  const note = { id: run, wanted: [pin('a'), pin('b'), 'postgres:15'], had: ['db'] };
  const list = { releases: [release('served', { id: other })], interrupted: [note] };
  expect(leftByInterrupted(list, [], here)).toEqual({
    names: [`lockkeeper/shop:web-${run}`, ours],
    ids: ['brought', 'sent'],
  });
});

const hosts: LocalHost[] = [];
afterAll(async () => {
  for (const host of hosts) await host.close();
});

describe.each(shells)('where the host has %s', (kind) => {
  const hostWith = async (docker: string) => {
    const host = await localHost(kind);
    hosts.push(host);
    host.command('docker', docker);
    return host;
  };

  it('an interrupted run is found by its note, not by one that is not whole; one whose release has a record is not', async () => {
    const host = await hostWith(':');
    const state = new HostState(host, host.directory);
    for (const id of [run, other]) await state.write({ [state.notePath(id)]: 'wants web:1\nhad sha256:a' });
    await state.write({
      [`${state.releasePath(other)}/release.json`]: '{}',
      [`${state.notePath(run)}.part`]: 'wa',
    });
    expect((await state.releases()).interrupted).toEqual([{ id: run, wanted: ['web:1'], had: ['sha256:a'] }]);
  });

  it('an image that somebody else named stays', async () => {
    const host = await hostWith(`
      case "$1 $2" in
        'image inspect') case $5 in named) echo '["theirs:1"] ["web@sha256:a"]' ;; free) echo '[] ["web@sha256:b","old@sha256:b"]' ;; built) echo '[] []' ;; *) exit 1 ;; esac ;;
        'image rm') shift 2; echo "$@" >>"$HOME/removed"; [ "$1" != refused ] ;;
      esac`);
    await host.run(dropImages, { args: ['refused', 'tag', '--', 'named', 'gone', 'free', 'built'] });
    const { stdout } = await host.run('cat "$HOME/removed"');
    expect(stdout).toBe('refused\ntag\nweb@sha256:b old@sha256:b\nbuilt\n');
  });
});

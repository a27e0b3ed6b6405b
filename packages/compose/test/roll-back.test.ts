import { describe, expect, it } from '@jest/globals';
import type { Container } from '../src/host/containers.ts';
import { doubts } from '../src/prove/verify.ts';
import type { PendingRecord, ReleaseRecord } from '../src/record/release-record.ts';
import { startedSince, strangers, tagsBefore, tagsOf, untouched } from '../src/roll-back/difference.ts';
import { sameContainers } from '../src/switch/switch.ts';
import { pendingFor } from '../src/switch/under-way.ts';

const pending: PendingRecord = {
  version: 1,
  token: 't',
  to: '20261121-031200-a1b2c3d-aaaa',
  from: '20261120-031200-a1b2c3d-aaaa',
  at: '',
  runUrl: '',
  phase: 'switched',
  containers: { web: ['w1'], db: ['d1'] },
  tags: { 'web:v1': 'sha256:1', 'web:v2': null },
  remounted: [],
  placed: [],
};
const container = (service: string, id: string, changes: Partial<Container> = {}) =>
  ({
    service,
    id,
    oneOff: false,
    image: 'sha256:1',
    status: 'running',
    exitCode: 0,
    ...changes,
  }) as Container;
const record = (services: string[], id = 'sha256:1') =>
  ({
    services,
    images: Object.fromEntries(services.map((service) => [service, { reference: 'web:v1', id }])),
  }) as unknown as ReleaseRecord;

describe('going back', () => {
  it.each<[string, Container[], boolean]>([
    ['as it was', [container('web', 'w1')], true],
    ['another container', [container('web', 'w2')], false],
    ['one more', [container('web', 'w1'), container('web', 'w2')], false],
    ['another image', [container('web', 'w1', { image: 'sha256:2' })], false],
    ['stopped', [container('web', 'w1', { status: 'exited', exitCode: 137 })], false],
    ['a job that is done', [container('web', 'w1', { status: 'exited' })], true],
    ['gone', [], false],
  ])('leaves alone what is untouched: %s', (_what, containers, left) =>
    expect(untouched(pending, containers, 'web', record(['web']))).toBe(left),
  );

  it('removes what only the release that is left had, and never a stranger of the host', () => {
    const all = ['web', 'new', 'theirs', 'db'].map((service) => container(service, `${service}1`));
    const gone = strangers(all, record(['web']), record(['web', 'new', 'db']), pending);
    expect(gone.map(({ service }) => service)).toEqual(['new']);
    expect(strangers(all, record(['web']), undefined, pending)).toEqual([]);
  });

  it('stops what a first deploy started, and nothing else', () => {
    const all = [
      container('web', 'w1'),
      container('web', 'w2'),
      container('job', 'j1', { status: 'exited' }),
      container('new', 'n1', { status: 'restarting' }),
    ];
    expect(startedSince(pending, all).map(({ id }) => id)).toEqual(['w2', 'n1']);
  });

  it('puts back the tags that were there; those of the release gone back to win', () => {
    expect(tagsBefore(pending)).toEqual(['sha256:1', 'web:v1']);
    expect(tagsOf(record(['web'], 'sha256:7'), pending)).toEqual(['sha256:7', 'web:v1']);
    expect(tagsOf(record([]), pending)).toEqual(['sha256:1', 'web:v1']);
  });
});

describe('what is under way', () => {
  it('keeps the way back of a run that was interrupted before', () => {
    const own = {
      ...pending,
      token: 'mine',
      from: null,
      containers: {},
      tags: { 'web:v1': 'sha256:9', x: null },
    };
    expect(pendingFor(undefined, own)).toBe(own);
    expect(pendingFor(pending, own)).toEqual({
      ...own,
      from: pending.from,
      containers: pending.containers,
      tags: { ...pending.tags, x: null },
      placed: [pending.to],
    });
  });

  it('recreated a service when no container is the same', () => {
    const before = [container('web', 'w1'), container('web', 'w2')];
    expect(sameContainers(before, before.toReversed(), 'web')).toBe(true);
    expect(sameContainers(before, [container('web', 'w3')], 'web')).toBe(false);
  });
});

it.each<[string, Partial<Container>, number, RegExp | undefined]>([
  ['without a check', {}, 10_000, /no health check/],
  ['checked often', { health: { interval: 5_000 } as Container['health'] }, 10_000, undefined],
  [
    'checked rarely',
    { health: { interval: 30_000 } as Container['health'] },
    10_000,
    /every 30 s, more rarely than the stability window of 10 s/,
  ],
  ['no window', { health: { interval: 30_000 } as Container['health'] }, 0, undefined],
  ['a job', { status: 'exited' }, 10_000, undefined],
])('tells of a good verdict what it does not prove: %s', (_what, changes, window, doubt) => {
  const told = doubts([container('web', 'w1', changes)], ['web'], window);
  if (doubt) expect(told.join()).toMatch(doubt);
  else expect(told).toEqual([]);
});

import { describe, expect, it } from '@jest/globals';
import { parseArguments } from './soak/arguments.ts';
import { broken, type Outcome } from './soak/outcome.ts';
import { planSoak, type Turn } from './soak/plan.ts';
import { leftOver, type Residue } from './soak/residue.ts';

describe('the plan of a soak', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(planSoak(50, 4)).toEqual(planSoak(50, 4));
    expect(planSoak(50, 4)).not.toEqual(planSoak(50, 5));
  });

  it('begins the same however long it is', () =>
    expect(planSoak(50, 4).slice(0, 20)).toEqual(planSoak(20, 4)));

  it('meets every site, release and mishap in a hundred deploys', () => {
    const turns = planSoak(100, 1);
    expect(new Set(turns.map(({ site }) => site))).toEqual(new Set(['server', 'fleet']));
    expect(new Set(turns.map(({ sick }) => sick))).toEqual(new Set([undefined, 'crash', '503']));
    expect(new Set(turns.map(({ mishap }) => mishap.kind))).toEqual(
      new Set(['none', 'kill', 'cancel', 'lost', 'drop-ssh', 'denied', 'throttled', 'no-answer']),
    );
  });

  it('has a good deploy of the same site after each lost runner', () => {
    const turns = planSoak(300, 2);
    const next = turns.flatMap(({ mishap, site }, at) =>
      mishap.kind === 'lost' && turns[at + 1] ? [{ site, next: turns[at + 1]! }] : [],
    );
    expect(next.length).toBeGreaterThan(5);
    for (const { site, next: turn } of next)
      expect(turn).toEqual({ number: turn.number, site, version: turn.version, mishap: { kind: 'none' } });
  });

  it.each([
    [['--deploys', '0'], '--deploys: "0" is not a number from 1 on'],
    [['--seed', 'x'], '--seed: "x" is not a number from 1 on'],
    [['--long'], '--long is not an option; see pnpm soak --help'],
  ])('refuses %j in one line', (argv, message) => expect(() => parseArguments(argv)).toThrow(message));
});

describe('a deploy of a soak breaks a guarantee', () => {
  const good: Turn = { number: 1, site: 'fleet', version: 'v2', mishap: { kind: 'none' } };
  const sick: Turn = { ...good, sick: '503' };
  const killed: Turn = { ...good, mishap: { kind: 'kill', atLine: 3 } };
  const lost: Turn = { ...good, mishap: { kind: 'lost', atLine: 3 } };
  const rolled: Outcome = {
    conclusion: 'success',
    struck: false,
    serving: 'v1',
    versions: ['v2', 'v2'],
    targets: ['i-1 healthy', 'i-2 healthy'],
    open: [],
    requests: 100,
    lost: 0,
    left: [],
  };
  const back: Outcome = { ...rolled, conclusion: 'failure', versions: ['v1', 'v1'] };
  const struck = { struck: true };

  it.each<[string, Turn, Outcome, string[]]>([
    ['not when it rolls', good, rolled, []],
    ['not when a sick release goes back', sick, back, []],
    ['not when it is killed and goes back', killed, { ...back, ...struck }, []],
    [
      'not when it is killed and is put right forwards',
      killed,
      { ...back, ...struck, versions: ['v2', 'v2'] },
      [],
    ],
    [
      'not when its runner is lost and others may still notice nothing',
      lost,
      {
        ...back,
        ...struck,
        versions: ['v1', 'v2'],
        open: ['sgr-1'],
        left: ['a lock'],
        targets: ['i-1 draining'],
      },
      [],
    ],
    ['when a rule is open', good, { ...rolled, open: ['sgr-1'] }, ['open: sgr-1']],
    [
      'when a target is out',
      good,
      { ...rolled, targets: ['i-1 healthy', 'i-2 draining'] },
      ['broken: i-2 draining'],
    ],
    [
      'when two releases serve',
      killed,
      { ...back, ...struck, versions: ['v1', 'v2'] },
      ['broken: v1 and v2 served, expected v1 or v2'],
    ],
    [
      'when a success is none',
      good,
      { ...rolled, versions: ['v1', 'v1'] },
      ['broken: v1 served, expected v2'],
    ],
    [
      'when a sick release serves',
      sick,
      { ...back, versions: ['v2', 'v2'] },
      ['broken: v2 served, expected v1', 'broken: the sick v2 serves'],
    ],
    [
      'when a request is lost, also with its runner',
      lost,
      { ...back, ...struck, lost: 1, firstLost: 'get after 5 ms: status 502' },
      ['dropped: 1 of 100 requests, first get after 5 ms: status 502'],
    ],
    ['when something is left over', good, { ...rolled, left: ['a lock'] }, ['left over: a lock']],
    ['when a good one fails undisturbed', good, back, ['ended as failure, expected success']],
    [
      'when a kill that never came is said to have been one',
      killed,
      { ...back, versions: ['v1', 'v1'] },
      ['ended as failure, expected success'],
    ],
  ])('%s', (_, turn, outcome, faults) => expect(broken(turn, outcome)).toEqual(faults));
});

describe('on a host is left over', () => {
  const before: Residue = {
    files: ['~/app', '~/app/compose.yaml'],
    record: [],
    releases: [],
    images: ['sha256:1', 'sha256:2'],
    named: [],
    containers: ['web running'],
    containerDirectories: 1,
    volumes: ['data'],
    processes: [],
    sessions: 0,
  };
  const after: Residue = {
    ...before,
    files: [...before.files, '~/app/.lockkeeper'],
    record: ['.gitignore', 'audit.log', 'bad', 'releases', 'serving', 'steps'],
    releases: ['r1', 'r2'],
    images: ['sha256:1', 'sha256:2', 'sha256:3', 'sha256:4'],
    // One more than is named: of the deploy that failed.
    named: ['sha256:2', 'sha256:3'],
  };
  const many = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);

  it.each<[string, Partial<Residue>, string[]]>([
    ['nothing, after a deploy', {}, []],
    ['a lock', { record: [...after.record, 'lock', 'beat.1'] }, ['.lockkeeper/lock', '.lockkeeper/beat.1']],
    ['a step', { record: [...after.record, 'steps/1.2'] }, ['.lockkeeper/steps/1.2']],
    [
      'the mark of a release that is gone',
      { record: [...after.record, 'bad/r1', 'bad/r0'] },
      ['the mark of r0, which is gone'],
    ],
    ['a file', { files: [...after.files, '~/key'] }, ['the file ~/key']],
    ['a file too few', { files: ['~/app', '~/app/.lockkeeper'] }, ['~/app/compose.yaml is gone']],
    ['a release too many', { releases: many(7) }, ['7 releases, at most 6']],
    ['an image too many', { named: [] }, ['the image sha256:4, which no release names']],
    [
      'a note too many',
      { record: [...after.record, 'staging/r3', 'staging/r4'] },
      ['.lockkeeper/staging/r4'],
    ],
    ['a container', { containers: ['web running', 'web-next exited'] }, ['the container web-next exited']],
    ['the directory of one', { containerDirectories: 2 }, ['2 directories of 1 containers']],
    ['no volume', { volumes: [] }, ['the volume data is gone']],
    ['a process', { processes: ['7 sleep 100'] }, ['the process 7 sleep 100']],
    ['a connection', { sessions: 1 }, ['1 SSH connections']],
  ])('%s', (_, change, left) =>
    expect(leftOver(before, { ...after, ...change }, { keep: 3, failures: 1 })).toEqual(left),
  );
});

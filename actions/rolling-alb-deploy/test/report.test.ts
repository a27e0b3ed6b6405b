import { describe, expect, it } from '@jest/globals';
import { UserError } from '@lockkeeper/action';
import { atHost, type Door, sshCommand } from '../src/hosts/host-error.ts';
import { interruptionLine } from '../src/report/interruption-line.ts';
import { leftovers, resultLine } from '../src/report/result-line.ts';
import { rollSummary } from '../src/report/summary.ts';
import { targetReports } from '../src/report/target-report.ts';
import type { HostRecord } from '../src/roll/roll.ts';
import { Timeline } from '../src/roll/timeline.ts';
import type { RollState } from '../src/state.ts';
import { record } from './stand.ts';

const door: Door = { id: 'i-0a', host: '10.0.0.5', port: 22, username: 'ubuntu', directory: '/srv/app' };

describe('a failure at a host', () => {
  it.each([
    ['web is unhealthy on 10.0.0.5: 503', 'web is unhealthy on 10.0.0.5 (i-0a): 503'],
    ['10.0.0.5: no docker', '10.0.0.5 (i-0a): no docker'],
    ['nobody answers at 10.0.0.5:22', 'nobody answers at 10.0.0.5 (i-0a):22'],
    ['no disk', '10.0.0.5 (i-0a): no disk'],
    ['10.0.0.55 is another host', '10.0.0.5 (i-0a): 10.0.0.55 is another host'],
    ['i-0a is out', 'i-0a is out'],
  ])('%j names it once: %j', (said, named) => expect(atHost(door, new UserError(said)).message).toBe(named));

  it.each([
    ['docker compose -p app logs web', "ssh ubuntu@10.0.0.5 'cd /srv/app && docker compose -p app logs web'"],
    ['nc -vz 10.0.0.5 22', 'nc -vz 10.0.0.5 22'],
    [
      'sudo usermod -aG docker "$USER"   (then log in anew)',
      `ssh ubuntu@10.0.0.5 'cd /srv/app && sudo usermod -aG docker "$USER"'   (then log in anew)`,
    ],
  ])('tells of %j what to type here', (next, typed) =>
    expect(atHost(door, new UserError('x', { next })).next).toBe(typed),
  );

  it.each([
    [{ port: 2222 }, "ssh -p 2222 ubuntu@10.0.0.5 'cd /srv/app && ls'"],
    [{ directory: '~/my app' }, `ssh ubuntu@10.0.0.5 'cd ~/'\\''my app'\\'' && ls'`],
    [{ directory: "/srv/it's" }, `ssh ubuntu@10.0.0.5 'cd '\\''/srv/it'\\''\\'\\'''\\''s'\\'' && ls'`],
    [
      { jump: { host: '2001:db8::1', port: 22, username: 'jim' } },
      "ssh -J jim@[2001:db8::1]:22 ubuntu@10.0.0.5 'cd /srv/app && ls'",
    ],
  ])('%j gives a line that no shell takes apart', (change, line) =>
    expect(sshCommand({ ...door, ...change }, 'ls')).toBe(line),
  );
});

describe('what post says of an interrupted roll', () => {
  const releases = {
    release: 'new-1',
    previous: new Map([
      ['i-a', 'old-1'],
      ['i-b', 'old-1'],
    ]),
  };
  const say = (
    before: HostRecord[],
    after: HostRecord[],
    states: Record<string, string> = { 'i-a': 'healthy', 'i-b': 'healthy' },
  ) =>
    interruptionLine(
      {
        state: { hosts: before } as RollState,
        hosts: after,
        states: new Map(Object.entries(states)),
        minimums: [],
      },
      releases,
    );
  const back = record('i-a', { touched: true, finished: true, goal: 'old' });
  const waiting = record('i-b', { goal: 'old', finished: true });

  it.each<[Partial<HostRecord>, string]>([
    [{ rotation: 'leaving' }, 'was being taken out of rotation'],
    [{ rotation: 'draining' }, 'was draining'],
    [{ rotation: 'out' }, 'was out of rotation'],
    [{ rotation: 'out', release: 'switching' }, 'was being switched to the new release'],
    [{ rotation: 'out', release: 'reverting' }, 'was being brought back to the release before'],
    [{ rotation: 'joining', release: 'new' }, 'was being put back in rotation'],
    [{ rotation: 'registered', release: 'new' }, 'was becoming healthy in its target group'],
    [{ rotation: 'in', release: 'new' }, 'was being watched in service'],
  ])('%j: %s', (change, doing) =>
    expect(say([record('i-a', { touched: true, ...change }), record('i-b')], [back, waiting])).toBe(
      `The roll was interrupted while i-a ${doing}. It is back in rotation; 2 of 2 targets are healthy and serve old-1.`,
    ),
  );

  it('before anything was taken out', () =>
    expect(say([], [])).toBe(
      'The roll was interrupted before the first target was taken out of rotation. 2 of 2 targets are healthy and serve what ran before.',
    ));

  it('names who could not be put back and who is not proven', () => {
    const out = { ...back, rotation: 'joining' as const };
    const unfit = { ...waiting, release: 'unfit' as const, touched: true, failure: 'no SSH' };
    const under = [
      record('i-a', { touched: true, rotation: 'out' }),
      record('i-b', { touched: true, rotation: 'out' }),
    ];
    expect(say(under, [out, unfit], { 'i-b': 'unhealthy' })).toBe(
      "The roll was interrupted while i-a, i-b were out of rotation. Still out of rotation: i-a. Not proven: i-b (unhealthy; no SSH). The load balancer's check decides whether it gets requests. None of 2 targets is healthy.",
    );
  });

  it('says who runs what when a host had finished', () => {
    const done = record('i-b', { release: 'new', touched: true, changed: true, finished: true });
    expect(say([record('i-a', { touched: true, rotation: 'draining' }), done], [back, done])).toContain(
      'i-b runs new-1, the others what they ran before',
    );
  });
});

describe('what is said of a roll', () => {
  const releases = { release: 'new-1', previous: new Map([['i-b', 'old-1']]) };
  const done = record('i-a', { release: 'new', finished: true, touched: true, changed: true });

  it('names who left meanwhile, and does not count them', () => {
    const left = record('i-b', { left: true, finished: true, scaling: 'web' });
    expect(resultLine('deployed', [done, left], releases, 61_000)).toBe(
      'Deployed new-1 to 1 target in 1 min 1 s, one batch after another. i-b left meanwhile: Auto Scaling ended it.',
    );
  });

  it('names what could not be put right', () => {
    const stuck = record('i-b', { ...done, id: 'i-b', rotation: 'watched', standby: true, scaling: 'web' });
    const out = record('i-c', { touched: true, rotation: 'joining' });
    expect(leftovers([done, stuck, out], [{ group: 'web', minSize: 2 }])).toEqual([
      'Still out of rotation: i-c.',
      'i-b is in service, but still in standby in web.',
      'The minimum size of web is still lowered; it was 2.',
    ]);
  });

  it('shows the phases that there were, and connections that were cut where there were some', () => {
    const timeline = new Timeline();
    timeline.add({ host: 'i-a', phase: 'drain', from: 0, to: 15_000 });
    timeline.add({ host: 'i-a', phase: 'rejoin', from: 15_000, to: 16_500 });
    const reports = targetReports([{ ...done, cut: 3 }], {
      addresses: new Map([['i-a', '10.0.0.5']]),
      states: new Map([['i-a', 'healthy']]),
      names: releases,
      timeline,
    });
    expect(reports[0]).toMatchObject({ seconds: { drain: 15, rejoin: 1.5 }, cut: 3 });
    expect(rollSummary('Roll', true, 'done', reports, timeline.spans)).toContain(
      [
        '| Target | Result | State | Release | Drain | Rejoin | Cut |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| `i-a` 10.0.0.5 | deployed | healthy | `new-1` | 15 s | 1.5 s | 3 |',
      ].join('\n'),
    );
  });
});

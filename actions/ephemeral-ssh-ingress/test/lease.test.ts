import { describe, expect, it } from '@jest/globals';
import type { IngressRule } from '@lockkeeper/aws';
import { decideJoin, type Joiner, learnJoin, newJoiner } from '../src/join.ts';
import { isoSeconds, type Lease, leasesOf, leaseTag } from '../src/lease.ts';
import {
  announcement,
  decideLeave,
  type Leaver,
  type LeaveStep,
  learnLeave,
  newLeaver,
} from '../src/leave.ts';
import { patience } from '../src/patience.ts';
import { dueOf } from '../src/sweep.ts';

const now = Date.parse('2026-11-21T00:00:00Z');
const lease = (nonce: string): Lease => ({
  nonce,
  expiresAt: now + 3_600_000,
  repository: 'octo/app',
  run: '1.1',
  job: 'aa',
});
const rule = (tags: Record<string, string>): IngressRule => ({
  id: 'sgr-1',
  groupId: 'sg-1',
  protocol: 'tcp',
  fromPort: 22,
  toPort: 22,
  cidr: '20.0.0.1/32',
  description: '',
  tags,
});
const ours = { 'managed-by': 'ephemeral-ssh-ingress' };
const live = Object.fromEntries([leaseTag(lease('b'))]);
const dead = { 'lease-c': '2020-01-01T00:00:00Z other/repo 1.1 bb' };

describe('a lease', () => {
  it('reads back as written', () => {
    const [key, value] = leaseTag(lease('b'));
    expect(key).toBe('lease-b');
    expect(value).toBe('2026-11-21T01:00:00Z octo/app 1.1 aa');
    expect(leasesOf(rule({ [key]: value }))).toEqual([lease('b')]);
  });
  it('that cannot be read has expired', () =>
    expect(leasesOf(rule({ 'lease-x': 'soon' }))[0]!.expiresAt).toBe(0));
  it('rounds up to the second', () => expect(isoSeconds(now + 1)).toBe('2026-11-21T00:00:01Z'));
});

describe('joining', () => {
  const read = (pause: boolean) => ({ kind: 'read', pause });
  it.each<[string, Partial<Joiner>, object]>([
    ['nothing known', {}, { kind: 'authorize', pause: false }],
    ['something written', { view: 'unread' }, read(false)],
    ['a rule read without its tags, once', { view: rule({}), unmanagedReads: 1 }, read(true)],
    ['a rule without our tag', { view: rule({}), unmanagedReads: 2 }, { kind: 'hold', how: 'foreign' }],
    [
      'a rule with somebody else’s tag',
      { view: rule({ 'managed-by': 'terraform' }), unmanagedReads: 2 },
      { kind: 'hold', how: 'foreign' },
    ],
    ['a rule of ours', { view: rule({ ...ours, ...live }) }, { kind: 'add-lease' }],
    ['a rule without room', { view: rule({ ...ours, ...live }), full: true }, { kind: 'full' }],
    ['a read older than our lease', { view: rule({ ...ours, ...live }), written: 'sgr-1' }, read(true)],
    [
      'the fifth read without our lease',
      { view: rule({ ...ours, ...live }), written: 'sgr-1', lateReads: 5 },
      { kind: 'add-lease' },
    ],
    [
      'a lease written to a rule that is gone',
      { view: rule({ ...ours, ...live }), written: 'sgr-0' },
      { kind: 'add-lease' },
    ],
    [
      'our lease',
      { view: rule({ ...ours, 'lease-a': 'x' }), written: 'sgr-1' },
      { kind: 'hold', how: 'joined' },
    ],
    [
      'our lease on a rule we did not add it to: the answer to our request was lost',
      { view: rule({ ...ours, 'lease-a': 'x' }) },
      { kind: 'hold', how: 'created' },
    ],
    [
      'our lease on a rule being closed',
      {
        view: rule({ ...ours, 'lease-a': 'x', 'closing-b': '1' }),
        written: 'sgr-1',
        waitingSince: now - 89_999,
      },
      read(true),
    ],
    [
      'the plain closing tag',
      { view: rule({ ...ours, 'lease-a': 'x', closing: '1' }), written: 'sgr-1', waitingSince: now },
      read(true),
    ],
    [
      'a closer that is long dead',
      {
        view: rule({ ...ours, 'lease-a': 'x', 'closing-b': '1' }),
        written: 'sgr-1',
        waitingSince: now - 90_000,
      },
      { kind: 'clear-closing', keys: ['closing-b'] },
    ],
  ])('with %s', (_, known, step) =>
    expect(decideJoin({ ...newJoiner('a'), ...known }, now, patience)).toMatchObject(step),
  );

  it('opens anew when the rule it waited for is gone', () => {
    const waiting: Joiner = { ...newJoiner('a'), view: 'unread', written: 'sgr-1', waitingSince: now };
    const gone = learnJoin(waiting, { kind: 'read', pause: true }, 'none', now);
    expect(decideJoin(gone, now, patience)).toEqual({ kind: 'authorize', pause: true });
  });
  it('pauses before it looks again for a rule that vanished under its hands', () => {
    const adding = { kind: 'add-lease', rule: rule(ours) } as const;
    const vanished = learnJoin({ ...newJoiner('a'), view: adding.rule }, adding, 'gone', now);
    expect(decideJoin(vanished, now, patience)).toEqual({ kind: 'read', pause: true });
  });
});

describe('leaving', () => {
  const mine = { nonce: 'a', leases: ['lease-a'], created: false };
  const announced = { removed: true, announcedAt: now };
  const closing = { 'closing-a': announcement(now) };
  it.each<[string, IngressRule | 'none' | 'unread', Partial<Leaver>, object]>([
    ['no rule', 'none', {}, { kind: 'end', outcome: 'gone' }],
    ['no rule, a moment after it took our announcement', 'none', announced, { kind: 'read', pause: true }],
    ['no rule, again and again', 'none', { ...announced, reads: 5 }, { kind: 'end', outcome: 'gone' }],
    ['a rule that is not ours', rule({}), {}, { kind: 'end', outcome: 'not-ours' }],
    ['a rule we made whose tags were stripped', rule({}), { created: true }, { kind: 'revoke' }],
    ['our lease', rule({ ...ours, 'lease-a': 'x' }), {}, { kind: 'remove', keys: ['lease-a'] }],
    ['a read that does not show our lease yet', rule(ours), {}, { kind: 'remove', keys: ['lease-a'] }],
    ['a read older than the removal', rule({ ...ours, 'lease-a': 'x' }), { removed: true }, { kind: 'read' }],
    ['our lease removed', rule({ ...ours, ...live }), { removed: true }, { kind: 'announce', at: now }],
    ['nothing to remove', rule({ ...ours }), { leases: [] }, { kind: 'announce', at: now }],
    ['a read older than the announcement', rule(ours), announced, { kind: 'read', pause: true }],
    [
      'a read that shows an earlier announcement of ours',
      rule({ ...ours, 'closing-a': announcement(now - 40_000) }),
      announced,
      { kind: 'read', pause: true },
    ],
    ['a live lease of another', rule({ ...ours, ...live, ...closing }), announced, { kind: 'withdraw' }],
    ['only leases that expired', rule({ ...ours, ...dead, ...closing }), announced, { kind: 'revoke' }],
    ['nobody else', rule({ ...ours, ...closing }), announced, { kind: 'revoke' }],
    [
      'nobody else, too long after the announcement',
      rule({ ...ours, 'closing-a': announcement(now - 30_001) }),
      { removed: true, announcedAt: now - 30_001 },
      { kind: 'announce', at: now },
    ],
    [
      'a lease that AWS does not let us remove, alone',
      rule({ ...ours, 'lease-a': live['lease-b']! }),
      { stuck: true },
      { kind: 'announce' },
    ],
    [
      'such a lease, and another',
      rule({ ...ours, ...live, 'lease-a': 'x' }),
      { stuck: true },
      { kind: 'end', outcome: 'kept' },
    ],
    [
      'no room, and somebody else’s lease',
      rule({ ...ours, ...live }),
      { removed: true, full: true },
      { kind: 'end', outcome: 'kept' },
    ],
    [
      'no room for expired leases',
      rule({ ...ours, ...dead }),
      { removed: true, full: true },
      { kind: 'remove', keys: ['lease-c'] },
    ],
    [
      'no room for what is no lease',
      rule(ours),
      { removed: true, full: true, reads: 5 },
      { kind: 'end', outcome: 'full' },
    ],
  ])('with %s', (_, view, known, step) =>
    expect(decideLeave({ ...newLeaver(rule({}), mine), ...known, view }, now, now, patience)).toMatchObject(
      step,
    ),
  );

  it('announces anew after it had to remove its lease again', () => {
    const seen = rule({ ...ours, ...closing });
    const again: LeaveStep = { kind: 'remove', rule: seen, keys: ['lease-a'] };
    const removed = learnLeave({ ...newLeaver(seen, mine), ...announced }, again, 'removed');
    expect(decideLeave(removed, now + 9_000, now, patience)).toEqual({ kind: 'announce', at: now + 9_000 });
  });
});

describe('a sweep', () => {
  it.each<[string, Record<string, string>, 'ended' | 'littered' | undefined]>([
    ['whose last lease has expired', { ...ours, ...dead }, 'ended'],
    ['of ours without any lease', ours, 'ended'],
    ['that somebody holds', { ...ours, ...live }, undefined],
    ['that somebody holds beside an expired lease', { ...ours, ...live, ...dead }, 'littered'],
    ['that is not ours, whatever leases it carries', dead, undefined],
  ])('has to do with a rule %s: %j', (_, tags, expected) => {
    const due = dueOf([rule(tags)], now);
    const found = due.ended.length > 0 ? 'ended' : due.littered.length > 0 ? 'littered' : undefined;
    expect(found).toBe(expected);
  });
});

import { describe, expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import type { IngressRule, Opening, SecurityGroups } from '@lockkeeper/aws';
import type { Clock } from '@lockkeeper/wait';
import { decideJoin, decideLeave, isoSeconds, type Lease, leasesOf, leaseTag } from '../src/lease.ts';
import { leaveRule, openPort } from '../src/rule.ts';

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
  const mine = { nonce: 'a', written: false, unmanagedReads: 0, waitedMs: 0 };
  it.each<[string, IngressRule | undefined, Partial<typeof mine>, string]>([
    ['no rule', undefined, {}, 'authorize'],
    ['a rule read without its tags, once', rule({}), { unmanagedReads: 1 }, 'read-again'],
    ['a rule without our tag', rule({}), { unmanagedReads: 2 }, 'use-foreign'],
    [
      'a rule with somebody else’s tag',
      rule({ 'managed-by': 'terraform' }),
      { unmanagedReads: 2 },
      'use-foreign',
    ],
    ['a rule of ours', rule({ ...ours, ...live }), {}, 'add-lease'],
    ['a read older than our lease', rule({ ...ours, ...live }), { written: true }, 'read-again'],
    ['our lease', rule({ ...ours, 'lease-a': 'x' }), { written: true }, 'held'],
    [
      'our lease on a rule being closed',
      rule({ ...ours, 'lease-a': 'x', 'closing-b': '1' }),
      { written: true },
      'wait',
    ],
    ['the plain closing tag', rule({ ...ours, 'lease-a': 'x', closing: '1' }), { written: true }, 'wait'],
    [
      'a closer that is long dead',
      rule({ ...ours, 'lease-a': 'x', 'closing-b': '1' }),
      { written: true, waitedMs: 120_000 },
      'clear-closing',
    ],
  ])('%s', (_, seen, state, step) => expect(decideJoin(seen, { ...mine, ...state })).toBe(step));
});

describe('leaving', () => {
  const mine = { nonce: 'a', leases: ['lease-a'], removed: false, announced: false, created: false };
  it.each<[string, IngressRule | undefined, Partial<typeof mine>, string]>([
    ['no rule', undefined, {}, 'gone'],
    ['a rule that is not ours', rule({}), {}, 'not-ours'],
    ['a rule we made whose tags were stripped', rule({}), { created: true }, 'announce'],
    ['our lease', rule({ ...ours, 'lease-a': 'x' }), {}, 'remove-leases'],
    ['a read older than the removal', rule({ ...ours, 'lease-a': 'x' }), { removed: true }, 'read-again'],
    ['no lease of ours', rule({ ...ours, ...live }), { removed: true }, 'announce'],
    [
      'a read older than the announcement',
      rule({ ...ours }),
      { removed: true, announced: true },
      'read-again',
    ],
    [
      'a live lease of another',
      rule({ ...ours, ...live, 'closing-a': '1' }),
      { removed: true, announced: true },
      'withdraw',
    ],
    [
      'only leases that expired',
      rule({ ...ours, ...dead, 'closing-a': '1' }),
      { removed: true, announced: true },
      'revoke',
    ],
    ['nobody else', rule({ ...ours, 'closing-a': '1' }), { removed: true, announced: true }, 'revoke'],
  ])('%s', (_, seen, state, step) => expect(decideLeave(seen, { ...mine, ...state }, now)).toBe(step));
});

describe('every order in which two runs behind one address can act', () => {
  const opening: Opening = { groupId: 'sg-1', port: 22, cidr: '20.0.0.1/32' };

  /** An AWS whose calls wait to be let through one at a time, and whose reads may be one write old. */
  function turnstile(staleReads: boolean) {
    let time = now;
    const versions: IngressRule[][] = [[]];
    let serial = 0;
    const gates = new Map<string, { pass: () => void; since: number }>();
    const current = () => versions.at(-1)!;
    const write = (rules: IngressRule[]) => versions.push(rules);
    const lagging = new Set<string>();
    const as = (who: string): SecurityGroups & { clock: Clock } => {
      const turn = () => new Promise<void>((resolve) => gates.set(who, { pass: resolve, since: time }));
      const change = (id: string, edit: (tags: Record<string, string>) => Record<string, string>) =>
        write(current().map((one) => (one.id === id ? { ...one, tags: edit(one.tags) } : one)));
      return {
        async rules() {
          await turn();
          // The first read after each write of anybody may still show what was before.
          const stale = staleReads && versions.length > 1 && !lagging.has(`${who}${versions.length}`);
          lagging.add(`${who}${versions.length}`);
          return stale ? versions.at(-2)! : current();
        },
        async authorize(_, { tags }) {
          await turn();
          if (current().length > 0) return 'duplicate';
          const made = { ...rule(tags), id: `sgr-${++serial}` };
          write([made]);
          return made;
        },
        async revoke(_, id) {
          await turn();
          if (!current().some((one) => one.id === id)) return 'gone';
          write(current().filter((one) => one.id !== id));
          return 'revoked';
        },
        async tag(id, tags) {
          await turn();
          if (!current().some((one) => one.id === id)) return 'gone';
          change(id, (old) => ({ ...old, ...tags }));
          return 'tagged';
        },
        async untag(id, keys) {
          await turn();
          change(id, (old) => Object.fromEntries(Object.entries(old).filter(([key]) => !keys.includes(key))));
        },
        mayAuthorize: async () => ({ verdict: 'allowed' }),
        mayRevoke: async () => ({ verdict: 'allowed' }),
        clock: {
          now: () => time,
          async sleep(ms) {
            await turn();
            time += ms;
          },
        },
      };
    };
    return { as, gates, current, now: () => time };
  }

  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

  /** One leaves while the other joins; `choose` says whose call comes next. Answers how many choices there were. */
  async function race(staleReads: boolean, choose: (ready: string[]) => number): Promise<void> {
    const { as, gates, current, now: clock } = turnstile(staleReads);
    let calls = 0;
    const drive = async (done: () => boolean, pick: (ready: string[]) => number) => {
      while (!done()) {
        await settle();
        const ready = [...gates.keys()].sort();
        if (ready.length === 0) continue;
        if (++calls > 400) throw new Error('the runs wait for each other for ever');
        // No call is held up for longer than this: a request ends in time, or the run counts as dead.
        const late = ready.find((one) => clock() - gates.get(one)!.since >= 3_000);
        const who = late ?? ready[ready.length > 1 ? pick(ready) : 0]!;
        const { pass } = gates.get(who)!;
        gates.delete(who);
        pass();
      }
    };
    const outside = (who: string) => {
      const groups = as(who);
      return { groups, clock: groups.clock, log: memoryLog() };
    };
    let ended = 0;
    const first = outside('a');
    const opened = openPort(opening, lease('a'), first).finally(() => ended++);
    await drive(
      () => ended === 1,
      () => 0,
    );
    const held = await opened;
    const made = current().find(({ id }) => id === held.ruleId)!;

    ended = 0;
    const leaving = leaveRule(made, { nonce: 'a', leases: ['lease-a'], created: true }, first).finally(
      () => ended++,
    );
    const second = outside('b');
    const joining = openPort(opening, lease('b'), second).finally(() => ended++);
    await drive(() => ended === 2, choose);
    const [, joined] = await Promise.all([leaving, joining]);
    // The one that is still there can get in, by the rule it was told of, until it leaves.
    expect(current().map(({ id }) => id)).toEqual([joined.ruleId]);
    expect(Object.keys(current()[0]!.tags)).toContain('lease-b');

    ended = 0;
    const last = leaveRule(
      current()[0]!,
      { nonce: 'b', leases: ['lease-b'], created: false },
      second,
    ).finally(() => ended++);
    await drive(
      () => ended === 1,
      () => 0,
    );
    await last;
    expect(current()).toEqual([]);
  }

  it.each([false, true])(
    'lets the one in that stays, and ends with the port closed; stale reads: %s',
    async (stale) => {
      // Depth first over all choices: each run replays a prefix and then always lets the first through.
      let prefix: number[] = [];
      let orders = 0;
      for (;;) {
        const taken: number[] = [];
        await race(stale, () => {
          const choice = prefix[taken.length] ?? 0;
          taken.push(choice);
          return choice;
        });
        orders++;
        const last = taken.lastIndexOf(0);
        if (last < 0 || orders > 20_000) break;
        prefix = [...taken.slice(0, last), 1];
      }
      expect(orders).toBeGreaterThan(500);
      expect(orders).toBeLessThanOrEqual(20_000);
    },
    60_000,
  );
});

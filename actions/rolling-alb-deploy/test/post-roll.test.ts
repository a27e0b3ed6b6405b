import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { finishRoll, isUnfinished } from '../src/roll/post-roll.ts';
import type { OnFailure } from '../src/roll/roll.ts';
import { type Fault, group, stand } from './stand.ts';

const idle = new AbortController().signal;

/** main with its faults, then post in a new process, as the runner runs them. */
async function mainThenPost(s: ReturnType<typeof stand>, onFailure: OnFailure = 'rollback-all') {
  const main = await s.roll(onFailure).catch(() => undefined);
  s.revive();
  const left = main ?? s.saved();
  return isUnfinished(left) ? finishRoll(left, s.context(onFailure, idle)) : left;
}

describe('post', () => {
  it('does nothing after a roll that ended', async () => {
    const s = stand();
    await s.roll();
    expect(isUnfinished(s.saved())).toBe(false);
  });

  for (const when of ['kill-before', 'kill-after'] as const)
    for (let at = 0; at < 6; at++)
      it(`restores membership and leaves one verified release a host after ${when} of effect ${at}`, async () => {
        const s = stand({ faults: { [at]: when } });
        const from = s.clock.now();
        const hosts = await mainThenPost(s);
        expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
        expect([...s.runs.values()]).not.toContain('between');
        expect(s.fewest()).toBeGreaterThanOrEqual(1);
        expect(hosts.every(({ rotation }) => rotation === 'in')).toBe(true);
        // What it was working on has the old release again.
        expect(s.runs.get('i-b')).toBe('old');
        expect(s.clock.now() - from).toBeLessThan(240_000);
      });

  it('does nothing more when it runs twice', async () => {
    const s = stand({ faults: { 1: 'kill-after' } });
    await mainThenPost(s);
    const before = [...s.journal];
    expect(isUnfinished(s.saved())).toBe(false);
    await finishRoll(s.saved(), s.context('rollback-all', idle));
    expect(s.journal).toEqual(before);
  });

  it('registers a host whose old release cannot be brought back, and names it', async () => {
    const s = stand({ faults: { 1: 'kill-after' } });
    await s.roll().catch(() => undefined);
    s.revive();
    const context = s.context('rollback-all', idle);
    const hosts = await finishRoll(s.saved(), {
      ...context,
      fleet: (id) => ({
        ...context.fleet(id),
        goBack: async () => {
          throw new Error('ssh: connection timed out');
        },
      }),
    });
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(hosts[0]?.failure).toContain('connection timed out');
  });

  it('keeps within two minutes when a host hangs', async () => {
    const s = stand({ faults: { 1: 'kill-after' } });
    await s.roll().catch(() => undefined);
    s.revive();
    const context = s.context('rollback-all', idle);
    const from = s.clock.now();
    await finishRoll(s.saved(), {
      ...context,
      fleet: (id) => ({ ...context.fleet(id), goBack: () => new Promise(() => {}) }),
    });
    expect(s.clock.now() - from).toBeLessThan(115_000);
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
  });

  it('leaves a host that takes requests on the new release alone when there is no time to drain it', async () => {
    const s = stand({
      faults: { 3: 'kill-before' },
      settings: { drain: { kind: 'full', settle: 15_000 } },
      target: group({ deregistrationDelay: 300_000 }),
    });
    await mainThenPost(s);
    expect(s.runs.get('i-a')).toBe('new');
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
  });
});

describe('whatever goes wrong', () => {
  const fault = fc.constantFrom<Fault>('throttled', 'lost', 'kill-before', 'kill-after', 'fails', 'denied');

  it('membership ends as it began, and the roll never leaves fewer than min-healthy in service', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 4 }),
        fc.dictionary(fc.integer({ min: 0, max: 25 }).map(String), fault, { maxKeys: 5 }),
        fc.subarray(['i-0', 'i-1', 'i-2', 'i-3']),
        fc.constantFrom<OnFailure>('rollback-all', 'rollback-failed', 'stop'),
        async (size, faults, sick, onFailure) => {
          const ids = Array.from({ length: size }, (_, n) => `i-${n}`);
          const s = stand({ ids, faults, sick: new Set(sick) });
          const start = s.membership();
          const hosts = await mainThenPost(s, onFailure);
          expect(s.membership()).toEqual(start);
          // A sick release under `stop` may serve nobody by itself; taking out is what must never do that.
          if (onFailure !== 'stop') expect(s.fewest()).toBeGreaterThanOrEqual(1);
          expect(hosts).toHaveLength(size);
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { finishRoll, isUnfinished } from '../src/roll/post-roll.ts';
import { inStandby, type OnFailure, resultOf } from '../src/roll/roll.ts';
import { runRoll } from '../src/roll/run-roll.ts';
import { type Fault, group, stand } from './stand.ts';

// The Auto Scaling group of the stand ends at once whom it finds ill or missing in its target group: every test here
// would lose a machine if a member left its target group without being in standby.

const idle = new AbortController().signal;
const roomy = { minSize: 0, maxSize: 10 };
const allInService = { 'i-a': 'InService', 'i-b': 'InService' };

/** main with its faults, then post in a new process, as the runner runs them. */
async function mainThenPost(s: ReturnType<typeof stand>, onFailure: OnFailure = 'rollback-all') {
  const main = await s.roll(onFailure).catch(() => undefined);
  s.revive();
  const left = main ?? s.saved();
  return isUnfinished(left, s.minimums()) ? finishRoll(left, s.context(onFailure, idle)) : left;
}

describe('members of an Auto Scaling group', () => {
  it('step aside before they leave their target group, and return once they are healthy there', async () => {
    const s = stand({ ids: ['i-a', 'i-b'], scaling: roomy });
    const hosts = await s.roll();
    expect(s.journal).toEqual([
      'enter i-a',
      'deregister i-a:8000',
      'switch i-a',
      'register i-a:8000',
      'exit i-a',
      'enter i-b',
      'deregister i-b:8000',
      'switch i-b',
      'register i-b:8000',
      'exit i-b',
    ]);
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    expect(s.lifecycles()).toEqual(allInService);
    expect(s.asg.desired).toBe(2);
  });

  it('are not ended when their release is sick: they come back to service with the one before', async () => {
    const s = stand({ scaling: roomy, sick: new Set(['i-a']) });
    const hosts = await s.roll();
    expect(resultOf(hosts, 'rollback-all')).toBe('rolled-back');
    expect(s.lifecycles()).toEqual(allInService);
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
  });

  it('are not ended with a sick release under stop either: who is unfit stays in standby, and is named', async () => {
    const s = stand({ scaling: roomy, sick: new Set(['i-a']) });
    const hosts = await s.roll('stop');
    expect(s.journal).not.toContain('ended i-a');
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(inStandby(hosts).map(({ id }) => id)).toEqual(['i-a']);
  });

  it('make room where their group is at its minimum, and it is what it was as soon as they are back', async () => {
    const s = stand({ scaling: { minSize: 2, maxSize: 2 } });
    const hosts = await s.roll();
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    expect(s.journal.filter((line) => line.startsWith('min'))).toEqual(['min 1', 'min 2', 'min 1', 'min 2']);
    expect(s.asg).toMatchObject({ minSize: 2, desired: 2 });
    expect(s.minimums()).toEqual([]);
  });

  it('serve even when they may not return, and the way to bring them back is named', async () => {
    const s = stand({
      ids: ['i-a', 'i-b', 'i-c'],
      scaling: roomy,
      faultsFrom: { effect: 'exit', fault: 'denied' },
    });
    const hosts = await s.roll('rollback-all');
    expect(hosts[0]?.failure).toContain('in service, but not back from standby in asg: not allowed: exit');
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000', 'i-c:8000']);
    expect([...s.runs.values()]).toEqual(['old', 'old', 'old']);
    expect(inStandby(hosts).map(({ id }) => id)).toEqual(['i-a']);
  });

  it('stay where they are when they may not step aside', async () => {
    const s = stand({ scaling: roomy, faultsFrom: { effect: 'enter', fault: 'denied' } });
    const hosts = await s.roll();
    expect(s.journal).toEqual([]);
    expect(s.lifecycles()).toEqual(allInService);
    expect(resultOf(hosts, 'rollback-all')).toBe('failed');
  });

  it('that were scaled in meanwhile are left alone, and are no failure', async () => {
    const s = stand({ ids: ['i-a', 'i-b', 'i-c'], scaling: roomy });
    const rolling = s.roll();
    const scaledIn = s.clock.sleep(5_000).then(() => s.scaleIn('i-c'));
    const hosts = await rolling;
    await scaledIn;
    expect(hosts.map(({ id, left }) => `${id} ${left}`)).toEqual(['i-a false', 'i-b false', 'i-c true']);
    expect(resultOf(hosts, 'rollback-all')).toBe('deployed');
    expect(s.journal).not.toContain('switch i-c');
  });

  it('that were scaled in after their turn are not looked for when the others go back', async () => {
    const s = stand({ ids: ['i-a', 'i-b', 'i-c'], scaling: roomy, sick: new Set(['i-c']) });
    const turn = s.roll('rollback-all');
    while (!s.journal.includes('exit i-a')) await s.clock.sleep(1_000);
    await s.clock.sleep(10_000);
    s.scaleIn('i-a');
    const hosts = await turn;
    expect(hosts.map(({ left, release }) => `${left} ${release}`)).toEqual([
      'true new',
      'false old',
      'false old',
    ]);
    expect(s.journal).not.toContain('go-back i-a');
    expect(resultOf(hosts, 'rollback-all')).toBe('rolled-back');
  });

  it('do not step aside any more when their group shrinks under their feet', async () => {
    const s = stand({ scaling: { minSize: 2, maxSize: 2 } });
    const context = s.context('rollback-all', idle);
    const hosts = await runRoll([s.record('i-a'), s.record('i-b', { batch: 1 })], {
      ...context,
      scaling: {
        ...context.scaling,
        // An alarm strikes as soon as the minimum allows it.
        setMinSize: async (name, minSize) => {
          await context.scaling.setMinSize(name, minSize);
          if (minSize === 1) s.asg.desired = 1;
        },
      },
    });
    expect(hosts[0]?.failure).toContain('asg was scaled in while i-a stepped aside');
    expect(s.lifecycles()).toEqual(allInService);
    expect(s.asg.minSize).toBe(2);
  });

  it('wait for the deregistration delay, however soon they are idle', async () => {
    const s = stand({ scaling: roomy, target: group({ deregistrationDelay: 120_000 }) });
    await s.roll();
    const { drain = 0, health = 0 } = s.timeline.seconds('i-a');
    expect(drain).toBeLessThan(25);
    expect(drain + health).toBeGreaterThanOrEqual(120);
  });

  it('are put back into rotation at once by post, though Auto Scaling still waits for the delay', async () => {
    const s = stand({
      scaling: roomy,
      target: group({ deregistrationDelay: 60_000 }),
      faults: { 2: 'kill-before' },
    });
    await mainThenPost(s);
    expect(s.membership()).toEqual(['i-a:8000', 'i-b:8000']);
    expect(s.journal).not.toContain('ended i-a');
    expect(s.lifecycles()).toEqual(allInService);
  });
});

describe('whatever goes wrong with standby', () => {
  const fault = fc.constantFrom<Fault>('throttled', 'lost', 'kill-before', 'kill-after', 'fails');

  it('nobody is ended, nobody stays in standby, and the sizes of the group end as they began', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 3 }),
        fc.dictionary(fc.integer({ min: 0, max: 30 }).map(String), fault, { maxKeys: 4 }),
        fc.constantFrom<OnFailure>('rollback-all', 'rollback-failed'),
        fc.boolean(),
        async (size, faults, onFailure, atMinimum) => {
          const ids = Array.from({ length: size }, (_, n) => `i-${n}`);
          const minSize = atMinimum ? size : 0;
          const s = stand({ ids, faults, scaling: { minSize, maxSize: size } });
          const start = s.membership();
          await mainThenPost(s, onFailure);
          expect(s.journal.filter((line) => line.startsWith('ended'))).toEqual([]);
          expect(s.membership()).toEqual(start);
          // A drain that post ended early may still hold a member on its way; Auto Scaling itself goes on with it.
          if (inStandby(s.saved()).length === 0) {
            expect(new Set(Object.values(s.lifecycles()))).toEqual(new Set(['InService']));
            expect(s.asg).toMatchObject({ minSize, desired: size });
          }
          // Who could not go back either serves neither release: it stays aside, and is named.
          expect(inStandby(s.saved()).filter(({ release }) => release !== 'unfit')).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  }, 60_000);
});

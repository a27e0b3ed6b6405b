import { describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import { openFleetStage, succeeded } from './fleet-stage.ts';

// kill -9 in every phase of a roll, with the post step after it, and without: then the next run puts it right.

/** The line that main writes when a phase begins. */
const phases: Array<[string, RegExp]> = [
  ['taking out', /^taking out/],
  ['draining', /^draining/],
  ['the switch', /^switching i-/],
  ['the proof on the host', /: healthy; watching it for/],
  ['registering', /^registering/],
  ['becoming healthy', / is initial /],
  ['the bake time', /^watching i-/],
];
const ofMembers: typeof phases = [
  ['stepping aside', /^putting .* in standby/],
  ...phases,
  ['the return from standby', /^returning /],
];

const autoScaling = { minSize: 2, maxSize: 3, healthCheckType: 'ELB' as const, healthCheckGraceMs: 60_000 };
const inputs = { 'bake-time': '3s' };

/** Kills main at the first line of the phase. */
const killAt = (line: RegExp) => {
  let killed = false;
  return (text: string, kill: (signal: NodeJS.Signals) => void) => {
    if (killed || !line.test(text)) return;
    killed = true;
    kill('SIGKILL');
  };
};

describe.each([
  ['instances', {}, phases],
  ['members of an Auto Scaling group at its minimum', { autoScaling }, ofMembers],
] as const)('%s', (_what, settings, moments) => {
  it.each(moments)(
    'killed in %s: post restores the membership, and nobody notices',
    async (_phase, line) => {
      // The delay is 10 s of ours, and 100 s for post, which must end in two minutes.
      const stage = await openFleetStage({ scale: 10, delay: 100, ...settings });
      try {
        const { lab } = stage;
        const before = stage.membership();
        const load = startLoad({
          url: lab.balancer.url,
          rps: 50,
          seed: 3,
          mix: { get: 70, post: 25, slow: 5 },
          slowMs: [2_000, 8_000],
        });
        const next = { ...inputs, ...(await stage.image('v2')) };
        const main = await stage.main(next, killAt(line));
        expect(main.code).toBe(null);
        const began = Date.now();
        const post = await stage.post(inputs);
        expect(Date.now() - began).toBeLessThan(120_000);
        if (!lab.scaling) succeeded(post);
        expect(stage.membership()).toEqual(before);
        // What Auto Scaling was still waiting for is the next run's.
        stage.forget();
        const again = await stage.main(next);
        succeeded(again);
        const { failures } = await load.stop();
        expect(failures).toEqual([]);
        expect(stage.membership()).toEqual(before);
        expect(await stage.versions()).toEqual(['v2', 'v2']);
        expect(stage.endedMembers()).toEqual([]);
        if (lab.scaling)
          expect(stage.scaling()).toEqual({ minSize: 2, desired: 2, lifecycles: ['InService', 'InService'] });
      } finally {
        await stage.close();
      }
    },
    600_000,
  );

  it.each(moments)(
    'lost in %s, with its runner: the next run restores the membership',
    async (_phase, line) => {
      const stage = await openFleetStage({ scale: 40, delay: 60, ...settings });
      try {
        const before = stage.membership();
        const next = { ...inputs, drain: 'full', ...(await stage.image('v2')) };
        const lost = await stage.main(next, killAt(line));
        expect(lost.code).toBe(null);
        // Nothing goes on meanwhile, and the delay passes: the target is no longer listed.
        await stage.lab.clock.sleep(90_000);
        stage.forget();
        succeeded(await stage.main(next));
        expect(stage.membership()).toEqual(before);
        expect(await stage.versions()).toEqual(['v2', 'v2']);
        expect(stage.endedMembers()).toEqual([]);
        if (stage.lab.scaling)
          expect(stage.scaling()).toEqual({ minSize: 2, desired: 2, lifecycles: ['InService', 'InService'] });
      } finally {
        await stage.close();
      }
    },
    600_000,
  );
});

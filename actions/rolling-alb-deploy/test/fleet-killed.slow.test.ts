import { describe, expect, it } from '@jest/globals';
import { startLoad } from '@lockkeeper/lab';
import limited from 'p-limit';
import { scenario, succeeded } from './fleet-stage.ts';
import { killAt, membersPhases, phases, putRight, scenesOf } from './kill.ts';

// kill -9 in every phase of a roll under load, with the post step after it. Without it: fleet-lost.slow.test.ts.

const inputs = { 'bake-time': '3s' };
/** Two cores play so many side by side. */
const turns = limited(3);

const scenes = scenesOf(phases, membersPhases).map((scene) => ({
  ...scene,
  play: scenario(
    async (stage) => {
      const { lab } = stage;
      const before = stage.registered();
      const load = startLoad({
        url: lab.balancer.url,
        rps: 50,
        seed: 3,
        mix: { get: 70, post: 25, slow: 5 },
        slowMs: [2_000, 3_000],
      });
      const next = { ...inputs, ...(await stage.image('v2')) };
      const main = await stage.main(next, killAt(scene.line));
      const began = Date.now();
      const post = await stage.post(inputs);
      const postTook = Date.now() - began;
      const afterPost = stage.registered();
      // What Auto Scaling was still waiting for is the next run's.
      stage.forget();
      const again = await stage.main(next);
      const { requests, failures } = await load.stop();
      return {
        main,
        post,
        postTook,
        again,
        requests,
        failures,
        memberships: { before, afterPost, after: stage.registered() },
        versions: await stage.versions(),
        ended: stage.endedMembers(),
        scaling: stage.scaling(),
      };
    },
    // 6 s of ours: the longest request, sent in the last moment of the lingering second, has two left on a busy computer.
    { scale: 10, delay: 60, ...scene.settings },
    turns,
  ),
}));

describe('killed, with post', () => {
  it.each(scenes)(
    '$what in $phase: the membership is restored, and nobody notices',
    async ({ play, settings }) => {
      const { main, post, postTook, again, requests, failures, memberships, ...seen } = await play();
      expect(main.code).toBe(null);
      expect(postTook).toBeLessThan(120_000);
      if (!('autoScaling' in settings)) succeeded(post);
      succeeded(again);
      expect(memberships.afterPost).toEqual(memberships.before);
      expect(memberships.after).toEqual(memberships.before);
      expect(requests).toBeGreaterThan(500);
      expect(failures).toEqual([]);
      expect(seen).toEqual(putRight(settings));
    },
    600_000,
  );
});

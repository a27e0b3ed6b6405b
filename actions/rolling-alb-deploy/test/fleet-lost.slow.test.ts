import { describe, expect, it } from '@jest/globals';
import limited from 'p-limit';
import { scenario, succeeded } from './fleet-stage.ts';
import { killAt, membersPhases, phases, putRight, scenesOf } from './kill.ts';

// kill -9 in every phase of a roll, and the runner is gone with it: no post, and the next run puts it right.

/** Two cores play so many side by side. */
const turns = limited(3);

const ofMembers = [...phases.filter(([phase]) => /draining|switch/.test(phase)), ...membersPhases];

const scenes = scenesOf(phases, ofMembers).map((scene) => ({
  ...scene,
  play: scenario(
    async (stage) => {
      const before = stage.registered();
      const next = { 'bake-time': '3s', drain: 'full', ...(await stage.image('v2')) };
      const lost = await stage.main(next, killAt(scene.line));
      // Nothing goes on meanwhile, and the delay passes: the target is no longer listed.
      await stage.lab.clock.sleep(90_000);
      stage.forget();
      const later = await stage.main(next);
      return {
        lost,
        later,
        memberships: { before, after: stage.registered() },
        versions: await stage.versions(),
        ended: stage.endedMembers(),
        scaling: stage.scaling(),
      };
    },
    { delay: 60, ...scene.settings },
    turns,
  ),
}));

describe('lost with its runner', () => {
  it.each(scenes)(
    '$what in $phase: the next run restores the membership',
    async ({ play, settings }) => {
      const { lost, later, memberships, ...seen } = await play();
      expect(lost.code).toBe(null);
      succeeded(later);
      expect(memberships.after).toEqual(memberships.before);
      expect(seen).toEqual(putRight(settings));
    },
    600_000,
  );
});

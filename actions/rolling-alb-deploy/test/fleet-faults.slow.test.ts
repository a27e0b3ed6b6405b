import { describe, expect, it } from '@jest/globals';
import type { Fault } from '@lockkeeper/lab';
import { openFleetStage, succeeded } from './fleet-stage.ts';

// AWS on a bad day: what it answers is late, lost, throttled, or a refusal in the middle of the roll.

const quick = { drain: 'full' };

describe('membership ends as it began, and the release is rolled', () => {
  const calls = ['RegisterTargets', 'DeregisterTargets', 'DescribeTargetHealth'];
  it.each<[string, (action: string) => Fault[]]>([
    // More than the SDK's own six attempts.
    ['throttled', (action) => [{ kind: 'throttle', match: { action, nth: 3, times: 8 } }]],
    ['lost answers', (action) => [{ kind: 'lost-response', match: { action, nth: 3, times: 3 } }]],
    ['cut connections', (action) => [{ kind: 'drop', match: { action, nth: 3, times: 3 } }]],
    ['errors of the service', (action) => [{ kind: '5xx', match: { action, nth: 3, times: 7 } }]],
    ['late answers', (action) => [{ kind: 'slow', ms: 80_000, match: { action, nth: 3, times: 3 } }]],
  ])(
    '%s',
    async (_what, faults) => {
      const stage = await openFleetStage({ morePorts: [8001], delay: 60 });
      try {
        const { lab } = stage;
        const before = stage.membership();
        for (const action of calls) for (const fault of faults(action)) lab.account.faults.add(fault);
        const arns = lab.groups.map(({ arn }) => arn).join('\n');
        succeeded(await stage.main({ ...quick, 'target-group-arn': arns, ...(await stage.image('v2')) }));
        expect(stage.membership()).toEqual(before);
        expect(await stage.versions()).toEqual(['v2', 'v2']);
      } finally {
        await stage.close();
      }
    },
    600_000,
  );
});

it('a refusal in the middle names who is out and what to type, and the next run that may puts it right', async () => {
  const stage = await openFleetStage({ morePorts: [8001], delay: 60 });
  try {
    const { lab } = stage;
    const before = stage.membership();
    const arns = lab.groups.map(({ arn }) => arn).join('\n');
    const next = { ...quick, 'target-group-arn': arns, ...(await stage.image('v2')) };
    const main = await stage.main(next, (line) => {
      // In one of the two groups it can still be registered: half of it is done.
      if (line.startsWith('switching i-'))
        lab.account.faults.add({
          kind: 'denied',
          match: { action: 'RegisterTargets', resource: lab.groups[1]!.arn, times: Number.POSITIVE_INFINITY },
        });
    });
    expect(main.code).toBe(1);
    expect(main.log).toContain('not allowed: elasticloadbalancing:RegisterTargets');
    expect(main.log).toMatch(/Still out of rotation: i-[0-9a-f]+\..*aws elbv2 register-targets/);
    const post = await stage.post(quick);
    expect(post.code).toBe(1);
    expect(post.log).toContain('aws elbv2 register-targets');
    expect(stage.membership()).toHaveLength(3);
    lab.account.faults.clear();
    stage.forget();
    succeeded(await stage.main(next));
    expect(stage.membership()).toEqual(before);
    expect(await stage.versions()).toEqual(['v2', 'v2']);
  } finally {
    await stage.close();
  }
}, 600_000);

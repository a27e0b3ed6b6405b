import { expect, it } from '@jest/globals';
import { openStage } from './stage.ts';

// The committed bundle as a real process, killed with -9 at each of its calls: when the call arrives, so that it has
// no effect, or when it has taken effect and before the answer is heard. In killed.test.ts the same in one process.

const calls = [
  'AssumeRoleWithWebIdentity',
  'DescribeSecurityGroupRules',
  'dry AuthorizeSecurityGroupIngress',
  'dry RevokeSecurityGroupIngress',
  'AuthorizeSecurityGroupIngress',
  'dry CreateTags',
] as const;
const table = calls.flatMap((call) =>
  (['arrives', 'has taken effect'] as const).flatMap((moment) =>
    (['post runs', 'post never runs and a sweep does'] as const).map(
      (aftermath) => [call, moment, aftermath] as const,
    ),
  ),
);

it('is tried in 20 cases and more', () => expect(table.length).toBeGreaterThanOrEqual(20));

it.each(table)(
  'main killed when %s %s, and %s: nothing of ours is open and nothing of others touched',
  async (call, moment, aftermath) => {
    const stage = await openStage();
    try {
      const { account, group } = stage;
      const human = account.addRule(group.id, { cidr: '198.51.100.7/32', port: 22, description: 'vpn' });
      const [, dry, action] = /^(dry )?(\w+)$/.exec(call)!;
      let pid: number | undefined;
      const match = { action, dryRun: dry !== undefined };
      const fault = moment === 'arrives' ? account.faults.add({ kind: 'hang', match }) : undefined;
      let killed = false;
      account.onCall((one) => {
        if (killed || one.action !== action || one.dryRun !== match.dryRun) return;
        killed = true;
        process.kill(pid!, 'SIGKILL');
      });
      const { main, post } = await stage.run(aftermath === 'post runs' ? {} : { ttl: '1s' }, {
        phases: aftermath === 'post runs' ? ['main', 'post'] : ['main'],
        onEvent: (event) => {
          if (event.kind === 'process-started') pid = event.pid;
        },
      });
      expect(main!.signal).toBe('SIGKILL');
      expect(fault?.struck ?? 1).toBe(1);
      if (aftermath === 'post runs') expect(post!.code).toBe(0);
      else {
        await new Promise((resolve) => setTimeout(resolve, 2_100));
        const sweep = await stage.run({ mode: 'sweep' });
        expect(sweep.conclusion).toBe('success');
      }
      expect(group.rules).toEqual([human]);
    } finally {
      await stage.close();
    }
  },
  60_000,
);

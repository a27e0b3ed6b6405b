import { expect, it } from '@jest/globals';
import { openLab } from '../src/index.ts';

it('shuts everybody out of SSH whatever the rules say, and leaves the rules as they are', async () => {
  const lab = await openLab({
    scale: 20,
    seed: 1,
    hosts: 1,
    balanced: false,
    repository: 'acme/app',
    policy: () => ({ Version: '2012-10-17', Statement: [] }),
  });
  try {
    const [{ host }] = lab.hosts as [(typeof lab.hosts)[number]];
    const rules = () => lab.account.securityGroups.get(lab.securityGroupId)!.rules;
    lab.account.addRule(lab.securityGroupId, { cidr: '0.0.0.0/0', port: host.sshPort });
    await host.updateAccess();
    const before = rules();
    expect(host.reachable).toBe(true);
    const open = lab.shutOut();
    await host.updateAccess();
    expect(host.reachable).toBe(false);
    open();
    await host.updateAccess();
    expect(host.reachable).toBe(true);
    expect(rules()).toEqual(before);
  } finally {
    await lab.close();
  }
});

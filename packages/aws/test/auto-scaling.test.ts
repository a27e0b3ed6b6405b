import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Account, labClock, type ScalingGroup, serveAws } from '@lockkeeper/lab';
import { openInstances, openScalingGroups, type ScalingGroups } from '../src/index.ts';

describe('through the real SDK', () => {
  const clock = labClock(1000);
  let account: Account;
  let aws: Awaited<ReturnType<typeof serveAws>>;
  let group: ScalingGroup;
  let scaling: ScalingGroups & { close(): void };
  let ids: string[];
  let config: Parameters<typeof openScalingGroups>[0];

  const signIn = async (actions: string[]) => {
    const credentials = { accessKeyId: `AKIA${actions.length}`, secretAccessKey: 'secret' };
    const policy = {
      Version: '2012-10-17' as const,
      Statement: [{ Effect: 'Allow' as const, Action: actions, Resource: '*' }],
    };
    account.addUser({ ...credentials, policy });
    config = { region: account.region, endpoint: aws.url, credentials, maxAttempts: 1 };
    scaling?.close();
    scaling = await openScalingGroups(config);
  };

  beforeEach(async () => {
    account = new Account({ clock, seed: 5 });
    aws = await serveAws(account);
    const members = Array.from({ length: 21 }, (_, n) =>
      account.addInstance({ privateIp: `10.0.1.${n + 1}`, securityGroupIds: [] }),
    );
    ids = members.map(({ id }) => id);
    group = account.addScalingGroup({ name: 'web', minSize: 0, maxSize: 30, members });
    await signIn(['autoscaling:*', 'ec2:*']);
  });
  afterEach(async () => {
    scaling.close();
    group.close();
    await aws.close();
  });

  const lifecycles = async () => {
    const members = (await scaling.describe(['web'])).get('web')!.members;
    return [...new Set(members.map(({ lifecycle }) => lifecycle))];
  };
  const become = async (state: string) => {
    while ((await lifecycles()).join() !== state) await clock.sleep(1_000);
  };

  it('moves more members than one call takes, and the desired capacity with them', async () => {
    await scaling.enterStandby('web', ids);
    await become('Standby');
    expect((await scaling.describe(['web', 'nobody'])).get('web')).toMatchObject({ desired: 0, minSize: 0 });
    await scaling.exitStandby('web', ids);
    await become('InService');
    expect((await scaling.describe(['web'])).get('web')?.desired).toBe(21);
  });

  it('tells an instance refresh that is under way from one that is over', async () => {
    expect(await scaling.refreshUnderWay('web')).toBeUndefined();
    group.refresh = { id: 'r-1', status: 'Successful' };
    expect(await scaling.refreshUnderWay('web')).toBeUndefined();
    group.refresh = { id: 'r-2', status: 'RollbackInProgress' };
    expect(await scaling.refreshUnderWay('web')).toBe('RollbackInProgress');
  });

  it('sets the minimum alone', async () => {
    await scaling.setMinSize('web', 3);
    expect(group).toMatchObject({ minSize: 3, maxSize: 30, desiredCapacity: 21 });
  });

  it('finds missing permissions without changing anything', async () => {
    const resize = true;
    expect(await scaling.missingPermissions('web', { resize })).toEqual([]);
    await signIn(['autoscaling:Describe*', 'autoscaling:EnterStandby']);
    const refusals = (await scaling.missingPermissions('web', { resize }))
      .map(({ message }) => message)
      .join();
    expect(refusals).toMatch(/autoscaling:ExitStandby.*autoscaling:UpdateAutoScalingGroup/);
    expect(await scaling.missingPermissions('web', { resize: false })).toHaveLength(1);
    expect(await lifecycles()).toEqual(['InService']);
    expect(group).toMatchObject({ minSize: 0, maxSize: 30, desiredCapacity: 21 });
  });

  it('reads what an instance wrote to its console, then and now', async () => {
    const instances = await openInstances(config);
    const { id } = account.addInstance({
      privateIp: '10.0.2.1',
      securityGroupIds: [],
      consoleOutput: 'booted 서버\r\n',
    });
    account.instances.get(id)!.latestConsoleOutput = 'login: ';
    expect(await instances.console(id, 'kept')).toBe('booted 서버\r\n');
    expect(await instances.console(id, 'latest')).toBe('login: ');
    expect(await instances.console(ids[0]!, 'kept')).toBe('');
    instances.close();
  });
});

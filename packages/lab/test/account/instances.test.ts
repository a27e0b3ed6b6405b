import { DescribeInstancesCommand, type EC2Client, GetConsoleOutputCommand } from '@aws-sdk/client-ec2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Instance } from '../../src/account/index.ts';
import { refusal, type Served, serveAccount } from './endpoint.ts';

describe('the instances of the lab account', () => {
  let served: Served;
  let client: EC2Client;
  let web: Instance;
  let spare: Instance;
  let groupId: string;

  beforeEach(async () => {
    served = await serveAccount();
    client = served.ec2();
    groupId = served.account.addSecurityGroup({ name: 'deploy-ssh' }).id;
    web = served.account.addInstance({
      publicIp: '198.51.100.20',
      privateIp: '10.0.1.20',
      securityGroupIds: [groupId],
      zone: 'ap-northeast-2c',
      tags: { Name: 'web-1' },
      consoleOutput: 'SSH HOST KEY FINGERPRINTS\nSHA256:abc 서버\n',
    });
    spare = served.account.addInstance({ privateIp: '10.0.1.21', securityGroupIds: [], state: 'stopped' });
  });
  afterEach(() => served.close());

  const idsWith = async (filters: Record<string, string[]>) => {
    const answer = await client.send(
      new DescribeInstancesCommand({
        Filters: Object.entries(filters).map(([Name, Values]) => ({ Name, Values })),
      }),
    );
    return answer.Reservations?.flatMap(({ Instances }) => Instances?.map((one) => one.InstanceId));
  };

  it('show addresses, names, state, zone, groups and tags', async () => {
    const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [web.id] }));
    expect(Reservations?.[0]?.Instances?.[0]).toMatchObject({
      InstanceId: web.id,
      PublicIpAddress: '198.51.100.20',
      PrivateIpAddress: '10.0.1.20',
      PublicDnsName: 'ec2-198-51-100-20.ap-northeast-2.compute.amazonaws.com',
      PrivateDnsName: 'ip-10-0-1-20.ap-northeast-2.compute.internal',
      State: { Code: 16, Name: 'running' },
      Placement: { AvailabilityZone: 'ap-northeast-2c' },
      SecurityGroups: [{ GroupId: groupId, GroupName: 'deploy-ssh' }],
      Tags: [{ Key: 'Name', Value: 'web-1' }],
    });
  });

  it('have no public address while they are stopped', async () => {
    web.state = 'stopped';
    const { Reservations } = await client.send(new DescribeInstancesCommand({ InstanceIds: [web.id] }));
    const instance = Reservations?.[0]?.Instances?.[0];
    expect(instance?.State).toEqual({ Code: 80, Name: 'stopped' });
    expect(instance?.PublicIpAddress).toBeUndefined();
    expect(instance?.PublicDnsName).toBe('');
    expect(instance?.PrivateIpAddress).toBe('10.0.1.20');
  });

  it('are found by filter', async () => {
    expect(await idsWith({})).toEqual([web.id, spare.id]);
    expect(await idsWith({ 'instance-state-name': ['running'] })).toEqual([web.id]);
    expect(await idsWith({ 'tag:Name': ['web-*'] })).toEqual([web.id]);
    expect(await idsWith({ 'private-ip-address': ['10.0.1.21'] })).toEqual([spare.id]);
    expect(await idsWith({ 'ip-address': ['198.51.100.20'], 'instance.group-id': [groupId] })).toEqual([
      web.id,
    ]);
    expect(await refusal(idsWith({ color: ['blue'] }))).toMatchObject({ name: 'InvalidParameterValue' });
  });

  it.each([
    ['i-0123456789abcdef0', 'InvalidInstanceID.NotFound'],
    ['my-server', 'InvalidInstanceID.Malformed'],
  ])('%s is refused with %s', async (id, name) => {
    const describing = client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    expect(await refusal(describing)).toMatchObject({ name, status: 400 });
    const console = client.send(new GetConsoleOutputCommand({ InstanceId: id }));
    expect(await refusal(console)).toMatchObject({ name, status: 400 });
  });

  it('show their console in base64, and nothing before they wrote any', async () => {
    const written = await client.send(new GetConsoleOutputCommand({ InstanceId: web.id }));
    expect(Buffer.from(written.Output!, 'base64').toString()).toBe(web.consoleOutput);
    expect(written.Timestamp).toBeInstanceOf(Date);
    web.latestConsoleOutput = 'login: ';
    const latest = await client.send(new GetConsoleOutputCommand({ InstanceId: web.id, Latest: true }));
    expect(Buffer.from(latest.Output!, 'base64').toString()).toBe('login: ');
    const silent = await client.send(new GetConsoleOutputCommand({ InstanceId: spare.id }));
    expect(silent.Output).toBeUndefined();
  });
});

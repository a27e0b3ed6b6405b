import { DescribeInstancesCommand, type EC2Client, GetConsoleOutputCommand } from '@aws-sdk/client-ec2';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Instance } from '../../src/account/index.ts';
import { signatureOf } from '../../src/account/signature.ts';
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
    const silent = await client.send(new GetConsoleOutputCommand({ InstanceId: spare.id }));
    expect(silent.Output).toBeUndefined();
  });

  it('tell which Auto Scaling group they are in', async () => {
    web.autoScaling = { group: 'web', lifecycleState: 'InService' };
    const body = `Action=DescribeAutoScalingInstances&Version=2011-01-01&InstanceIds.member.1=${web.id}&InstanceIds.member.2=${spare.id}`;
    const amzDate = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const host = new URL(served.url).host;
    const header = {
      accessKeyId: served.user.accessKeyId,
      date: amzDate.slice(0, 8),
      region: 'ap-northeast-2',
      service: 'autoscaling',
      signedHeaders: ['host', 'x-amz-date'],
    };
    const signature = signatureOf(served.user.secretAccessKey, header, {
      method: 'POST',
      path: '/',
      headers: { host, 'x-amz-date': amzDate },
      body,
    });
    const response = await fetch(served.url, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-amz-date': amzDate,
        authorization: `AWS4-HMAC-SHA256 Credential=${header.accessKeyId}/${header.date}/${header.region}/autoscaling/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`,
      },
    });
    const xml = await response.text();
    expect(response.status).toBe(200);
    expect(xml).toContain(
      `<member><InstanceId>${web.id}</InstanceId><AutoScalingGroupName>web</AutoScalingGroupName>`,
    );
    expect(xml).not.toContain(spare.id);
  });
});

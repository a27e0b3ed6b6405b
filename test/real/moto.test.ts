import { join } from 'node:path';
import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeVpcsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ActionResult, runAction } from '@lockkeeper/runner';
import { root } from '../../tools/manifest.ts';
import { type Moto, openMoto } from './moto.ts';

// ephemeral-ssh-ingress's committed bundle against a stand-in for EC2 that we did not write, seen with the SDK.

let moto: Moto;
let client: EC2Client;
let groupId: string;
const region = 'ap-northeast-2';
const keys = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 'of-a-stand-in' };
const cidr = '203.0.113.7/32';

beforeAll(async () => {
  moto = await openMoto();
  client = new EC2Client({
    endpoint: moto.url,
    region,
    credentials: { accessKeyId: keys.AWS_ACCESS_KEY_ID, secretAccessKey: keys.AWS_SECRET_ACCESS_KEY },
  });
});
afterAll(async () => {
  client?.destroy();
  await moto?.close();
});

let made = 0;
beforeEach(async () => {
  const { Vpcs } = await client.send(new DescribeVpcsCommand({}));
  const group = { GroupName: `deploy-${++made}`, Description: 'deploys', VpcId: Vpcs![0]!.VpcId };
  groupId = (await client.send(new CreateSecurityGroupCommand(group))).GroupId!;
});

const phase = async (
  name: 'main' | 'post',
  inputs: Record<string, string> = {},
  before?: Pick<ActionResult, 'main'>,
) => {
  const result = await runAction({
    directory: join(root, 'actions/ephemeral-ssh-ingress'),
    inputs: { 'security-group-id': groupId, region, ...inputs },
    jobEnv: { ...keys, AWS_ENDPOINT_URL: moto.url },
    phases: [name],
    ...(before?.main ? { state: before.main.state } : {}),
  });
  return { ...result, ...result[name]! };
};
const open = (inputs: Record<string, string> = {}) => phase('main', { cidr, ...inputs });
const rules = async (filter = { Name: 'group-id', Values: [groupId] }) => {
  const { SecurityGroupRules = [] } = await client.send(
    new DescribeSecurityGroupRulesCommand({ Filters: [filter] }),
  );
  return SecurityGroupRules.filter(({ IsEgress, GroupId }) => !IsEgress && GroupId === groupId);
};

describe('against moto', () => {
  it('a step opens the port, is found by its tag, and closes it', async () => {
    const main = await open();
    expect({ code: main.code, log: main.log }).toMatchObject({ code: 0 });
    const found = await rules({ Name: 'tag:managed-by', Values: ['ephemeral-ssh-ingress'] });
    expect(found).toMatchObject([
      {
        SecurityGroupRuleId: main.outputs['security-group-rule-ids'],
        CidrIpv4: cidr,
        FromPort: 22,
        ToPort: 22,
      },
    ]);
    const { Key, Value } = found[0]!.Tags!.find((tag) => tag.Key!.startsWith('lease-'))!;
    expect(await rules({ Name: `tag:${Key}`, Values: [Value!] })).toEqual(found);
    expect((await phase('post', {}, main)).code).toBe(0);
    expect(await rules()).toEqual([]);
  });

  it('a second run meets the duplicate, joins it, and the last one closes it', async () => {
    const first = await open();
    const second = await open();
    expect({ code: second.code, log: second.log.join('\n') }).toMatchObject({
      code: 0,
      log: expect.stringContaining('joined'),
    });
    expect(second.outputs['security-group-rule-ids']).toBe(first.outputs['security-group-rule-ids']);
    expect((await phase('post', {}, first)).code).toBe(0);
    expect(await rules()).toHaveLength(1);
    expect((await phase('post', {}, second)).code).toBe(0);
    expect(await rules()).toEqual([]);
  });

  it("a human's identical rule is used and stays", async () => {
    // To AWS the description is no part of what a rule is; to moto 5.1 it is.
    const Description = 'ephemeral-ssh-ingress octo/boats run 1001.1';
    await client.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: groupId,
        IpPermissions: [
          { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: cidr, Description }] },
        ],
      }),
    );
    const before = await rules();
    const main = await open();
    expect(main).toMatchObject({ code: 0, outputs: { 'security-group-rule-ids': '' } });
    expect((await phase('post', {}, main)).code).toBe(0);
    expect(await rules()).toEqual(before);
  });

  it('an IPv6 address is let in and shut out, and mode: sweep ends what a lost run left', async () => {
    const lost = await open({ cidr: '2001:db8::7', ttl: '1s' });
    expect(await rules()).toMatchObject([{ CidrIpv6: '2001:db8::7/128' }]);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const swept = await phase('main', { mode: 'sweep' });
    expect(swept.outputs['swept-rule-ids']).toBe(lost.outputs['security-group-rule-ids']);
    expect(await rules()).toEqual([]);
  });
});

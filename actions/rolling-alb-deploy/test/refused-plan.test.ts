import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { openAwsStage } from './aws-stage.ts';

const everything = {
  Version: '2012-10-17' as const,
  Statement: [{ Effect: 'Allow' as const, Action: '*', Resource: '*' }],
};
let stage: Awaited<ReturnType<typeof openAwsStage>>;
beforeAll(async () => {
  stage = await openAwsStage();
});
afterAll(() => stage.close());

it('is told everything that is wrong at once, before any host is asked, and nothing was changed', async () => {
  const { account } = stage;
  const balancer = account.addLoadBalancer({ name: 'web' });
  const web = stage.group({ name: 'web', port: 8000, loadBalancerArns: [balancer.arn] });
  const idle = stage.group({ name: 'idle', port: 8000 });
  const lambda = stage.group({ name: 'lambda', port: 8000, targetType: 'lambda' });
  const instance = (n: number, change: { publicIp?: string } = {}) =>
    account.addInstance({ privateIp: `10.0.1.${n}`, securityGroupIds: [], ...change });
  const [hidden, mute, stranger] = [instance(1), instance(2, { publicIp: '127.77.9.2' }), instance(3)];
  const scaling = account.addScalingGroup({ name: 'asg', minSize: 1, maxSize: 4, members: [mute] });
  scaling.suspended.add('Launch');
  scaling.refresh = { id: 'r-1', status: 'InProgress' };
  web.register([{ id: hidden.id }, { id: mute.id }]);

  const message = await stage.refusal(everything, {
    'target-group-arn': [web, idle, lambda].map(({ arn }) => arn).join('\n'),
    'host-keys': 'ec2-console',
    targets: `${hidden.id},${mute.id}:9,${stranger.id}`,
    hosts: 'i-0123456789abcdef0=10.9.9.9',
    'min-healthy': '7',
  });
  expect(message.split('\n')).toEqual([
    expect.stringMatching(/^no load balancer uses the target group idle/),
    expect.stringMatching(/^the target group lambda has targets of type lambda/),
    expect.stringMatching(/^the process Launch of the Auto Scaling group asg is suspended/),
    expect.stringMatching(/^an instance refresh of the Auto Scaling group asg is under way/),
    `${hidden.id} has no public IP address; choose another host-address, or name its address: hosts: ${hidden.id}=<host>`,
    `targets: ${mute.id} is registered on port 8000, not 9`,
    expect.stringMatching(/leave the port out$/),
    `targets: ${stranger.id} is not registered in web, idle, lambda`,
    expect.stringMatching(/^hosts: i-0123456789abcdef0 is not among the targets/),
    expect.stringMatching(new RegExp(`^the console of ${mute.id} shows no SSH host keys`)),
    expect.stringMatching(/and 7 must stay \(min-healthy: 7\); this can never hold/),
    'Nothing was changed.',
  ]);
  expect(
    account.calls.filter(
      ({ action, params }) => action === 'DeregisterTargets' && JSON.stringify(params).includes(hidden.id),
    ),
  ).toEqual([]);
});

import { fileURLToPath } from 'node:url';
import {
  Account,
  type Load,
  labClock,
  openBalancer,
  serveAws,
  startLoad,
  TargetGroup,
} from '@lockkeeper/lab';
import { type ActionResult, type ActionRun, runAction } from '@lockkeeper/runner';
import { shippedPolicy } from '../../actions/rolling-alb-deploy/test/fleet-stage.ts';
import { openNetwork } from './network/network.ts';
import { openShop, type Shop } from './shop.ts';
import { waitFor } from './wait-for.ts';
import { openWarehouse } from './warehouse.ts';

const action = fileURLToPath(new URL('../../actions/rolling-alb-deploy/', import.meta.url));

/** Shops on real hosts of their own, behind a load balancer whose API and seconds are as AWS's. */
export interface Fleet {
  shops: Shop[];
  /** Runs the committed bundle of rolling-alb-deploy as the runner does. */
  roll(values?: Record<string, string>, run?: Partial<ActionRun>): Promise<ActionResult>;
  /** Users who come by the load balancer. */
  users(rps: number): Load;
  /** Host and what the load balancer thinks of it, of all that are registered. */
  members(): string[];
  /** The version that each host answers with itself. */
  versions(): Promise<string[]>;
  close(): Promise<void>;
}

/** Opens so many shops with v1, in rotation and healthy. `delay`: the target group's deregistration delay, in seconds. */
export async function openFleet({ hosts, delay }: { hosts: number; delay: number }): Promise<Fleet> {
  const opened: Array<() => unknown> = [];
  const close = async () => {
    for (const end of opened.splice(0).reverse()) await end();
  };
  try {
    const network = await openNetwork({ registry: (await openWarehouse()).registry });
    opened.push(() => network.close());
    const shops: Shop[] = [];
    for (let n = 1; n <= hosts; n++) {
      const shop = await openShop({ network, name: `web-${n}` });
      await shop.start();
      shops.push(shop);
    }

    const clock = labClock(1);
    opened.push(() => clock.close());
    const account = new Account({ clock, seed: 5 });
    const group = new TargetGroup({
      clock,
      name: 'web',
      port: 80,
      loadBalancerArns: [account.addLoadBalancer({ name: 'web' }).arn],
      healthCheck: { path: '/alive/', intervalMs: 5_000, timeoutMs: 4_000, healthyThreshold: 2 },
      attributes: { 'deregistration_delay.timeout_seconds': String(delay) },
    });
    opened.push(() => group.close());
    account.addTargetGroup(group);
    const securityGroup = account.addSecurityGroup({ vpc: 'custom' });
    const instances = shops.map(({ host: { address } }) =>
      account.addInstance({ publicIp: address, privateIp: address, securityGroupIds: [securityGroup.id] }),
    );
    const { region, accountId } = account;
    const user = account.addUser({
      policy: shippedPolicy({ region, accountId, targetGroupArns: [group.arn] }),
    });
    const aws = await serveAws(account);
    opened.push(() => aws.close());
    const balancer = await openBalancer({
      clock,
      group,
      resolve: (id, port) => {
        const at = instances.findIndex((instance) => instance.id === id);
        return at < 0 ? undefined : { host: shops[at]!.host.address, port };
      },
    });
    opened.push(() => balancer.close());
    group.register(instances.map(({ id }) => ({ id })));
    await waitFor('all targets to be healthy', () =>
      group.health().every(({ state }) => state === 'healthy'),
    );

    const nameOf = (id: string) => shops[instances.findIndex((instance) => instance.id === id)]?.host.name;
    const [first] = shops as [Shop];
    return {
      shops,
      roll: (values = {}, run = {}) =>
        runAction({
          directory: action,
          inputs: {
            'target-group-arn': group.arn,
            region,
            username: first.host.user,
            'private-key': network.key.private,
            'known-hosts': shops.map(({ host }) => host.knownHosts).join(''),
            'project-directory': first.directory,
            'health-url': 'http://localhost/health/',
            'health-json': 'database=true',
            'stability-window': '2s',
            ...values,
          },
          secrets: { SSH_PRIVATE_KEY: network.key.private },
          jobEnv: {
            AWS_ACCESS_KEY_ID: user.accessKeyId,
            AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
            AWS_ENDPOINT_URL: aws.url,
          },
          ...run,
        }),
      users: (rps) =>
        startLoad({
          url: balancer.url,
          rps,
          mix: { get: 60, post: 30, slow: 10 },
          slowMs: [2_000, 10_000],
        }),
      members: () =>
        group
          .health()
          .map(({ id, port, state }) => `${nameOf(id)}:${port} ${state}`)
          .sort(),
      versions: () => Promise.all(shops.map((shop) => shop.version())),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Account,
  type AwsEndpoint,
  type Instance,
  type OidcEndpoint,
  OidcIssuer,
  type PolicyDocument,
  type ScalingGroup,
  type ScalingGroupSettings,
  serveAws,
} from './account/index.ts';
import { type Balancer, openBalancer, TargetGroup } from './balancer/index.ts';
import { type LabClock, labClock } from './clock.ts';
import { generateKeyPair, type Host, type HostSettings, openHost } from './host/index.ts';
import { type IpLookup, openIpLookup } from './ip-lookup.ts';
import { labDirectoryPrefix, sweepLabDirectories } from './lab-directory.ts';
import { openRegistry, type Registry } from './registry.ts';
import { sampleApp, sampleProject } from './sample-app/index.ts';
import type { SampleRepository } from './sample-app/repository.ts';
import { openSlack, type Slack } from './slack.ts';

export interface LabSettings {
  /** How many times as fast as real time AWS's own durations pass: health-check interval, drain, expiry. */
  scale: number;
  seed: number;
  /** Instances behind the load balancer. */
  hosts: number;
  /** Who may assume the deploy role, and what it may do. */
  repository: string;
  policy: (place: Place) => PolicyDocument;
  /** Lab seconds; AWS's default is 300. */
  deregistrationDelay?: number;
  /** Lab seconds between health checks; AWS's default is 30. */
  healthInterval?: number;
  /** Lab ms for which the balancer still sends new requests to a target just deregistered. */
  lingerMs?: number;
  /** How targets are registered: by instance, or by the address of their host. */
  targetType?: 'instance' | 'ip';
  /** More ports on which every host publishes the app, each with a target group and a balancer of its own. */
  morePorts?: number[];
  /** `false`: users reach the first host itself, as where there is one server and no load balancer. */
  balanced?: boolean;
  /** The hosts have no public address: SSH reaches them through a bastion alone, and the security group is its own. */
  bastion?: boolean;
  /** The project directory is a checkout of this repository, whose images the host builds. */
  checkout?: SampleRepository;
  /** The hosts are members of an Auto Scaling group of the name `web`; what it launches serves the lab's first version. */
  autoScaling?: Pick<ScalingGroupSettings, 'minSize' | 'maxSize' | 'healthCheckType' | 'healthCheckGraceMs'>;
}

/** What an IAM policy of this account has to name. */
export interface Place {
  region: string;
  accountId: string;
  securityGroupId: string;
  targetGroupArn: string;
  /** That one, and those of `morePorts`. */
  targetGroupArns: string[];
}

/** Where a runner appears from to the world: a label on connections from loopback, no traffic goes there. */
export const egress = '20.102.35.7';

const appPort = 8000;
/** Held on a host's address for as long as a lab uses it, so that labs side by side keep apart. */
const claimPort = 7347;

/** A stand-in AWS account with its hosts, load balancer, registry and Slack, all on loopback. */
export interface Lab {
  readonly clock: LabClock;
  readonly account: Account;
  readonly group: TargetGroup;
  readonly balancer: Balancer;
  /** All of them: that above, and those of `morePorts`. */
  readonly groups: readonly TargetGroup[];
  readonly balancers: readonly Balancer[];
  readonly scaling: ScalingGroup | undefined;
  /** Whether users come by the load balancer. */
  readonly balanced: boolean;
  /** Not behind the balancer; the hosts are, and are reached through it. */
  readonly bastion: Host | undefined;
  /** Those that run now. */
  readonly hosts: readonly LabHost[];
  readonly registry: Registry;
  readonly slack: Slack;
  /** What runs the hosts' containers, and what that proves. */
  readonly engine: string;
  readonly securityGroupId: string;
  readonly roleArn: string;
  /** What a user of this account would set as the repository's variables and secrets. */
  vars(): Record<string, string>;
  secrets(): Record<string, string>;
  /** What the sample app's `.env` holds on each host. */
  readonly envFile: string;
  /** What a self-hosted runner may have in its own environment. */
  runnerEnv(): Record<string, string>;
  idToken(request: {
    subject: string;
    claims: Record<string, string>;
  }): Promise<{ requestUrl: string; requestToken: string }>;
  /** Puts a version of the sample app into the registry, ill as SICK in its server.mjs says; answers its digest. */
  pushApp(version: string, sick?: string): Promise<string>;
  /** The version whose container runs as `web` on a host; undefined while none does. */
  versionOn(host: Host): string | undefined;
  /** The network lets nobody in by SSH, whatever the rules say, and who was in is thrown out. Answers how to end that. */
  shutOut(): () => void;
  close(): Promise<void>;
}

export interface LabHost {
  readonly instanceId: string;
  readonly host: Host;
}

/** Opens the lab with `v1` of the sample app serving on every host, in rotation and healthy. */
export async function openLab(settings: LabSettings, version = 'v1'): Promise<Lab> {
  const opened: Array<() => unknown> = [];
  const close = async () => {
    for (const end of opened.splice(0).reverse()) await end();
  };
  try {
    const clock = labClock(settings.scale);
    opened.push(() => clock.close());
    sweepLabDirectories(tmpdir());
    const directory = await mkdtemp(join(tmpdir(), labDirectoryPrefix()));
    opened.push(() => rm(directory, { recursive: true, force: true }));

    const registry = await openRegistry();
    opened.push(() => registry.close());
    const slack = await openSlack();
    opened.push(() => slack.close());
    const lookup: IpLookup = await openIpLookup(egress);
    opened.push(() => lookup.close());

    const account = new Account({ clock, seed: settings.seed });
    const securityGroup = account.addSecurityGroup({ vpc: 'custom' });
    const oidc = await OidcIssuer.create({ clock });
    const tokens: OidcEndpoint = await oidc.serve();
    opened.push(() => tokens.close());
    const aws: AwsEndpoint = await serveAws(account, { oidc });
    opened.push(() => aws.close());

    const targetType = settings.targetType ?? 'instance';
    const groups = [appPort, ...(settings.morePorts ?? [])].map((port) => {
      const name = port === appPort ? 'web' : `web-${port}`;
      const group = new TargetGroup({
        clock,
        name,
        port,
        targetType,
        loadBalancerArns: [account.addLoadBalancer({ name }).arn],
        healthCheck: {
          path: '/health/',
          intervalMs: (settings.healthInterval ?? 30) * 1000,
          timeoutMs: 5000,
          healthyThreshold: 2,
          unhealthyThreshold: 3,
        },
        attributes: { 'deregistration_delay.timeout_seconds': String(settings.deregistrationDelay ?? 300) },
      });
      account.addTargetGroup(group);
      opened.push(() => group.close());
      return group;
    });
    const [group] = groups as [TargetGroup];
    const role = account.addRole({
      arn: `arn:aws:iam::${account.accountId}:role/deploy`,
      trust: { subjects: [`repo:${settings.repository}:*`], audience: 'sts.amazonaws.com' },
      policy: settings.policy({
        region: account.region,
        accountId: account.accountId,
        securityGroupId: securityGroup.id,
        targetGroupArn: group.arn,
        targetGroupArns: groups.map(({ arn }) => arn),
      }),
    });

    const keys = generateKeyPair('deploy');
    const app = sampleApp(registry);
    const versions = new Set([version]);
    const digest = await app.push(version);

    const claimed = await claimAddresses(settings.hosts + (settings.bastion ? 1 : 0), opened);
    const sshPort = await freePort(claimed);
    const [bastionAddress, addresses] = settings.bastion ? [claimed[0]!, claimed.slice(1)] : ['', claimed];
    const hosts: LabHost[] = [];
    let shut = false;
    const boot = async (
      name: string,
      address: string,
      instance: Instance,
      more: Pick<HostSettings, 'callers' | 'reaches'> = {},
    ) => {
      const host = await openHost({
        name,
        address,
        sshPort,
        user: { name: 'deploy', publicKey: keys.public },
        directory: join(directory, name),
        registry,
        sourceOf: (remote) =>
          remote === bastionAddress ? remote : remote.startsWith('127.') ? egress : remote,
        allows: (source) => !shut && account.allows(instance.securityGroupIds, sshPort, source),
        ...more,
      });
      opened.push(() => host.close());
      opened.push(account.onRulesChanged(() => void host.updateAccess()));
      instance.consoleOutput = consoleOf(host);
      return host;
    };
    const hostsGroup = settings.bastion ? account.addSecurityGroup({ vpc: 'custom' }) : securityGroup;
    let bastion: Host | undefined;
    if (settings.bastion) {
      account.addRule(hostsGroup.id, { cidr: `${bastionAddress}/32`, port: sshPort });
      const instance = account.addInstance({
        publicIp: bastionAddress,
        privateIp: bastionAddress,
        securityGroupIds: [securityGroup.id],
      });
      bastion = await boot('bastion', bastionAddress, instance, {
        reaches: (host, port) =>
          port === sshPort && hosts.some((one) => one.host.address === host) ? { host, port } : undefined,
      });
    }
    let serial = 0;
    const start = async (address: string, state: 'running' | 'pending') => {
      const instance = account.addInstance({
        ...(settings.bastion ? {} : { publicIp: address }),
        privateIp: address,
        securityGroupIds: [hostsGroup.id],
        state,
      });
      serial += 1;
      const callers = settings.bastion ? { callers: [bastionAddress] } : {};
      const host = await boot(`host-${serial}`, address, instance, callers);
      hosts.push({ instanceId: instance.id, host });
      return { host, instance };
    };
    const started: Array<{ host: Host; instance: Instance }> = [];
    for (const address of addresses) started.push(await start(address, 'running'));
    const first = { version, digest, ports: groups.map(({ port }) => port), checkout: settings.checkout };
    await Promise.all(started.map(({ host }) => app.install(host, first)));
    const balanced = settings.balanced ?? true;

    const balancers = await Promise.all(
      groups.map((one) =>
        openBalancer({
          clock,
          group: one,
          lingerMs: settings.lingerMs ?? 1000 * settings.scale,
          resolve: (id, port) => {
            const found = hosts.find(({ instanceId, host }) => id === instanceId || id === host.address);
            return found && { host: found.host.address, port };
          },
        }),
      ),
    );
    opened.push(...balancers.map((one) => () => one.close()));
    const [balancer] = balancers as [Balancer];
    for (const one of balanced ? groups : [])
      one.register(
        started.map(({ host, instance }) => ({ id: targetType === 'ip' ? host.address : instance.id })),
      );
    const scaling =
      settings.autoScaling &&
      account.addScalingGroup({
        name: 'web',
        ...settings.autoScaling,
        members: started.map(({ instance }) => instance),
        targetGroups: groups,
        async launch() {
          const [address] = await claimAddresses(1, opened);
          const { host, instance } = await start(address!, 'pending');
          await app.install(host, first);
          instance.state = 'running';
          return instance;
        },
      });
    if (scaling) {
      opened.push(() => scaling.close());
      scaling.onTerminated(({ id }) => {
        const gone = hosts.findIndex(({ instanceId }) => instanceId === id);
        void hosts.splice(gone, 1)[0]?.host.close();
      });
    }
    if (balanced) await Promise.all(groups.map((one) => allHealthy(one, started.length, clock)));

    return {
      clock,
      account,
      group,
      balancer,
      groups,
      balancers,
      scaling,
      balanced,
      bastion,
      hosts,
      registry,
      slack,
      engine:
        'a small built-in engine that runs the services as processes, its database without data (pg_dump prints an empty dump); no proof of how Docker or Compose itself behaves',
      securityGroupId: securityGroup.id,
      roleArn: role.arn,
      vars: () => ({
        AWS_REGION: account.region,
        AWS_ROLE_ARN: role.arn,
        SECURITY_GROUP_ID: securityGroup.id,
        TARGET_GROUP_ARN: group.arn,
        APP_URL: balanced ? balancer.url : `http://${hosts[0]!.host.address}:${appPort}`,
        ...(bastion ? { BASTION_HOST: bastion.address, BASTION_PORT: String(sshPort) } : {}),
        SSH_USER: 'deploy',
        SSH_PORT: String(sshPort),
        SSH_KNOWN_HOSTS: [...(bastion ? [bastion] : []), ...hosts.map(({ host }) => host)]
          .map(({ hostKey }) => hostKey.knownHostsLine)
          .join('\n'),
        PROJECT_DIRECTORY: '~/app',
        IMAGE: `${registry.url}/${app.repository}`,
        IP_LOOKUP_URL: lookup.urls.join('\n'),
      }),
      secrets: () => ({ SSH_PRIVATE_KEY: keys.private, SLACK_WEBHOOK_URL: slack.webhookUrl }),
      envFile: sampleProject(registry, version)['.env']!,
      runnerEnv: () => ({ AWS_ENDPOINT_URL: aws.url }),
      idToken: async ({ subject, claims }) => tokens.grant({ subject, claims }),
      pushApp: (next, sick) => {
        versions.add(next);
        return app.push(next, sick === undefined ? {} : { SICK: sick });
      },
      versionOn: (host) => {
        const web = host.engine
          .containers()
          .find(({ service, status }) => service === 'web' && status === 'running');
        // What the host built itself is in no registry, and tells its version in its environment.
        return (
          [...versions].find((one) => registry.imageId(app.repository, one) === web?.imageId) ??
          (web && host.engine.find(web.id)?.spec.environment.VERSION)
        );
      },
      shutOut() {
        const all = [...(bastion ? [bastion] : []), ...hosts.map(({ host }) => host)];
        const set = (to: boolean) => {
          shut = to;
          for (const host of all) void host.updateAccess();
        };
        set(true);
        for (const host of all) host.dropConnections('reset');
        return () => set(false);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Addresses that no other lab on this computer uses, kept until this one closes. */
async function claimAddresses(count: number, opened: Array<() => unknown>): Promise<string[]> {
  const claimed: string[] = [];
  for (let n = 254; n > 100 && claimed.length < count; n--) {
    const server = await listen(`127.77.0.${n}`, claimPort).catch(inUse);
    if (!server) continue;
    opened.push(() => new Promise((resolve) => server.close(resolve)));
    claimed.push(`127.77.0.${n}`);
  }
  if (claimed.length < count)
    throw new Error(`no ${count} free host addresses: how many labs run on this computer?`);
  return claimed.reverse();
}

/** What a host prints at its first start, as cloud-init has it on Ubuntu. */
function consoleOf({ name, hostKey }: Host): string {
  const lines = [
    '#############################################################',
    '-----BEGIN SSH HOST KEY FINGERPRINTS-----',
    `256 ${hostKey.fingerprint} root@${name} (ED25519)`,
    '-----END SSH HOST KEY FINGERPRINTS-----',
    '#############################################################',
  ];
  return `[    0.000000] Linux version 6.8.0\r\n${lines.map((line) => `<14>Nov 26 13:31:36 cloud-init: ${line}\r\n`).join('')}\r\n${name} login: `;
}

/** A port that is free on all of them: the workflow knows one SSH port for every host. */
async function freePort(addresses: string[]): Promise<number> {
  for (let port = 2222; port < 2322; port++) {
    const servers = await Promise.all(addresses.map((address) => listen(address, port).catch(inUse)));
    await Promise.all(servers.map((server) => server && new Promise((resolve) => server.close(resolve))));
    if (servers.every(Boolean)) return port;
  }
  throw new Error(`no port from 2222 to 2321 is free on ${addresses.join(', ')}`);
}

function listen(address: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, address, () => resolve(server));
  });
}

function inUse(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EADDRINUSE') throw error;
}

async function allHealthy(group: TargetGroup, count: number, clock: LabClock): Promise<void> {
  const end = clock.now() + 600_000;
  for (;;) {
    const health = group.health();
    if (health.length === count && health.every(({ state }) => state === 'healthy')) return;
    if (clock.now() > end)
      throw new Error(
        `the lab's own app did not become healthy: ${health.map((t) => `${t.id} ${t.state} ${t.reason ?? ''}`).join(', ')}`,
      );
    await clock.sleep(1000);
  }
}

import type { TargetGroup } from '../balancer/index.ts';
import type { LabClock } from '../clock.ts';
import { seeded } from '../seeded.ts';
import type { Call } from './calls.ts';
import { cidrContains, parseCidr } from './cidr.ts';
import { Faults } from './faults.ts';
import { checkPolicy, type PolicyDocument } from './iam.ts';
import type { Instance, InstanceState } from './instance.ts';
import { ScalingGroup, type ScalingGroupSettings } from './scaling-group.ts';

export interface SecurityGroupRule {
  readonly id: string;
  readonly groupId: string;
  /** tcp, udp, icmp, icmpv6, -1 (all) or a protocol number. */
  readonly protocol: string;
  readonly fromPort: number;
  readonly toPort: number;
  /** In canonical form; one source a rule. */
  readonly cidr: string;
  readonly family: 'ipv4' | 'ipv6';
  readonly description?: string;
  readonly tags: ReadonlyMap<string, string>;
}

export interface SecurityGroup {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly vpc: 'default' | 'custom';
  readonly vpcId: string;
  tags: ReadonlyMap<string, string>;
  /** The inbound rules as written last; reads may be behind (Account.readLagMs). */
  readonly rules: readonly SecurityGroupRule[];
}

export interface LoadBalancer {
  readonly arn: string;
  readonly name: string;
  readonly dnsName: string;
  readonly vpcId: string;
  readonly zones: string[];
  readonly securityGroupIds: string[];
  readonly attributes: Map<string, string>;
}

export interface RoleTrust {
  /** Patterns for the token's `sub`; `*` and `?` as in StringLike. */
  subjects: string[];
  audience: string;
}

export interface Role {
  readonly arn: string;
  readonly id: string;
  readonly name: string;
  trust: RoleTrust;
  policy: PolicyDocument;
  readonly maxSessionSeconds: number;
}

/** Who signs with an access key: a user, or a session of a role. */
export interface Principal {
  readonly arn: string;
  readonly userId: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** Every one of them has to allow a call: the identity's policy, and a session policy where one was given. */
  policies(): PolicyDocument[];
  /** Lab time; undefined for keys that do not expire. */
  readonly expiresAt?: number;
}

export interface AccountSettings {
  clock: LabClock;
  /** The same seed gives the same ids and the same chance faults. */
  seed?: number;
  region?: string;
  accountId?: string;
  /** Lab ms for which reads of security groups still show what was before a change (EC2 is eventually consistent). */
  readLagMs?: number;
  /** Lab ms until a changed rule lets traffic in or keeps it out. */
  propagationMs?: number;
}

/** Attributes of a new Application Load Balancer, with AWS's own defaults (ELBv2 API reference). */
const loadBalancerDefaults: Readonly<Record<string, string>> = {
  'access_logs.s3.enabled': 'false',
  'client_keep_alive.seconds': '3600',
  'deletion_protection.enabled': 'false',
  'idle_timeout.timeout_seconds': '60',
  'load_balancing.cross_zone.enabled': 'true',
  'routing.http.drop_invalid_header_fields.enabled': 'false',
  'routing.http2.enabled': 'true',
  'waf.fail_open.enabled': 'false',
};

/**
 * A stand-in AWS account: what is in it, who may do what, and what was done. It knows nothing of HTTP; `serveAws`
 * puts it behind an endpoint that the SDK can call.
 */
export class Account {
  readonly clock: LabClock;
  readonly region: string;
  readonly accountId: string;
  readonly faults: Faults;
  /** Every request, in order of arrival. */
  readonly calls: Call[] = [];
  readonly securityGroups = new Map<string, SecurityGroup>();
  readonly instances = new Map<string, Instance>();
  readonly targetGroups = new Map<string, TargetGroup>();
  readonly loadBalancers = new Map<string, LoadBalancer>();
  /** By name. */
  readonly scalingGroups = new Map<string, ScalingGroup>();
  readonly roles = new Map<string, Role>();
  readonly principals = new Map<string, Principal>();
  readLagMs: number;
  propagationMs: number;
  /** Inbound rules a group may hold, for IPv4 and IPv6 each (AWS quota, adjustable there too). */
  rulesPerGroup = 60;
  /**
   * Whether revoking also needs leave for the rule's own ARN. AWS documents disagree; the stricter reading is the
   * default, so that a policy that passes here passes under either.
   */
  revokeChecksRules = true;

  readonly #random: () => number;
  readonly #vpcs: Record<'default' | 'custom', string>;
  readonly #subnets = new Map<string, string>();
  /** What each group's rules were, with the lab time from which on; the last entry is the present. */
  readonly #history = new Map<string, Array<{ from: number; rules: readonly SecurityGroupRule[] }>>();
  readonly #ruleListeners = new Set<() => void>();
  readonly #callListeners = new Set<(call: Call) => void>();

  constructor(settings: AccountSettings) {
    this.clock = settings.clock;
    this.region = settings.region ?? 'ap-northeast-2';
    this.accountId = settings.accountId ?? '123456789012';
    this.readLagMs = settings.readLagMs ?? 0;
    this.propagationMs = settings.propagationMs ?? 0;
    this.#random = seeded(settings.seed ?? 1);
    this.faults = new Faults(this.#random);
    this.#vpcs = { default: this.newId('vpc'), custom: this.newId('vpc') };
  }

  /** A fresh id such as sgr-0f3a…: 17 hexadecimal digits, drawn from the seed. */
  newId(prefix: string): string {
    return `${prefix}-0${this.randomText(16, '0123456789abcdef')}`;
  }

  /** Text drawn from the seed; never a secret of anything but this stand-in. */
  randomText(length: number, alphabet: string): string {
    return Array.from({ length }, () => alphabet[Math.floor(this.#random() * alphabet.length)]).join('');
  }

  /** `arn:aws:ec2:<region>:<account>:security-group/sg-…` */
  arn(service: string, resource: string): string {
    return `arn:aws:${service}:${this.region}:${this.accountId}:${resource}`;
  }

  /** The wall-clock instant at which lab time will be `at`: what the caller's own clock understands. */
  wallTime(at: number): Date {
    return new Date(Date.now() + (at - this.clock.now()) / this.clock.scale);
  }

  addSecurityGroup({
    id = this.newId('sg'),
    vpc = 'custom',
    name = `group-${this.securityGroups.size + 1}`,
    description = 'a group of the lab',
    tags = {},
  }: {
    id?: string;
    vpc?: 'default' | 'custom';
    name?: string;
    description?: string;
    tags?: Record<string, string>;
  } = {}): SecurityGroup {
    const history = [{ from: Number.NEGATIVE_INFINITY, rules: [] as readonly SecurityGroupRule[] }];
    this.#history.set(id, history);
    const group: SecurityGroup = {
      id,
      name,
      description,
      vpc,
      vpcId: this.#vpcs[vpc],
      tags: new Map(Object.entries(tags)),
      get rules() {
        return history.at(-1)!.rules;
      },
    };
    this.securityGroups.set(id, group);
    return group;
  }

  /** Puts an inbound rule in by hand, as somebody at the console would. */
  addRule(
    groupId: string,
    rule: {
      cidr: string;
      port: number;
      toPort?: number;
      protocol?: string;
      description?: string;
      tags?: Record<string, string>;
    },
  ): SecurityGroupRule {
    const cidr = parseCidr(rule.cidr);
    if (!cidr) throw new RangeError(`"${rule.cidr}" is not a CIDR block`);
    const group = this.securityGroups.get(groupId);
    if (!group) throw new RangeError(`there is no security group ${groupId} in the account`);
    const made: SecurityGroupRule = {
      id: this.newId('sgr'),
      groupId,
      protocol: rule.protocol ?? 'tcp',
      fromPort: rule.port,
      toPort: rule.toPort ?? rule.port,
      cidr: cidr.text,
      family: cidr.family,
      ...(rule.description === undefined ? {} : { description: rule.description }),
      tags: new Map(Object.entries(rule.tags ?? {})),
    };
    this.changeRules(groupId, [...group.rules, made]);
    return made;
  }

  /** Replaces a group's rules, and tells the listeners once the change has reached the network. */
  changeRules(groupId: string, rules: readonly SecurityGroupRule[]): void {
    const history = this.#history.get(groupId)!;
    history.push({ from: this.clock.now(), rules });
    if (history.length > 64) history.shift();
    const tell = () => {
      for (const listener of [...this.#ruleListeners]) listener();
    };
    if (this.propagationMs > 0) this.clock.after(this.propagationMs, tell);
    else tell();
  }

  /** The rules as a read sees them now: the present, or what was before while a change is younger than the lag. */
  readRules(groupId: string): readonly SecurityGroupRule[] {
    return this.#rulesAsOf(groupId, this.readLagMs);
  }

  #rulesAsOf(groupId: string, agoMs: number): readonly SecurityGroupRule[] {
    const history = this.#history.get(groupId) ?? [];
    if (agoMs <= 0) return history.at(-1)?.rules ?? [];
    const then = this.clock.now() - agoMs;
    return (history.findLast((entry) => entry.from <= then) ?? history[0])?.rules ?? [];
  }

  /** Whether a TCP connection from `source` (an IP address) to `port` is let in by any of the groups, now. */
  allows(groupIds: readonly string[], port: number, source: string): boolean {
    return groupIds.some((groupId) =>
      this.#rulesAsOf(groupId, this.propagationMs).some(
        (rule) =>
          (rule.protocol === '-1' ||
            (rule.protocol === 'tcp' && rule.fromPort <= port && port <= rule.toPort)) &&
          cidrContains(rule.cidr, source),
      ),
    );
  }

  /** Calls `listener` whenever `allows` may answer otherwise; answers how to stop that. */
  onRulesChanged(listener: () => void): () => void {
    this.#ruleListeners.add(listener);
    return () => this.#ruleListeners.delete(listener);
  }

  /** Calls `listener` with every request once its outcome is known; answers how to stop that. */
  onCall(listener: (call: Call) => void): () => void {
    this.#callListeners.add(listener);
    return () => this.#callListeners.delete(listener);
  }

  /** Notes how a request ended. */
  finishCall(call: Call, outcome: Call['outcome']): void {
    call.outcome = outcome;
    for (const listener of [...this.#callListeners]) listener(call);
  }

  addInstance({
    id = this.newId('i'),
    zone = `${this.region}a`,
    vpc = 'custom',
    privateIp,
    publicIp,
    securityGroupIds,
    publicDns = publicIp ? `ec2-${publicIp.replaceAll('.', '-')}.${this.region}.compute.amazonaws.com` : '',
    privateDns = `ip-${privateIp.replaceAll('.', '-')}.${this.region}.compute.internal`,
    state = 'running',
    tags = {},
    consoleOutput,
  }: {
    id?: string;
    zone?: string;
    vpc?: 'default' | 'custom';
    privateIp: string;
    publicIp?: string;
    securityGroupIds: string[];
    publicDns?: string;
    privateDns?: string;
    state?: InstanceState;
    tags?: Record<string, string>;
    consoleOutput?: string;
  }): Instance {
    const subnetId = this.#subnets.get(zone) ?? this.newId('subnet');
    this.#subnets.set(zone, subnetId);
    const instance: Instance = {
      id,
      vpcId: this.#vpcs[vpc],
      subnetId,
      zone,
      launchedAt: this.clock.now(),
      privateIp,
      publicDns,
      privateDns,
      securityGroupIds: [...securityGroupIds],
      state,
      tags: new Map(Object.entries(tags)),
      ...(publicIp === undefined ? {} : { publicIp }),
      ...(consoleOutput === undefined ? {} : { consoleOutput }),
    };
    this.instances.set(id, instance);
    return instance;
  }

  /** Takes a target group into the account; from here on the account tells it which instances can serve. */
  addTargetGroup(group: TargetGroup): void {
    this.targetGroups.set(group.arn, group);
    group.condition = (id) => {
      if (group.targetType === 'ip') return 'usable';
      const state = this.instances.get(id)?.state;
      if (state === 'running') return 'usable';
      return state === 'stopped' || state === 'stopping' || state === 'pending' ? 'stopped' : 'terminated';
    };
  }

  /** An Application Load Balancer. Target groups name it in their own `loadBalancerArns`. */
  addLoadBalancer({
    name,
    arn = this.arn(
      'elasticloadbalancing',
      `loadbalancer/app/${name}/${this.randomText(16, '0123456789abcdef')}`,
    ),
    dnsName = `${name}-1234567890.${this.region}.elb.amazonaws.com`,
    zones = [`${this.region}a`, `${this.region}c`],
    securityGroupIds = [],
    attributes = {},
  }: {
    name: string;
    arn?: string;
    dnsName?: string;
    zones?: string[];
    securityGroupIds?: string[];
    attributes?: Record<string, string>;
  }): LoadBalancer {
    const balancer: LoadBalancer = {
      arn,
      name,
      dnsName,
      vpcId: this.#vpcs.custom,
      zones,
      securityGroupIds,
      attributes: new Map(Object.entries({ ...loadBalancerDefaults, ...attributes })),
    };
    this.loadBalancers.set(arn, balancer);
    return balancer;
  }

  /** An Auto Scaling group of instances that are in the account already; they get the tag that Auto Scaling sets. */
  addScalingGroup(settings: ScalingGroupSettings): ScalingGroup {
    const tagged = (instance: Instance) => {
      instance.tags = new Map([...instance.tags, ['aws:autoscaling:groupName', settings.name]]);
      return instance;
    };
    const { launch, members = [] } = settings;
    for (const instance of members) tagged(instance);
    const id = this.randomText(32, '0123456789abcdef');
    const arn = this.arn('autoscaling', `autoScalingGroup:${id}:autoScalingGroupName/${settings.name}`);
    const group = new ScalingGroup(this.clock, arn, {
      ...settings,
      ...(launch && { launch: async () => tagged(await launch()) }),
    });
    this.scalingGroups.set(group.name, group);
    return group;
  }

  /** A subnet of the account in that zone. */
  subnetOf(zone: string): string {
    const subnet = this.#subnets.get(zone) ?? this.newId('subnet');
    this.#subnets.set(zone, subnet);
    return subnet;
  }

  /** The VPC that instances and balancers live in by default. */
  get vpcId(): string {
    return this.#vpcs.custom;
  }

  /** A role that a workflow may take with an identity token. */
  addRole({
    arn,
    trust,
    policy,
    maxSessionSeconds = 3600,
  }: {
    arn: string;
    trust: RoleTrust;
    policy: PolicyDocument;
    maxSessionSeconds?: number;
  }): Role {
    const name = /^arn:aws:iam::\d{12}:role\/(?:[\w+=,.@-]+\/)*([\w+=,.@-]+)$/.exec(arn)?.[1];
    if (name === undefined) throw new RangeError(`"${arn}" is not the ARN of a role`);
    checkPolicy(policy);
    const id = `AROA${this.randomText(17, upperCase)}`;
    const role: Role = { arn, id, name, trust, policy, maxSessionSeconds };
    this.roles.set(arn, role);
    return role;
  }

  /** A user with one access key that does not expire. */
  addUser({
    accessKeyId = `AKIA${this.randomText(16, upperCase)}`,
    secretAccessKey = this.randomText(40, secretLetters),
    name = 'deployer',
    policy,
  }: {
    accessKeyId?: string;
    secretAccessKey?: string;
    name?: string;
    policy: PolicyDocument;
  }): Principal {
    checkPolicy(policy);
    const user: Principal = {
      arn: `arn:aws:iam::${this.accountId}:user/${name}`,
      userId: `AIDA${this.randomText(17, upperCase)}`,
      accessKeyId,
      secretAccessKey,
      policies: () => [policy],
    };
    this.principals.set(accessKeyId, user);
    return user;
  }

  /** Opens a session of a role for `seconds` of lab time. A change of the role's policy holds for it too. */
  openSession(role: Role, name: string, seconds: number, sessionPolicy?: PolicyDocument): Principal {
    if (sessionPolicy) checkPolicy(sessionPolicy);
    const session: Principal = {
      arn: `arn:aws:sts::${this.accountId}:assumed-role/${role.name}/${name}`,
      userId: `${role.id}:${name}`,
      accessKeyId: `ASIA${this.randomText(16, upperCase)}`,
      secretAccessKey: this.randomText(40, secretLetters),
      sessionToken: this.randomText(120, secretLetters),
      policies: () => (sessionPolicy ? [role.policy, sessionPolicy] : [role.policy]),
      expiresAt: this.clock.now() + seconds * 1000,
    };
    this.principals.set(session.accessKeyId, session);
    return session;
  }

  /** Every session given out so far has expired, whatever its holder was told. */
  expireSessions(): void {
    for (const [key, principal] of this.principals)
      if (principal.sessionToken) this.principals.set(key, { ...principal, expiresAt: this.clock.now() });
  }
}

const upperCase = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const secretLetters = `${upperCase}abcdefghijklmnopqrstuvwxyz0189+/`;

import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ElasticLoadBalancingV2Client } from '@aws-sdk/client-elastic-load-balancing-v2';
import {
  Account,
  type AccountSettings,
  type OidcIssuer,
  type PolicyDocument,
  type Principal,
  serveAws,
} from '../../src/account/index.ts';
import type { LabClock } from '../../src/clock.ts';

export const everything: PolicyDocument = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
};

/** A lab clock that stands still until it is told to go on: no test waits for it, or races it. */
export interface HandClock extends LabClock {
  advance(ms: number): void;
}

export function handClock(): HandClock {
  let now = Date.now();
  let timers: Array<{ at: number; fn: () => void }> = [];
  const after = (ms: number, fn: () => void) => {
    const timer = { at: now + Math.max(0, ms), fn };
    timers.push(timer);
    return {
      cancel() {
        timers = timers.filter((other) => other !== timer);
      },
    };
  };
  return {
    scale: 1,
    now: () => now,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    after,
    close() {
      timers = [];
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        timers = timers.filter((other) => other !== next);
        now = next.at;
        next.fn();
      }
      now = end;
    },
  };
}

export interface Served {
  clock: HandClock;
  account: Account;
  url: string;
  user: Principal;
  /** Real SDK clients. One attempt unless told otherwise, so that a refusal is seen and not retried away. */
  ec2(options?: ClientOptions): EC2Client;
  elb(options?: ClientOptions): ElasticLoadBalancingV2Client;
  scaling(options?: ClientOptions): AutoScalingClient;
  close(): Promise<void>;
}

export interface ClientOptions {
  maxAttempts?: number;
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  region?: string;
}

/** An account behind its endpoint, with one user who may do everything unless a policy is given. */
export async function serveAccount(
  settings: Partial<AccountSettings> & {
    policy?: PolicyDocument;
    issuer?: (clock: LabClock) => Promise<OidcIssuer>;
  } = {},
): Promise<Served> {
  const { policy = everything, issuer, ...rest } = settings;
  const clock = handClock();
  const account = new Account({ clock, seed: 7, ...rest });
  const endpoint = await serveAws(account, issuer ? { oidc: await issuer(clock) } : {});
  const user = account.addUser({ policy });
  const clients: Array<{ destroy(): void }> = [];
  const config = ({ maxAttempts = 1, credentials = user, region = account.region }: ClientOptions = {}) => ({
    endpoint: endpoint.url,
    region,
    credentials: { ...credentials },
    maxAttempts,
  });
  return {
    clock,
    account,
    url: endpoint.url,
    user,
    ec2(options) {
      const client = new EC2Client(config(options));
      clients.push(client);
      return client;
    },
    elb(options) {
      const client = new ElasticLoadBalancingV2Client(config(options));
      clients.push(client);
      return client;
    },
    scaling(options) {
      const client = new AutoScalingClient(config(options));
      clients.push(client);
      return client;
    },
    async close() {
      for (const client of clients) client.destroy();
      for (const group of account.targetGroups.values()) group.close();
      await endpoint.close();
      clock.close();
    },
  };
}

/** What a refused call threw, in the terms that an action sees. */
export async function refusal(
  call: Promise<unknown>,
): Promise<{ name: string; status: number | undefined; message: string }> {
  try {
    await call;
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return { name, message, status: $metadata?.httpStatusCode };
  }
  throw new Error('the call was to be refused, and was not');
}

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Account, labClock, OidcIssuer, serveAws } from '@lockkeeper/lab';
import {
  type ActionResult,
  type ActionRun,
  type JobEvent,
  type JobResult,
  nodePath,
  pushContext,
  runAction,
  runJob,
} from '@lockkeeper/runner';
import { accountId, region, shippedPolicy } from './account.ts';

const directory = fileURLToPath(new URL('..', import.meta.url));

export const roleArn = `arn:aws:iam::${accountId}:role/deploy`;
export const subject = 'repo:octo/boats:environment:production';

/** An account with one group, a role that a job may take, and a service that says who calls: for the bundle. */
export async function openStage() {
  const clock = labClock(1);
  const account = new Account({ clock, seed: 7, region, accountId });
  const group = account.addSecurityGroup();
  const role = account.addRole({
    arn: roleArn,
    trust: { subjects: [subject], audience: 'sts.amazonaws.com' },
    policy: shippedPolicy(group.id),
  });
  const issuer = await OidcIssuer.create({ clock });
  const tokens = await issuer.serve();
  const aws = await serveAws(account, { oidc: issuer });
  let lookupDelay = 0;
  const lookup = createServer((_, response) => setTimeout(() => response.end('20.102.35.7\n'), lookupDelay));
  const lookupUrl = await listen(lookup);
  const idToken = tokens.grant({ subject });

  const defaults = {
    'security-group-id': group.id,
    region,
    'role-to-assume': roleArn,
    'ip-lookup-url': lookupUrl,
  };
  // Nothing here may ask the network for credentials.
  const jobEnv = { AWS_ENDPOINT_URL: aws.url, AWS_EC2_METADATA_DISABLED: 'true' };

  /** Runs the bundle's main and post as the runner does; what is given counts over what a job has. */
  const run = (inputs: Record<string, string> = {}, more: Partial<ActionRun> = {}): Promise<ActionResult> =>
    runAction({
      directory,
      inputs: { ...defaults, ...inputs },
      jobEnv,
      idToken,
      canaries: [idToken.requestToken],
      ...more,
    });

  /** Runs a job with several steps of the action, one for each set of inputs. */
  const job = async (
    steps: Array<Record<string, string>>,
    onEvent: (event: JobEvent) => void,
  ): Promise<JobResult> => {
    const place = await mkdtemp(join(tmpdir(), 'ingress-job-'));
    try {
      return await runJob(
        {
          id: 'deploy',
          name: 'deploy',
          env: () => jobEnv,
          steps: steps.map((inputs, index) => ({
            kind: 'action',
            name: `step ${index}`,
            directory,
            ref: 'octo/boats/ingress@v1',
            env: () => ({}),
            with: () => ({ ...defaults, ...inputs }),
          })),
          github: pushContext,
          secrets: {},
          vars: {},
          idToken,
        },
        {
          node: nodePath,
          env: { PATH: process.env.PATH ?? '', HOME: place, LANG: 'C.UTF-8' },
          workspace: join(place, 'work/boats/boats'),
          temp: join(place, 'work/_temp'),
          toolCache: join(place, 'tools'),
          name: 'runner-1',
        },
        { onEvent },
      );
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  };
  return {
    account,
    group,
    role,
    url: aws.url,
    run,
    job,
    /** Lets every answer of AWS and of the look-up take that long. */
    slowDown(ms: number) {
      account.faults.clear();
      account.faults.add({ kind: 'slow', ms, match: { times: Number.POSITIVE_INFINITY } });
      lookupDelay = ms;
    },
    async close() {
      await Promise.all([aws.close(), tokens.close(), shut(lookup)]);
      clock.close();
    },
  };
}

export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

export function shut(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

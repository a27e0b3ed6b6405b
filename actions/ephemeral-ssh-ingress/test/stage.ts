import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Account,
  labClock,
  OidcIssuer,
  type PolicyDocument,
  type PolicyStatement,
  serveAws,
} from '@lockkeeper/lab';
import { actions, contractOf } from '../../../tools/manifest.ts';

const contract = contractOf(actions().find(({ name }) => name === 'ephemeral-ssh-ingress')!);
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export const region = 'ap-northeast-2';
export const roleArn = 'arn:aws:iam::123456789012:role/deploy';
export const subject = 'repo:octo/app:environment:production';

/** The policy that the action ships, for this account and group. */
export function shippedPolicy(groupId: string, without: string[] = []): PolicyDocument {
  const text = readFileSync(new URL('../iam-policy.json', import.meta.url), 'utf8')
    .replaceAll('REGION', region)
    .replaceAll('ACCOUNT', '123456789012')
    .replaceAll('SECURITY_GROUP_ID', groupId);
  const policy = JSON.parse(text) as { Statement: PolicyStatement[] };
  for (const statement of policy.Statement)
    statement.Action = [statement.Action ?? []].flat().filter((action) => !without.includes(action));
  return { ...policy, Statement: policy.Statement.filter(({ Action }) => Action?.length) };
}

/** An account with one group, a role that a job may take, and a service that says who calls. */
export async function openStage({
  address = '20.102.35.7',
  readLagMs = 0,
  vpc = 'custom' as 'custom' | 'default',
} = {}) {
  const clock = labClock(1);
  const account = new Account({ clock, seed: 7, region, readLagMs });
  const group = account.addSecurityGroup({ vpc });
  const role = account.addRole({
    arn: roleArn,
    trust: { subjects: [subject], audience: 'sts.amazonaws.com' },
    policy: shippedPolicy(group.id),
  });
  const issuer = await OidcIssuer.create({ clock });
  const tokens = await issuer.serve();
  const aws = await serveAws(account, { oidc: issuer });
  const lookup = createServer((_, response) => response.end(`${address}\n`));
  const lookupUrl = await listen(lookup);
  const temp = mkdtempSync(join(tmpdir(), 'ingress-'));
  const grant = tokens.grant({ subject });

  const env: Record<string, string> = {
    AWS_ENDPOINT_URL: aws.url,
    ACTIONS_ID_TOKEN_REQUEST_URL: grant.requestUrl,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: grant.requestToken,
    GITHUB_REPOSITORY: 'octo/app',
    GITHUB_RUN_ID: '4711',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_JOB: 'deploy',
    RUNNER_NAME: 'lab runner',
  };
  return {
    account,
    group,
    role,
    env,
    lookupUrl,
    rules: () => group.rules,
    step: (inputs: Record<string, string> = {}) =>
      new StepProcess(temp, env, {
        'security-group-id': group.id,
        region,
        'role-to-assume': roleArn,
        'ip-lookup-url': lookupUrl,
        ...inputs,
      }),
    async close() {
      await Promise.all([aws.close(), tokens.close(), shut(lookup)]);
      clock.close();
      rmSync(temp, { recursive: true, force: true });
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

export interface Outcome {
  code: number | null;
  log: string;
  outputs: Record<string, string>;
  summary: string;
}

let serial = 0;

/** One step as the runner starts it: main and post are processes of their own, with state in between. */
class StepProcess {
  readonly #files: string;
  readonly #env: Record<string, string>;
  readonly #inputs: Record<string, string>;
  #state = '';

  constructor(temp: string, env: Record<string, string>, inputs: Record<string, string>) {
    this.#files = join(temp, String(++serial));
    this.#env = env;
    this.#inputs = inputs;
  }

  main(options?: { killAfter?: Promise<unknown>; env?: Record<string, string> }): Promise<Outcome> {
    return this.#run('main', options);
  }

  post(options?: { env?: Record<string, string> }): Promise<Outcome> {
    return this.#run('post', options);
  }

  async #run(
    phase: 'main' | 'post',
    { killAfter, env = {} }: { killAfter?: Promise<unknown>; env?: Record<string, string> } = {},
  ): Promise<Outcome> {
    const file = (name: string) => `${this.#files}-${phase}-${name}`;
    for (const name of ['output', 'state', 'summary']) writeFileSync(file(name), '');
    const inputs = Object.fromEntries(
      Object.entries({ ...contract.inputs, ...this.#inputs }).map(([name, value]) => [
        `INPUT_${name.toUpperCase()}`,
        value,
      ]),
    );
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        '--input-type=module',
        '-e',
        `import { run } from ${JSON.stringify(main)}; await run(${JSON.stringify(phase)}, ${JSON.stringify(contract)});`,
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env.PATH ?? '',
          ...this.#env,
          ...inputs,
          ...(this.#state ? { STATE_record: this.#state } : {}),
          GITHUB_OUTPUT: file('output'),
          GITHUB_STATE: file('state'),
          GITHUB_STEP_SUMMARY: file('summary'),
          ...env,
        },
      },
    );
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk));
    void killAfter?.then(() => child.kill('SIGKILL'));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    const state = readPairs(readFileSync(file('state'), 'utf8')).record;
    if (state !== undefined) this.#state = state;
    return {
      code,
      log,
      outputs: readPairs(readFileSync(file('output'), 'utf8')),
      summary: readFileSync(file('summary'), 'utf8'),
    };
  }
}

/** `name<<delimiter` blocks as @actions/core writes them; the last of a name counts. */
function readPairs(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^(\S+?)<<(\S+)\n([\s\S]*?)\n\2$/gm)].map(([, name, , value]) => [name!, value!]),
  );
}

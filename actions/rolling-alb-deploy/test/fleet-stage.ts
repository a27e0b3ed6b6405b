import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lab, type LabSettings, openLab, type Place, type PolicyStatement } from '@lockkeeper/lab';
import { actions, contractOf } from '../../../tools/manifest.ts';

const contract = contractOf(actions().find(({ name }) => name === 'rolling-alb-deploy')!);
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Outcome {
  code: number | null;
  log: string;
  outputs: Record<string, string>;
  summary: string;
}

/** A lab with hosts in rotation, and the action's phases as processes of their own, as the runner starts them. */
export async function openFleetStage({
  hosts = 2,
  scale = 40,
  /** Lab seconds; with the scale half a second of ours. */
  delay = 20,
  ...more
}: Partial<LabSettings> & { delay?: number } = {}) {
  const lab: Lab = await openLab({
    scale,
    seed: 3,
    hosts,
    repository: 'octo/app',
    deregistrationDelay: delay,
    healthInterval: 10,
    policy: shippedPolicy,
    ...more,
  });
  // Port 22 is the business of another action.
  lab.account.addRule(lab.securityGroupId, { cidr: '0.0.0.0/0', port: 0, toPort: 65_535 });
  const temp = mkdtempSync(join(tmpdir(), 'rolling-'));
  const grant = await lab.idToken({ subject: 'repo:octo/app:ref:refs/heads/main', claims: {} });
  const vars = lab.vars();
  let state = '';
  let serial = 0;

  const start = (
    phase: 'main' | 'post',
    inputs: Record<string, string>,
    onLine: (line: string, kill: (signal: NodeJS.Signals) => void) => void,
  ): Promise<Outcome> => {
    const file = (name: string) => join(temp, `${serial}-${phase}-${name}`);
    serial++;
    const [output, stateFile, summary] = ['output', 'state', 'summary'].map(file) as [string, string, string];
    for (const path of [output, stateFile, summary]) writeFileSync(path, '');
    const given = {
      'target-group-arn': vars.TARGET_GROUP_ARN,
      username: vars.SSH_USER,
      'private-key': lab.secrets().SSH_PRIVATE_KEY,
      'known-hosts': vars.SSH_KNOWN_HOSTS,
      port: vars.SSH_PORT,
      'project-directory': vars.PROJECT_DIRECTORY,
      'role-to-assume': vars.AWS_ROLE_ARN,
      region: vars.AWS_REGION,
      'drain-settle': '1s',
      'stability-window': '500ms',
      ...inputs,
    };
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
          ...lab.runnerEnv(),
          ACTIONS_ID_TOKEN_REQUEST_URL: grant.requestUrl,
          ACTIONS_ID_TOKEN_REQUEST_TOKEN: grant.requestToken,
          GITHUB_REPOSITORY: 'octo/app',
          GITHUB_SHA: 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334',
          GITHUB_RUN_ID: '4711',
          GITHUB_RUN_ATTEMPT: '1',
          GITHUB_JOB: 'deploy',
          ...Object.fromEntries(
            Object.entries({ ...contract.inputs, ...given }).map(([name, value]) => [
              `INPUT_${name.toUpperCase()}`,
              value ?? '',
            ]),
          ),
          ...(state ? { STATE_record: state } : {}),
          GITHUB_OUTPUT: output,
          GITHUB_STATE: stateFile,
          GITHUB_STEP_SUMMARY: summary,
        },
      },
    );
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      let rest = '';
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        log += chunk;
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) onLine(line, (signal) => child.kill(signal));
      });
    }
    return new Promise((resolve) =>
      child.on('close', (code) => {
        const saved = readPairs(readFileSync(stateFile, 'utf8')).record;
        if (saved !== undefined) state = saved;
        resolve({
          code,
          log,
          outputs: readPairs(readFileSync(output, 'utf8')),
          summary: readFileSync(summary, 'utf8'),
        });
      }),
    );
  };

  return {
    lab,
    /** From now on the role may do what the shipped policy allows, without these actions. */
    deny: (...actions: string[]) => {
      const { region, accountId } = lab.account;
      const targetGroupArns = lab.groups.map(({ arn }) => arn);
      lab.account.roles.get(lab.roleArn)!.policy = shippedPolicy(
        { region, accountId, targetGroupArns },
        actions,
      );
    },
    /** A version of the app in the registry, as the input that deploys it. */
    image: async (version: string, sick?: string) => ({
      image: `web=${vars.IMAGE}@${await lab.pushApp(version, sick)}`,
    }),
    main: (inputs: Record<string, string> = {}, onLine: Parameters<typeof start>[2] = () => {}) =>
      start('main', inputs, onLine),
    post: (inputs: Record<string, string> = {}) => start('post', inputs, () => {}),
    /** The next step is of another run, long after: no state comes over, and the locks have expired. */
    forget: () => {
      state = '';
      for (const { host } of lab.hosts) rmSync(join(host.home, 'app/.lockkeeper/lock'), { force: true });
    },
    /** Every place that is registered and stays so, whatever a check on a busy machine makes of it at this moment. */
    registered: () =>
      lab.groups
        .flatMap((group) =>
          group
            .health()
            .filter(({ state: now }) => now !== 'draining' && now !== 'unused')
            .map(({ id, port }) => `${group.name} ${id}:${port}`),
        )
        .sort(),
    /** Every place that is registered, and healthy. */
    membership: () =>
      lab.groups
        .flatMap((group) =>
          group
            .health()
            .filter(({ state: now }) => now === 'healthy')
            .map(({ id, port }) => `${group.name} ${id}:${port}`),
        )
        .sort(),
    states: () => lab.group.health().map(({ state: now }) => now),
    /** The Auto Scaling group: its sizes, and what its members are. */
    scaling: () =>
      lab.scaling && {
        minSize: lab.scaling.minSize,
        desired: lab.scaling.desiredCapacity,
        lifecycles: [...lab.scaling.members.values()].map(({ lifecycle }) => lifecycle),
      },
    /** Why it ended members. */
    endedMembers: () =>
      (lab.scaling?.activities ?? []).map(({ what }) => what).filter((what) => what.startsWith('Terminat')),
    /** The version that each host itself answers with. */
    versions: () =>
      Promise.all(
        lab.hosts.map(async ({ host }) => {
          const answer = await fetch(`http://${host.address}:8000/health/`);
          return ((await answer.json()) as { version: string }).version;
        }),
      ),
    async close() {
      await lab.close();
      rmSync(temp, { recursive: true, force: true });
    },
  };
}

export type Stage = Awaited<ReturnType<typeof openFleetStage>>;

/**
 * Begins a scenario in a lab of its own: scenarios mostly wait, so those of a file go side by side, all at once or as
 * many as `turn` lets. The answer tells how it went, as often as it is asked.
 */
export function scenario<T>(
  act: (stage: Stage) => Promise<T>,
  settings?: Parameters<typeof openFleetStage>[0],
  turn: (play: () => Promise<T>) => Promise<T> = (play) => play(),
): () => Promise<T> {
  const played = turn(async () => {
    const stage = await openFleetStage(settings);
    try {
      return await act(stage);
    } finally {
      await stage.close();
    }
  });
  // A test that is not run must not end the process.
  played.catch(() => {});
  return () => played;
}

/** Why a step that had to succeed did not. */
export function succeeded({ code, log }: Outcome): void {
  if (code !== 0) throw new Error(log.split('\n').slice(-40).join('\n'));
}

/** The policy that the action ships, filled in for an account, without some of its actions. */
export function shippedPolicy(
  { region, accountId, targetGroupArns }: Pick<Place, 'region' | 'accountId' | 'targetGroupArns'>,
  deny: readonly string[] = [],
): { Version: '2012-10-17'; Statement: Array<PolicyStatement & { Action: string[] }> } {
  const text = readFileSync(new URL('../iam-policy.json', import.meta.url), 'utf8')
    // One line of the policy for each group.
    .replace(/"Resource": "[^"]*targetgroup\/NAME\/ID"/, `"Resource": ${JSON.stringify(targetGroupArns)}`)
    .replaceAll('REGION', region)
    .replaceAll('ACCOUNT', accountId)
    .replaceAll('AUTO_SCALING_GROUP', 'web');
  const policy = JSON.parse(text) as ReturnType<typeof shippedPolicy>;
  for (const statement of policy.Statement)
    statement.Action = statement.Action.filter((action) => !deny.includes(action));
  return policy;
}

/** `name<<delimiter` blocks as @actions/core writes them; the last of a name counts. */
function readPairs(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^(\S+?)<<(\S+)\n([\s\S]*?)\n\2$/gm)].map(([, name, , value]) => [name!, value!]),
  );
}

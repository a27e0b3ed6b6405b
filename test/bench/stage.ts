import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lab, type LabSettings, openLab, outOfRotation, startLoad } from '@lockkeeper/lab';
import { shippedPolicy } from '@lockkeeper/rehearsal';
import { runAction } from '@lockkeeper/runner';
import { root } from '../../tools/manifest.ts';

/** What a deploy cost. */
export interface Deploy {
  seconds: number;
  /** Seconds of AWS that each target was out of rotation. */
  out: number[];
  requests: number;
  lost: number;
}

export type Pipeline = (stage: BenchStage) => Promise<void>;

export interface BenchStage {
  lab: Lab;
  /** The version to deploy, and its image. */
  version: string;
  digest: string;
  /** What the runner's own environment holds. */
  env: Record<string, string>;
  /** The private key's file, for OpenSSH. */
  keyFile: string;
}

/** AWS's own pace; the target group is as the lab's, checked every 30 s. */
const atThePaceOfAws: Pick<LabSettings, 'scale' | 'seed' | 'repository' | 'policy'> = {
  scale: 1,
  seed: 1,
  repository: 'octo/boats',
  policy: shippedPolicy,
};

/** Has a pipeline deploy v2 in a lab of its own under load, and measures it. Throws where v2 does not serve everywhere. */
export async function measure(
  settings: Pick<LabSettings, 'hosts'> & Partial<LabSettings>,
  rps: number,
  deploy: Pipeline,
): Promise<Deploy> {
  const lab = await openLab({ ...atThePaceOfAws, ...settings });
  const temp = mkdtempSync(join(tmpdir(), 'lockkeeper-bench-'));
  try {
    const { account } = lab;
    const { groups, securityGroupId } = lab;
    const { region, accountId } = account;
    // Port 22 is open to all, as where nothing opens it for a run: it is no part of this comparison.
    account.addRule(securityGroupId, { cidr: '0.0.0.0/0', port: 0, toPort: 65_535 });
    const targetGroupArns = groups.map(({ arn }) => arn);
    const user = account.addUser({
      policy: shippedPolicy({
        region,
        accountId,
        securityGroupId,
        targetGroupArn: targetGroupArns[0]!,
        targetGroupArns,
      }),
    });
    const keyFile = join(temp, 'key');
    writeFileSync(keyFile, lab.secrets().SSH_PRIVATE_KEY!, { mode: 0o600 });
    const digest = await lab.pushApp('v2');
    const load = startLoad({
      url: lab.vars().APP_URL!,
      rps,
      mix: { get: 60, post: 30, slow: 10 },
      slowMs: [1_000, 4_000],
    });
    let began: number;
    let ended: number;
    try {
      // Connections are warm and every target has been asked.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      began = performance.now();
      await deploy({
        lab,
        version: 'v2',
        digest,
        keyFile,
        env: {
          AWS_ACCESS_KEY_ID: user.accessKeyId,
          AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
          AWS_DEFAULT_REGION: region,
          AWS_REGION: region,
          ...lab.runnerEnv(),
        },
      });
      ended = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    } finally {
      await load.stop();
    }
    const { requests, failed } = load.snapshot();
    const serve = lab.hosts.map(({ host }) => lab.versionOn(host));
    const states = lab.balanced ? lab.group.health().map(({ state }) => state) : [];
    if (serve.some((one) => one !== 'v2') || states.some((state) => state !== 'healthy'))
      throw new Error(
        `the deploy did not end on v2 everywhere: ${serve.join(', ')}; targets ${states.join(', ')}`,
      );
    return {
      seconds: (ended - began) / 1_000,
      out: Object.values(outOfRotation(lab.group.history, lab.clock.now())).map((ms) => ms / 1_000),
      requests,
      lost: failed,
    };
  } finally {
    rmSync(temp, { recursive: true, force: true });
    await lab.close();
  }
}

/** One of their scripts beside this file, with what it reads. Throws with what it said when it fails. */
export function theirs(script: 'their-roll.sh' | 'their-server.sh'): Pipeline {
  return ({ lab, version, env, keyFile }) =>
    new Promise((resolve, reject) => {
      const vars = lab.vars();
      const child = spawn('bash', [fileURLToPath(new URL(script, import.meta.url))], {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: {
          PATH: process.env.PATH ?? '/usr/bin:/bin',
          HOME: process.env.HOME ?? '/',
          ...env,
          TARGET_GROUP_ARN: vars.TARGET_GROUP_ARN!,
          SSH_KEY: keyFile,
          SSH_PORT: vars.SSH_PORT!,
          SSH_USER: vars.SSH_USER!,
          PROJECT_PATH: 'app',
          TAG: version,
          HOST: lab.hosts[0]!.host.address,
        },
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
      child.stdin.end(lab.hosts.map(({ instanceId, host }) => `${instanceId} ${host.address}\n`).join(''));
      child.once('error', reject);
      child.once('close', (code) =>
        code === 0 ? resolve() : reject(new Error(`${script} ended with ${code}: ${said.trim()}`)),
      );
    });
}

/** One of our actions, as the runner runs its bundle, with its defaults. Throws with its log when it fails. */
export function ours(name: 'rolling-alb-deploy' | 'compose-deploy'): Pipeline {
  return async ({ lab, digest, env }) => {
    const vars = lab.vars();
    const { conclusion, log } = await runAction({
      directory: join(root, 'actions', name),
      inputs: {
        username: vars.SSH_USER!,
        'private-key': lab.secrets().SSH_PRIVATE_KEY!,
        'known-hosts': vars.SSH_KNOWN_HOSTS!,
        port: vars.SSH_PORT!,
        'project-directory': vars.PROJECT_DIRECTORY!,
        image: `web=${vars.IMAGE}@${digest}`,
        ...(name === 'compose-deploy'
          ? { host: lab.hosts.map(({ host }) => host.address).join('\n') }
          : { 'target-group-arn': vars.TARGET_GROUP_ARN!, region: vars.AWS_REGION! }),
      },
      jobEnv: env,
    });
    if (conclusion !== 'success') throw new Error(`${name} ended as ${conclusion}:\n${log.join('\n')}`);
  };
}

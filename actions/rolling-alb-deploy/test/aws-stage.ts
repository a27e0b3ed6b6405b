import { inputsOf, memoryLog, messageOf } from '@lockkeeper/action';
import {
  Account,
  generateKeyPair,
  type LabClock,
  labClock,
  type PolicyDocument,
  serveAws,
  TargetGroup,
  type TargetGroupSettings,
} from '@lockkeeper/lab';
import { systemClock } from '@lockkeeper/wait';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { openAccount } from '../src/account.ts';
import { deploy } from '../src/deploy.ts';
import { parseInputs } from '../src/inputs.ts';

const contract = contractOf(actions().find(({ name }) => name === 'rolling-alb-deploy')!);
const key = generateKeyPair('deploy').private;
const credentials = { accessKeyId: 'AKIADEPLOY', secretAccessKey: 'secret' };

/** What cloud-init prints of a host key. */
export const console = `-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 SHA256:${'a'.repeat(43)} x (ED25519)\n-----END SSH HOST KEY FINGERPRINTS-----\n`;

/** An account without hosts, asked by the real SDK: for what a deploy refuses before it reaches for them. */
export async function openAwsStage() {
  const clock: LabClock = labClock(1);
  const account = new Account({ clock, seed: 5 });
  const aws = await serveAws(account);
  return {
    account,
    group(settings: Omit<TargetGroupSettings, 'clock'>): TargetGroup {
      const group = new TargetGroup({ clock, ...settings });
      account.addTargetGroup(group);
      return group;
    },
    /** How a deploy ends that may do what the policy allows. */
    async refusal(policy: PolicyDocument, given: Record<string, string>): Promise<string> {
      account.addUser({ ...credentials, policy });
      const inputs = parseInputs(
        inputsOf(
          {
            username: 'deploy',
            'private-key': key,
            'project-directory': '/srv/app',
            'connect-timeout': '1s',
            ...given,
          },
          contract.inputs,
        ),
        {},
      );
      const { signal } = new AbortController();
      const config = {
        region: account.region,
        endpoint: aws.url,
        credentials: async () => credentials,
        maxAttempts: 1,
      };
      const opened = await openAccount(config as never, signal);
      const run = {
        repository: 'octo/app',
        runUrl: 'https://github.com/octo/app',
        commit: 'a1b2c3d',
        route: {},
      };
      const outside = {
        ...opened,
        run,
        repository: { url: run.runUrl, workspace: '' },
        log: memoryLog(),
        clock: systemClock,
        signal,
        save: () => {},
      };
      try {
        await deploy(inputs, outside, () => {});
      } catch (error) {
        return messageOf(error);
      } finally {
        opened.close();
      }
      throw new Error('it was to be refused, and was not');
    },
    async close() {
      for (const group of account.scalingGroups.values()) group.close();
      for (const group of account.targetGroups.values()) group.close();
      await aws.close();
      clock.close();
    },
  };
}

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ActionStandIn } from '@lockkeeper/runner';

/** What the stand-in for a build is asked to put into the lab's registry. */
export type Build = (version: string) => Promise<string>;

const nothing = (what: string): ActionStandIn => ({
  what,
  perform: async ({ log }) => {
    log(`stand-in: ${what}`);
    return { conclusion: 'success' };
  },
});

/**
 * Foreign actions that cannot run on this computer, and what happens in their place. Each is named in the
 * report; an action that is in no such table is refused.
 */
export function builtInStandIns({ build }: { build: Build }): Record<string, ActionStandIn> {
  return {
    'actions/checkout': {
      what: 'a workspace with a Dockerfile and a README, in place of the repository',
      perform: async ({ workspace, log }) => {
        await mkdir(workspace, { recursive: true });
        await writeFile(join(workspace, 'README.md'), '# The sample app of the lab\n');
        await writeFile(
          join(workspace, 'Dockerfile'),
          'FROM node:24-slim\nCOPY server.mjs .\nCMD ["node", "server.mjs"]\n',
        );
        log('stand-in: the sample app is checked out');
        return { conclusion: 'success' };
      },
    },
    'actions/setup-python': nothing('no Python is installed'),
    'actions/setup-node': nothing('no Node is installed'),
    'docker/setup-buildx-action': nothing('no builder is made'),
    'docker/login-action': {
      what: 'the password is looked at, nothing is logged in to',
      perform: async ({ inputs, log }) => {
        const given = Boolean(inputs.username && inputs.password);
        log(
          given
            ? `stand-in: logged in to ${inputs.registry ?? 'docker.io'}`
            : 'Username and password required',
        );
        return { conclusion: given ? 'success' : 'failure' };
      },
    },
    'docker/build-push-action': {
      what: "the sample app with that VERSION, pushed to the lab's registry",
      perform: async ({ inputs, log }) => {
        const version = /(?:^|\n)VERSION=(\S+)/.exec(inputs['build-args'] ?? '')?.[1];
        if (!version) {
          log('the stand-in needs `build-args: VERSION=…` to know what the image calls itself');
          return { conclusion: 'failure' };
        }
        const digest = await build(version);
        log(`stand-in: pushed ${inputs.tags} as ${digest}`);
        return { conclusion: 'success', outputs: { digest, imageid: digest } };
      },
    },
    'aws-actions/configure-aws-credentials': nothing('credentials are taken by the actions themselves'),
  };
}

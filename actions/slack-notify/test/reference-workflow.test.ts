import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { renderMessage } from '@lockkeeper/lab';
import { type ActionStandIn, loadStandIns, loadWorkflow, nodePath, runWorkflow } from '@lockkeeper/runner';
import { root } from '../../../tools/manifest.ts';
import { cleanUp, messagesOf, serve, slack } from './stage.ts';

// The reference workflow, with the committed health gate and the committed Slack step, and what is between them;
// what would need hosts is stood in for. `pnpm rehearse --fail no-database` does the same with hosts.

const clean = cleanUp();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'slack-reference-'));
});
afterEach(async () => {
  await clean.now();
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
});

const sha = '8863086285d071d83efd72f2be8a0b21a5ac3d3e';
const passing = (outputs: Record<string, string> = {}): ActionStandIn => ({
  what: 'a step that goes well',
  perform: async () => ({ conclusion: 'success', outputs }),
});
const rolling: ActionStandIn = {
  what: 'a roll that goes well, forth or back',
  perform: async ({ inputs }) => ({
    conclusion: 'success',
    outputs: {
      result: 'deployed',
      'serving-release': inputs['rollback-to'] ? 'the release before' : 'the new release',
    },
  }),
};

/** Runs it to its end with an app that answers so; answers the message as people read it. */
async function told(health: object, { testsFail = false } = {}): Promise<string> {
  const app = await serve((_, response) => response.end(JSON.stringify(health)), clean);
  const opened = await slack([], clean);
  const workflow = await loadWorkflow(join(root, 'workflows-examples/rolling-alb.yml'));
  const standIns = (await loadStandIns(workflow))!;
  if (testsFail) standIns.jobs.test!.steps.find(({ key }) => key === 'Test')!.outcome = 'failure';
  await runWorkflow(workflow, {
    secrets: {
      SSH_PRIVATE_KEY: '',
      SLACK_WEBHOOK_URL: opened.webhookUrl,
      GITHUB_TOKEN: 'ghs_0123456789abcdefghij',
    },
    vars: { APP_URL: app, GATE_INTERVAL: '100ms', GATE_TIMEOUT: '2s' },
    github: { repository: 'octo/app', sha, ref: 'refs/heads/main', actor: 'octo' },
    changedFiles: ['src/app.py'],
    settings: {
      node: nodePath,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: directory, LANG: 'C.UTF-8' },
      workspace: join(directory, 'work'),
      temp: join(directory, 'temp'),
      toolCache: join(directory, 'tools'),
      name: 'reference',
    },
    standIns,
    resolveAction: (uses) => {
      const own = /^lockkeeper\/lockkeeper\/actions\/([^@]+)@/.exec(uses)?.[1];
      if (own === 'health-gate' || own === 'slack-notify') return { directory: join(root, 'actions', own) };
      return { standIn: own === 'rolling-alb-deploy' ? rolling : passing({ digest: 'sha256:00' }) };
    },
    idToken: async () => ({ requestUrl: `${app}/token`, requestToken: 'a token' }),
  });
  const messages = messagesOf(opened);
  expect(messages).toHaveLength(1);
  return renderMessage(messages[0]);
}

it('tells of a red gate: the job, the step, what the gate measured, and what serves again', async () => {
  const message = await told({ status: 'healthy', version: sha, database: false });
  expect(message).toContain('@here ❌ Deploy failed → production (8863086)');
  expect(message).toMatch(
    /▌ 0 of \d+ probes were good, never 10 in a row; last: database is false, expected true\n/,
  );
  expect(message).toContain('failed in deploy › Is it the new version that users reach?');
  expect(message).toContain('Result: rolled-back');
  expect(message).toContain('Serves: the release before');
});

it('tells of red tests, and nothing of a deploy that was never begun', async () => {
  const message = await told({}, { testsFail: true });
  expect(message).toContain('failed in test › Test');
  expect(message).not.toMatch(/Result|Serves/);
});

it('tells of a green one what serves, and calls nobody', async () => {
  const message = await told({ version: sha, database: true });
  expect(message).toMatch(/^✅ Deploy succeeded → production \(8863086\)/);
  expect(message).toContain('Serves: the new release');
  expect(message).not.toContain('@');
});

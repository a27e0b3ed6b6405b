import { expect, it } from '@jest/globals';
import { loadWorkflow } from '@lockkeeper/runner';
import { type Stage, stageFor } from '../src/stage.ts';

const plain: Stage = {
  balanced: true,
  bastion: false,
  checkout: false,
  history: false,
  newcomer: false,
  leftOpen: false,
  ref: 'refs/heads/main',
  serves: 'built',
};

/** A workflow of one step of ours. */
const stageOf = async (action: string, given: Record<string, string> = {}, on = 'push') =>
  stageFor(
    await loadWorkflow({
      name: 'deploy.yml',
      content: JSON.stringify({
        on: JSON.parse(on.startsWith('{') ? on : `"${on}"`),
        jobs: {
          deploy: {
            'runs-on': 'ubuntu-24.04',
            steps: [{ uses: `lockkeeper/lockkeeper/actions/${action}@v1`, with: given }],
          },
        },
      }),
    }),
  );

it.each<[string, Parameters<typeof stageOf>, Partial<Stage>]>([
  ['a load balancer for a roll', ['rolling-alb-deploy'], {}],
  ['one server for a deploy to a host', ['compose-deploy'], { balanced: false }],
  ['a bastion where SSH jumps', ['rolling-alb-deploy', { 'jump-host': 'bastion' }], { bastion: true }],
  [
    'a checkout where files come from git',
    ['compose-deploy', { files: 'git' }],
    { balanced: false, checkout: true },
  ],
  [
    'a deploy that came before, where the workflow only goes back',
    ['rolling-alb-deploy', { 'rollback-to': 'previous' }],
    { history: true, serves: 'previous' },
  ],
  [
    'a newcomer for a roll on a schedule',
    ['rolling-alb-deploy', {}, '{"schedule":[{"cron":"*/30 * * * *"}]}'],
    { history: true, newcomer: true, serves: 'current' },
  ],
  [
    'a port that was left open, for a sweep',
    ['ephemeral-ssh-ingress', { mode: 'sweep' }],
    { leftOpen: true },
  ],
  [
    'a tag where only tags start it',
    ['rolling-alb-deploy', {}, '{"push":{"tags":["v*"]}}'],
    { ref: 'refs/tags/v2.0.0' },
  ],
  [
    'main where branches and tags start it',
    ['rolling-alb-deploy', {}, '{"push":{"tags":["v*"],"branches":["main"]}}'],
    {},
  ],
])('sets %s', async (_, given, part) => {
  expect(await stageOf(...given)).toEqual({ ...plain, ...part });
});

it('sets main for a start by hand, also where tags start it otherwise', async () => {
  const workflow = await loadWorkflow({
    name: 'deploy.yml',
    content:
      'on: { push: { tags: ["v*"] }, workflow_dispatch: {} }\njobs: { a: { runs-on: ubuntu-24.04, steps: [{ run: "true" }] } }',
  });
  expect([stageFor(workflow).ref, stageFor(workflow, { byHand: true }).ref]).toEqual([
    'refs/tags/v2.0.0',
    'refs/heads/main',
  ]);
});

it('sets one server for a workflow that can do both, where there is no target group', async () => {
  const rolling = await loadWorkflow({
    name: 'rollback.yml',
    content: JSON.stringify({
      on: 'workflow_dispatch',
      jobs: {
        back: {
          'runs-on': 'ubuntu-24.04',
          steps: ['rolling-alb-deploy', 'compose-deploy'].map((action) => ({
            uses: `lockkeeper/lockkeeper/actions/${action}@v1`,
            with: { 'rollback-to': 'previous' },
          })),
        },
      },
    }),
  });
  const goesBack: Stage = { ...plain, history: true, serves: 'previous' };
  expect([stageFor(rolling), stageFor(rolling, { vars: { TARGET_GROUP_ARN: '' } })]).toEqual([
    goesBack,
    { ...goesBack, balanced: false },
  ]);
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadWorkflow, type Workflow } from '@lockkeeper/runner';

/** One server reached directly, or two behind a load balancer. */
export type SceneKind = 'server' | 'fleet';

/** The steps that are disturbed, by their ids. */
export type StepName = 'ingress' | 'deploy' | 'gate' | 'back' | 'notify';

/** Inputs of steps laid over what the workflow gives them. */
export type StepInputs = Partial<Record<StepName, Record<string, string>>>;

/** What a case changes about the workflow. */
export interface WorkflowChanges {
  inputs?: StepInputs;
  /** Shell lines of a step that comes before all others of the job that deploys. */
  before?: string;
  /** `timeout-minutes` of the step that deploys. */
  timeoutMinutes?: number;
}

const action = (name: string) => `lockkeeper/lockkeeper/actions/${name}@v1`;
const signIn = { 'role-to-assume': '${{ vars.AWS_ROLE_ARN }}', region: '${{ vars.AWS_REGION }}' };

const overSsh = {
  username: '${{ vars.SSH_USER }}',
  'private-key': '${{ secrets.SSH_PRIVATE_KEY }}',
  'known-hosts': '${{ vars.SSH_KNOWN_HOSTS }}',
  port: '${{ vars.SSH_PORT }}',
  'project-directory': '${{ vars.PROJECT_DIRECTORY }}',
  'stability-window': '1s',
  'health-timeout': '20s',
};

const where: Record<SceneKind, Record<string, string>> = {
  server: { host: '${{ vars.SERVER_HOST }}', 'lock-timeout': '30s' },
  fleet: {
    'target-group-arn': '${{ vars.TARGET_GROUP_ARN }}',
    'drain-settle': '1s',
    'healthy-timeout': '40s',
    'lock-timeout': '30s',
    ...signIn,
  },
};

/**
 * The deploy and notify jobs of the workflows that others copy (rolling-alb.yml, one-server-image.yml), with what the
 * cases change as values.
 */
function disturbed(kind: SceneKind, { inputs = {}, before, timeoutMinutes }: WorkflowChanges): object {
  const deploying = action({ server: 'compose-deploy', fleet: 'rolling-alb-deploy' }[kind]);
  const step = (id: StepName, uses: string, given: Record<string, string>, more: object = {}) => ({
    id,
    name: id,
    uses,
    with: { ...given, ...inputs[id] },
    ...more,
  });
  return {
    name: `Deploy to a ${kind}`,
    on: 'push',
    permissions: {},
    jobs: {
      deploy: {
        'runs-on': 'ubuntu-24.04',
        permissions: { contents: 'read', 'id-token': 'write' },
        outputs: {
          reason:
            "${{ steps.ingress.outputs.reason || steps.deploy.outputs.reason || (steps.gate.outcome == 'failure' && steps.gate.outputs.reason) || '' }}",
          result: '${{ steps.back.outputs.result || steps.deploy.outputs.result }}',
          serving: '${{ steps.back.outputs.serving-release || steps.deploy.outputs.serving-release }}',
        },
        steps: [
          ...(before ? [{ id: 'before', name: 'before', run: before }] : []),
          step('ingress', action('ephemeral-ssh-ingress'), {
            'security-group-id': '${{ vars.SECURITY_GROUP_ID }}',
            port: '${{ vars.SSH_PORT }}',
            'ip-lookup-url': '${{ vars.IP_LOOKUP_URL }}',
            ...signIn,
          }),
          step(
            'deploy',
            deploying,
            {
              ...overSsh,
              ...where[kind],
              image: 'web=${{ vars.IMAGE }}@${{ vars.DIGEST }}',
              'env-file': '${{ secrets.ENV_FILE }}',
              registry: '${{ vars.REGISTRY }}',
              'registry-username': 'octocat',
              'registry-password': '${{ secrets.REGISTRY_PASSWORD }}',
            },
            timeoutMinutes ? { 'timeout-minutes': timeoutMinutes } : {},
          ),
          step('gate', action('health-gate'), {
            url: '${{ vars.APP_URL }}/health/',
            'expected-json': 'database=true',
            'expected-version': '${{ vars.VERSION }}',
            'version-from': 'json:version',
            interval: '100ms',
            timeout: '10s',
          }),
          step(
            'back',
            deploying,
            { ...overSsh, ...where[kind], 'rollback-to': 'previous' },
            { if: "failure() && steps.deploy.outputs.result == 'deployed'" },
          ),
        ],
      },
      notify: {
        needs: ['deploy'],
        if: 'always()',
        'runs-on': 'ubuntu-24.04',
        permissions: { actions: 'read', contents: 'read' },
        steps: [
          step('notify', action('slack-notify'), {
            'webhook-url': '${{ secrets.SLACK_WEBHOOK_URL }}',
            needs: '${{ toJSON(needs) }}',
            title: 'Deploy',
            version: '${{ vars.VERSION }}',
            url: '${{ vars.APP_URL }}',
            reason: '${{ needs.deploy.outputs.reason }}',
            fields: 'Result: ${{ needs.deploy.outputs.result }}\nServes: ${{ needs.deploy.outputs.serving }}',
          }),
        ],
      },
    },
  };
}

/** The workflow of a scene as the runner reads it, from a file in that directory (JSON is YAML). */
export async function writeWorkflow(
  directory: string,
  kind: SceneKind,
  changes: WorkflowChanges,
): Promise<Workflow> {
  const path = join(directory, `${kind}.yml`);
  await writeFile(path, JSON.stringify(disturbed(kind, changes), null, 2));
  return loadWorkflow(path);
}

import { matchesFilter, type Workflow } from '@lockkeeper/runner';

/** What of the lab a workflow plays on, told by the actions that it uses and what it gives them. */
export interface Stage {
  /** Users come by the load balancer, or to the one server itself. */
  balanced: boolean;
  bastion: boolean;
  /** The server is a checkout of the repository and builds its images from it. */
  checkout: boolean;
  /** A deploy came before, so that there is something to go back to or to bring newcomers to. */
  history: boolean;
  /** An Auto Scaling group has just launched one more host, with an older release. */
  newcomer: boolean;
  /** A lost runner left a port open, and its lease has ended. */
  leftOpen: boolean;
  /** What was pushed, or the branch on which it was started. */
  ref: string;
  /** What must serve when all goes well: what was built, what served before the last deploy, or what serves. */
  serves: 'built' | 'previous' | 'current';
}

const mainBranch = 'refs/heads/main';

/** How a workflow is started, where that differs from what starts it most. */
export interface Start {
  /** On `main`. */
  byHand?: boolean;
  /** The repository's variables that differ from the lab's. */
  vars?: Record<string, string>;
}

/** Sets the stage for a workflow. */
export function stageFor(workflow: Workflow, { byHand = false, vars = {} }: Start = {}): Stage {
  const steps = workflow.jobs.flatMap(({ steps }) => steps.filter((step) => step.kind === 'uses'));
  const uses = (action: string) => steps.filter(({ uses }) => uses.text.includes(`/actions/${action}`));
  const rolling = uses('rolling-alb-deploy');
  const deploys = [...rolling, ...uses('compose-deploy')];
  const given = (name: string, value?: string) =>
    deploys.some((step) => step.with[name] && (value === undefined || step.with[name].text === value));
  const goesBack = deploys.length > 0 && deploys.every((step) => step.with['rollback-to']);
  const starts = (event: string) => workflow.triggers.some((trigger) => trigger.event === event);
  const builds = steps.some(({ uses }) => uses.text.startsWith('docker/build-push-action@'));
  // Told by when it starts, not by how it trusts newcomers: a mistake in its `host-keys` has to meet one.
  const newcomer = rolling.length > 0 && !goesBack && !builds && starts('schedule') && !starts('push');
  const fleet = vars.TARGET_GROUP_ARN !== '' && (rolling.length > 0 || deploys.length === 0);
  return {
    balanced: fleet,
    bastion: given('jump-host'),
    checkout: given('files', 'git'),
    history: goesBack || newcomer,
    newcomer,
    leftOpen: uses('ephemeral-ssh-ingress').some((step) => step.with.mode?.text === 'sweep'),
    ref: byHand ? mainBranch : refFor(workflow),
    serves: goesBack ? 'previous' : newcomer ? 'current' : 'built',
  };
}

/** `main`, unless the workflow starts on tags alone: then one that its filter lets in. */
function refFor(workflow: Workflow): string {
  const filters = workflow.triggers.find(({ event }) => event === 'push')?.filters ?? {};
  const tags = [filters.tags ?? []].flat().map(String);
  if (filters.branches !== undefined || tags.length === 0) return mainBranch;
  const tag = ['v2.0.0', '2.0.0', 'release-2'].find((name) => matchesFilter(tags, name)) ?? tags[0]!;
  return `refs/tags/${tag}`;
}

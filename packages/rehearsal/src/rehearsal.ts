import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Lab,
  type Load,
  type LoadReport,
  openLab,
  openSampleRepository,
  type Place,
  type PolicyDocument,
  startLoad,
} from '@lockkeeper/lab';
import {
  checkRun,
  loadStandIns,
  loadWorkflow,
  nodePath,
  type PlanOptions,
  runWorkflow,
  type Workflow,
  type WorkflowEvent,
  type WorkflowResult,
} from '@lockkeeper/runner';
import { UsageError } from './arguments.ts';
import { type Absence, absencesOf, gatherFacts } from './facts.ts';
import { type Fault, type FaultName, faults } from './fault.ts';
import { type Facts, type Guarantee, judgeGuarantees } from './guarantee.ts';
import { type Stage, stageFor } from './stage.ts';
import { type Build, builtInStandIns } from './stand-ins.ts';
import { unreadVariables } from './variables.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const actionsFolder = join(root, 'actions');
/** What deployed before, to a fleet and to one server. */
const deployedBefore = {
  fleet: 'workflows-examples/rolling-alb.yml',
  server: 'workflows-examples/one-server-image.yml',
};
const repository = 'acme/app';

export interface RehearsalSettings {
  workflow: string;
  realTime: boolean;
  fail?: FaultName;
  seed: number;
  /** Where there are any, the workflow is started by hand with them. */
  inputs?: Record<string, string>;
  /** The repository's variables that differ from the lab's; TARGET_GROUP_ARN without a value is a single server. */
  vars?: Record<string, string>;
  signal?: AbortSignal;
  onEvent?: (event: RehearsalEvent) => void;
}

export type RehearsalEvent =
  | { kind: 'said'; text: string }
  | { kind: 'lab-opened'; lab: Lab; load: Load }
  /** The lab is about to close; nothing in it is to be looked at any more. */
  | { kind: 'lab-closing' }
  | { kind: 'struck'; fault: FaultName }
  | { kind: 'workflow'; event: WorkflowEvent };

export interface Rehearsal {
  workflow: WorkflowResult;
  load: LoadReport;
  guarantees: Guarantee[];
  facts: Facts;
  absences: Absence[];
  slack: Lab['slack']['messages'];
  /** How the hosts ran their containers, and what that proves. */
  engine: string;
  scale: number;
  fail?: FaultName;
  ms: number;
}

/** What the lab will give, by name, before there is a lab. */
const labSecrets = { SSH_PRIVATE_KEY: '', SLACK_WEBHOOK_URL: '', ENV_FILE: '' };

const secretsOf = (lab: Lab): Record<string, string> => ({ ...lab.secrets(), ENV_FILE: lab.envFile });

/** Runs a workflow file in a lab of its own, under load, and holds what happened against the guarantees. */
export async function rehearse(settings: RehearsalSettings): Promise<Rehearsal> {
  const began = performance.now();
  const emit = settings.onEvent ?? (() => {});
  // Whatever is wrong with the files is told before anything is started.
  const workflow = await loadWorkflow(settings.workflow);
  const standIns = await loadStandIns(workflow);
  const byHand = Object.keys(settings.inputs ?? {}).length > 0;
  const start = byHand ? { event: 'workflow_dispatch', inputs: settings.inputs } : {};
  const given = settings.vars ?? {};
  const unread = unreadVariables(workflow, Object.keys(given));
  if (unread) throw new UsageError(unread);
  const stage = stageFor(workflow, { byHand, vars: given });
  const fault: Fault | undefined = settings.fail && faults[settings.fail];
  if (fault?.balancer && !stage.balanced)
    throw new UsageError(
      `--fail ${settings.fail}: ${fault.what}, and ${workflow.file} is rehearsed on one server without a load balancer`,
    );
  const opened: { lab?: Lab } = {};
  const digests: string[] = [];
  const planFor = (sha: string, ref: string, sick?: string): PlanOptions => ({
    secrets: { ...labSecrets, GITHUB_TOKEN: 'ghs_rehearsal0123456789abcdefghijklmn' },
    github: { repository, sha, ref, actor: 'octocat' },
    changedFiles: ['src/app.py'],
    eventPayload: {
      head_commit: {
        id: sha,
        message: 'Show the new release\n\nAs rehearsed.',
        author: { name: 'Octo Cat' },
      },
    },
    resolveAction: resolver(async (version) => {
      const digest = await opened.lab!.pushApp(version, version === versionOf(sha, ref) ? sick : undefined);
      digests.push(digest);
      return digest;
    }),
  });
  const made = commitOf(settings.seed);
  checkRun(workflow, { ...planFor(made, stage.ref), ...start, standIns });

  const scale = settings.realTime ? 1 : 20;
  const directory = await mkdtemp(join(tmpdir(), 'lockkeeper-rehearsal-'));
  let load: Load | undefined;
  try {
    const checkout = stage.checkout ? await openSampleRepository(directory) : undefined;
    emit({ kind: 'said', text: openingOf(stage) });
    const lab = await openLab({
      scale,
      seed: settings.seed,
      hosts: stage.balanced ? 2 : 1,
      balanced: stage.balanced,
      bastion: stage.bastion,
      checkout,
      ...(stage.newcomer ? { autoScaling: { minSize: 1, maxSize: 3 } } : {}),
      repository,
      policy: shippedPolicy,
    });
    opened.lab = lab;
    const perform = (
      what: Workflow,
      plan: PlanOptions,
      vars: Record<string, string>,
      onEvent: (event: WorkflowEvent) => void,
    ) =>
      runWorkflow(what, {
        ...plan,
        secrets: { ...plan.secrets, ...secretsOf(lab) },
        vars: {
          ...lab.vars(),
          SERVER_HOST: lab.hosts[0]!.host.address,
          ...(settings.realTime ? {} : quickVars),
          ...vars,
        },
        settings: {
          node: nodePath,
          env: {
            PATH: process.env.PATH ?? '/usr/bin:/bin',
            HOME: directory,
            LANG: 'C.UTF-8',
            ...lab.runnerEnv(),
          },
          workspace: join(directory, 'work'),
          temp: join(directory, 'temp'),
          toolCache: join(directory, 'tools'),
          name: 'rehearsal',
        },
        idToken: ({ subject, claims }) => lab.idToken({ subject, claims }),
        cancel: settings.signal,
        onEvent,
      });

    let serving = 'v1';
    if (stage.history) {
      serving = commitOf(settings.seed + 1);
      const before = deployedBefore[stage.balanced ? 'fleet' : 'server'];
      emit({ kind: 'said', text: `a deploy that came before: ${before}` });
      const reference = await loadWorkflow(join(root, before));
      const plan = { ...planFor(serving, 'refs/heads/main'), standIns: await loadStandIns(reference) };
      const { conclusion } = await perform(reference, plan, {}, () => {});
      if (conclusion !== 'success') throw new Error(`the deploy that came before ended as ${conclusion}`);
    }
    // Of the hosts there were when the variable was set: nobody has pasted the newcomer's.
    const knownHosts = lab.vars().SSH_KNOWN_HOSTS!;
    if (stage.newcomer) await addNewcomer(lab);

    const sha = checkout ? await checkout.commit(fault?.sick) : made;
    const { balanced, securityGroupId, account } = lab;
    const registeredBefore = balanced
      ? lab.group.health().map(({ id }) => id)
      : lab.hosts.map(({ instanceId }) => instanceId);
    const rulesBefore = new Set(account.securityGroups.get(securityGroupId)!.rules.map(({ id }) => id));
    if (stage.leftOpen) leaveOpen(lab);
    fault?.prepare?.(lab);
    const toldBefore = lab.slack.messages.length;
    load = startLoad({
      url: lab.vars().APP_URL!,
      rps: 50,
      seed: settings.seed,
      slowMs: 2000,
      cutAtDrainEnd: (port) => lab.balancer.cutAtDrainEnd(port),
    });
    const loadBegan = lab.clock.now();
    emit({ kind: 'lab-opened', lab, load });

    const follow = watcher(lab, settings, fault, emit);
    const result = await perform(
      workflow,
      { ...planFor(sha, stage.ref, fault?.sick), ...start, standIns },
      {
        SSH_KNOWN_HOSTS: knownHosts,
        ...(digests.length > 0 ? { SERVING_DIGEST: digests.at(-1)! } : {}),
        ...fault?.vars,
        ...given,
      },
      follow.on,
    );
    const workflowMs = (lab.clock.now() - loadBegan) / scale;

    emit({ kind: 'said', text: 'the workflow has ended; waiting for what is still in flight' });
    // A few seconds more, so that what breaks only after the end is seen too.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const served = await load.stop();
    const slack = lab.slack.messages.slice(toldBefore);
    const facts = await gatherFacts({
      lab,
      workflow,
      stage,
      result,
      served,
      slack,
      fault,
      missed: fault?.at && !follow.struck() ? fault.what : undefined,
      version: versionOf(sha, stage.ref),
      serving,
      workflowMs,
      registeredBefore,
      rulesBefore,
      secrets: secretsOf(lab),
    });
    return {
      workflow: result,
      load: served,
      guarantees: judgeGuarantees(facts),
      facts,
      absences: absencesOf(lab, loadBegan),
      slack,
      engine: lab.engine,
      scale,
      fail: settings.fail,
      ms: performance.now() - began,
    };
  } finally {
    emit({ kind: 'lab-closing' });
    await load?.stop();
    await opened.lab?.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The lab's stage, in words. */
function openingOf({ balanced, bastion, checkout, newcomer, leftOpen }: Stage): string {
  return [
    `opening the lab: ${balanced ? 'two hosts behind a load balancer' : 'one server'}`,
    ...(bastion ? ['reached through a bastion'] : []),
    `v1 serving${checkout ? ' from a checkout' : ''}`,
    ...(newcomer ? ['a third host that joins with v1 after a deploy'] : []),
    ...(leftOpen ? ['a port open that a lost runner left'] : []),
  ].join(', ');
}

/** What a run calls what it builds: the tag that was pushed, else the commit. */
const versionOf = (sha: string, ref: string) =>
  ref.startsWith('refs/tags/') ? ref.slice('refs/tags/'.length) : sha;

/** One more host, as its launch template has it: with the lab's first release, in rotation. */
async function addNewcomer(lab: Lab): Promise<void> {
  const wanted = lab.scaling!.desiredCapacity + 1;
  lab.scaling!.resize({ desiredCapacity: wanted });
  const end = performance.now() + 60_000;
  for (;;) {
    const health = lab.group.health();
    if (health.length === wanted && health.every(({ state }) => state === 'healthy')) return;
    if (performance.now() > end)
      throw new Error('the host that Auto Scaling launched did not become healthy');
    await lab.clock.sleep(1000);
  }
}

/** A rule as a run leaves it whose runner was lost, an hour after the end of its lease. */
function leaveOpen(lab: Lab): void {
  const ended = new Date(lab.clock.now() - 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z');
  lab.account.addRule(lab.securityGroupId, {
    cidr: '198.51.100.7/32',
    port: Number(lab.vars().SSH_PORT),
    tags: {
      'managed-by': 'ephemeral-ssh-ingress',
      'lease-0a1b2c3d4e5f6071': `${ended} ${repository} 1000000000.1 deploy`,
    },
  });
}

/** What a user sets to be quick where AWS's own durations are quick: nothing but the actions' pauses. */
const quickVars = {
  DRAIN_SETTLE: '2s',
  STABILITY_WINDOW: '2s',
  GATE_INTERVAL: '500ms',
  GATE_TIMEOUT: '10s',
  WATCH_FOR: '5s',
};

/** The IAM policies that the actions ship, filled in for this account: a rehearsal proves that they suffice. */
export function shippedPolicy(place: Place): PolicyDocument {
  const fill: Record<string, string> = {
    REGION: place.region,
    ACCOUNT: place.accountId,
    SECURITY_GROUP_ID: place.securityGroupId,
    'targetgroup/NAME/ID': place.targetGroupArn.split(':').at(-1)!,
    AUTO_SCALING_GROUP: 'web',
  };
  const placeholder = new RegExp(Object.keys(fill).join('|'), 'g');
  const statements = readdirSync(actionsFolder)
    .map((name) => join(actionsFolder, name, 'iam-policy.json'))
    .filter((path) => existsSync(path))
    .flatMap((path) => {
      const text = readFileSync(path, 'utf8').replace(placeholder, (name) => fill[name]!);
      return [(JSON.parse(text) as PolicyDocument).Statement].flat();
    });
  // Each file names its statements for itself; together the names must not meet.
  return { Version: '2012-10-17', Statement: statements.map(({ Sid: _, ...statement }) => statement) };
}

const commitOf = (seed: number) => {
  let state = seed >>> 0 || 1;
  return Array.from({ length: 40 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return ((state >>> 16) & 15).toString(16);
  }).join('');
};

function resolver(build: Build) {
  const standIns = builtInStandIns({ build });
  return (uses: string) => {
    const own = /^(?:\.\/|lockkeeper\/lockkeeper\/)actions\/([^@/]+)(?:@.+)?$/.exec(uses);
    if (own) {
      const directory = join(actionsFolder, own[1]!);
      return existsSync(join(directory, 'action.yml')) ? { directory } : undefined;
    }
    const standIn = standIns[uses.split('@')[0]!];
    return standIn && { standIn };
  };
}

function watcher(
  lab: Lab,
  settings: RehearsalSettings,
  fault: Fault | undefined,
  emit: (event: RehearsalEvent) => void,
) {
  const processes = new Map<string, number>();
  let struck = false;
  const on = (event: WorkflowEvent) => {
    emit({ kind: 'workflow', event });
    if (event.kind === 'process-started') processes.set(`${event.job} ${event.index}`, event.pid);
    if (
      event.kind !== 'line' ||
      !fault?.at ||
      struck ||
      event.phase !== 'main' ||
      !fault.at.line.test(event.text)
    )
      return;
    struck = true;
    emit({ kind: 'struck', fault: settings.fail! });
    fault.at.strike({
      lab,
      step: event.name,
      line: event.text,
      pid: processes.get(`${event.job} ${event.index}`),
    });
  };
  return { on, struck: () => struck };
}

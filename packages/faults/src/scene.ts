import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lab, type Load, openLab, startLoad } from '@lockkeeper/lab';
import { shippedPolicy } from '@lockkeeper/rehearsal';
import {
  nodePath,
  runWorkflow,
  type Workflow,
  type WorkflowEvent,
  type WorkflowResult,
} from '@lockkeeper/runner';
import { filesThatShow, needlesOf, watchArguments } from './secrets.ts';
import { type SceneKind, type WorkflowChanges, writeWorkflow } from './workflow.ts';

const repository = 'acme/app';
const commit = 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334';

/** AWS's seconds pass so many times as fast. */
const scale = 20;
/** Of ours: how long a balancer still sends requests to a target just deregistered, and the delay after which it cuts them. */
const lingerSeconds = 4;
const delaySeconds = 7;

export interface SceneSettings {
  kind: SceneKind;
  seed: number;
  /** The folder with the actions whose committed dist runs. */
  actions: string;
}

export interface RunSettings {
  attempt: number;
  changes: WorkflowChanges;
  text?: { message?: string; ref?: string; actor?: string };
  debug?: boolean;
  cancel?: AbortSignal;
  shutdown?: AbortSignal;
  lost?: AbortSignal;
  onEvent?: (event: WorkflowEvent) => void;
}

/** A lab in which v1 serves under load, and a runner with a home of its own that deploys v2 there. */
export interface Scene {
  readonly kind: SceneKind;
  readonly lab: Lab;
  /** RUNNER_TEMP of its jobs, each in a directory of its own. */
  readonly temp: string;
  /** A file that exists only if somebody executed what is text. */
  readonly mark: string;
  /** Rules that were there before. */
  readonly rulesBefore: ReadonlySet<string>;
  readonly registeredBefore: string[];
  /** Puts v2 into the registry, ill as SICK says. */
  release(sick?: string): Promise<void>;
  /** Users begin to call. */
  users(): Load;
  run(settings: RunSettings): Promise<WorkflowResult>;
  /** The workflow of the last run. */
  workflow(): Workflow;
  /** What nobody may see now: the user's secrets, and the credentials that AWS gave to the steps. */
  secrets(): string[];
  /** Where one of them was seen so far: files of the runner and of the hosts, arguments of processes. */
  leaks(): string[];
  /** As long after as it takes: leases on rules have ended, and locks of a run that is gone can be taken over. */
  longAfter(): void;
  /** What lies about on the hosts that a run should have cleared away. */
  leftOnHosts(): string[];
  close(): Promise<void>;
}

export async function openScene({ kind, seed, actions }: SceneSettings): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), 'lockkeeper-faults-'));
  const opened: Array<() => unknown> = [() => rm(directory, { recursive: true, force: true, maxRetries: 3 })];
  const close = async () => {
    for (const end of opened.splice(0).reverse()) await end();
  };
  try {
    const lab = await openLab({
      scale,
      seed,
      hosts: kind === 'fleet' ? 2 : 1,
      balanced: kind === 'fleet',
      deregistrationDelay: delaySeconds * scale,
      lingerMs: lingerSeconds * 1000 * scale,
      healthInterval: 10,
      repository,
      policy: shippedPolicy,
    });
    opened.push(() => lab.close());
    const [home, work, temp] = ['home', 'work', 'temp'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    await mkdir(home);
    const mark = join(directory, 'executed');
    const own = {
      ...lab.secrets(),
      ENV_FILE: `${lab.envFile}SECRET_KEY=${randomBytes(18).toString('hex')}\n`,
      REGISTRY_PASSWORD: `ghp_${randomBytes(18).toString('hex')}`,
      GITHUB_TOKEN: `ghs_${randomBytes(18).toString('hex')}`,
    };
    const secrets = () => [
      ...Object.values(own),
      ...[...lab.account.principals.values()].flatMap(({ secretAccessKey, sessionToken }) =>
        sessionToken ? [secretAccessKey, sessionToken] : [],
      ),
    ];
    // What the lab's own .env holds is no secret.
    const open = lab.envFile.split('\n');
    const needles = () => needlesOf(secrets()).filter((needle) => !open.includes(needle));
    const files = new Set<string>();
    const look = () => {
      for (const file of [home, work, temp].flatMap((place) => filesThatShow(place, needles())))
        files.add(file.slice(directory.length + 1));
    };
    const watched = watchArguments(needles);
    opened.push(() => watched.stop());
    const loads = new Set<Load>();
    opened.push(() => Promise.all([...loads].map((load) => load.stop())));
    let digest = '';
    let workflow: Workflow | undefined;

    return {
      kind,
      lab,
      temp,
      mark,
      rulesBefore: new Set(lab.account.securityGroups.get(lab.securityGroupId)!.rules.map(({ id }) => id)),
      registeredBefore:
        kind === 'fleet'
          ? lab.group.health().map(({ id }) => id)
          : lab.hosts.map(({ instanceId }) => instanceId),
      async release(sick) {
        digest = await lab.pushApp('v2', sick);
      },
      users() {
        const load = startLoad({
          url: lab.vars().APP_URL!,
          rps: 25,
          seed,
          mix: kind === 'fleet' ? { get: 70, post: 20, slow: 10 } : { get: 80, post: 20 },
          slowMs: [500, 1500],
        });
        loads.add(load);
        return load;
      },
      async run({ attempt, changes, text = {}, debug, onEvent, ...control }) {
        const marked = (words: string) => words.replaceAll('$MARK', mark);
        workflow = await writeWorkflow(directory, kind, {
          ...changes,
          ...(changes.before ? { before: marked(changes.before) } : {}),
        });
        return runWorkflow(workflow, {
          secrets: own,
          vars: {
            ...lab.vars(),
            SERVER_HOST: lab.hosts[0]!.host.address,
            REGISTRY: lab.registry.url,
            DIGEST: digest,
            VERSION: 'v2',
          },
          github: {
            repository,
            sha: commit,
            ref: marked(text.ref ?? 'refs/heads/main'),
            actor: marked(text.actor ?? 'octocat'),
            runAttempt: String(attempt),
          },
          eventPayload: {
            head_commit: {
              id: commit,
              message: marked(text.message ?? 'Show the new release'),
              author: { name: 'Octo Cat' },
            },
          },
          settings: {
            node: nodePath,
            env: {
              PATH: process.env.PATH ?? '/usr/bin:/bin',
              HOME: home,
              LANG: 'C.UTF-8',
              ...lab.runnerEnv(),
            },
            workspace: work,
            temp,
            toolCache: join(directory, 'tools'),
            name: 'runner-1',
            debug,
          },
          resolveAction: (uses) => ({ directory: join(actions, /\/actions\/([\w-]+)@/.exec(uses)![1]!) }),
          idToken: ({ subject, claims }) => lab.idToken({ subject, claims }),
          ...control,
          onEvent(event) {
            if (event.kind === 'step-finished') look();
            onEvent?.(event);
          },
        });
      },
      workflow: () => workflow!,
      secrets,
      leaks() {
        look();
        // The user's own env file is meant to lie on the host; nothing else is.
        const onHosts = needles().filter((needle) => !own.ENV_FILE.includes(needle));
        const hosts = lab.hosts.flatMap(({ host }) =>
          filesThatShow(host.home, onHosts).map((file) => `${host.name}:${file.slice(host.home.length)}`),
        );
        return [
          ...[...files, ...hosts].map((file) => `file ${file}`),
          ...watched.seen().map((program) => `arguments of ${program}`),
        ];
      },
      longAfter() {
        const { id, rules } = lab.account.securityGroups.get(lab.securityGroupId)!;
        const ended = (value: string) => value.replace(/^\S+/, '2020-01-01T00:00:00Z');
        lab.account.changeRules(
          id,
          rules.map((rule) => ({
            ...rule,
            tags: new Map(
              [...rule.tags].map(([key, value]) => [key, key.startsWith('lease-') ? ended(value) : value]),
            ),
          })),
        );
        for (const { host } of lab.hosts) {
          const state = join(host.home, 'app/.lockkeeper');
          for (const name of existsSync(state) ? readdirSync(state) : [])
            if (name.startsWith('beat.')) writeFileSync(join(state, name), '1000000000');
        }
      },
      leftOnHosts: () =>
        lab.hosts.flatMap(({ host }) => {
          const state = join(host.home, 'app/.lockkeeper');
          const steps = join(state, 'steps');
          return [
            ...(existsSync(join(state, 'lock')) ? ['the lock'] : []),
            ...(existsSync(steps) ? readdirSync(steps).map((name) => `step ${name}`) : []),
            ...host.engine
              .containers()
              .filter(({ name }) => /^[0-9a-f]{12}_/.test(name))
              .map(({ name }) => `container ${name}`),
          ].map((what) => `${what} on ${host.name}`);
        }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

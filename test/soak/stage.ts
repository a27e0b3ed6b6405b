import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Fault, type Lab, observeLab, openLab, startLoad } from '@lockkeeper/lab';
import { shippedPolicy } from '@lockkeeper/rehearsal';
import { type ActionStep, type JobEvent, nodePath, pushContext, runJob } from '@lockkeeper/runner';
import { root } from '../../tools/manifest.ts';
import type { Outcome } from './outcome.ts';
import type { Mishap, Site, Turn } from './plan.ts';
import { leftOver, type Residue, residueOf } from './residue.ts';

const repository = 'octo/boats';
const keepReleases = 3;

/** How often as fast as real time AWS's seconds pass. */
const scale = 20;

const labs: Record<Site, { hosts: number; balanced: boolean }> = {
  server: { hosts: 1, balanced: false },
  fleet: { hosts: 2, balanced: true },
};

/** Hosts that stay from one deploy to the next, and a runner that is new for each. */
export interface SoakSite {
  /** Runs the job of a turn, with its mishap, and looks at what became of everything. */
  take(turn: Turn): Promise<Outcome & { log: string[]; seconds: number }>;
  /** Most releases and images that a host has. */
  kept(): { releases: number; images: number };
  close(): Promise<void>;
}

export async function openSite(site: Site, seed: number): Promise<SoakSite> {
  const lab = await openLab({
    scale,
    seed,
    repository,
    policy: shippedPolicy,
    deregistrationDelay: 60,
    healthInterval: 10,
    ...labs[site],
  });
  try {
    const rulesAtFirst = new Set(rulesOf(lab).map(({ id }) => id));
    const before = lab.hosts.map(({ host }) => residueOf(host));
    let serving = 'v1';
    let failures = 0;

    const lookAround = async () => {
      const { rules, openHosts, targets } = await observeLab(lab);
      const left = lab.hosts.flatMap(({ host }, at) =>
        leftOver(before[at]!, residueOf(host), { keep: keepReleases, failures }).map(
          (one) => `${host.name}: ${one}`,
        ),
      );
      const states = lab.balanced ? targets.map(({ id, state }) => `${id} ${state}`) : [];
      const open = [
        ...rules.filter(({ id }) => !rulesAtFirst.has(id)).map(({ id, cidr }) => `${id} (${cidr})`),
        ...openHosts,
      ];
      return { open, targets: states, versions: targets.map(({ version }) => version), left };
    };
    /** Looked at until nothing is left, or for so many ms: processes, connections and health checks end in their time. */
    const settled = async (patience = 10_000) => {
      const end = performance.now() + patience;
      for (;;) {
        const seen = await lookAround();
        const calm = [...seen.open, ...seen.left].length === 0 && seen.targets.every(isHealthy);
        if (calm || performance.now() > end) return seen;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    };

    return {
      async take(turn) {
        const digest = await lab.pushApp(turn.version, turn.sick);
        const load = lab.balanced
          ? startLoad({ url: lab.balancer.url, rps: 10, seed: turn.number, mix: { get: 60, post: 40 } })
          : undefined;
        const machine = mkdtempSync(join(tmpdir(), 'lockkeeper-soak-'));
        const began = performance.now();
        try {
          const { conclusion, struck, log, left } = await runTurn(lab, site, turn, digest, machine);
          const lost = turn.mishap.kind === 'lost' && struck;
          failures = conclusion === 'success' ? 0 : failures + 1;
          if (lost) await letTimePass(lab);
          const seen = await (lost ? lookAround() : settled());
          const served = await load?.stop();
          const first = served?.failures[0];
          const outcome: Outcome = {
            conclusion,
            struck,
            serving,
            versions: seen.versions,
            targets: seen.targets,
            open: seen.open,
            requests: served?.requests ?? 0,
            lost: served?.failed ?? 0,
            ...(first
              ? { firstLost: `${first.kind} after ${Math.round(first.at)} ms: ${first.reason}` }
              : {}),
            left: [...seen.left, ...(lost ? [] : left)],
          };
          // After a lost runner hosts may serve two releases; the next run is judged by its own.
          if (!lost) serving = seen.versions[0] ?? serving;
          return { ...outcome, log, seconds: (performance.now() - began) / 1_000 };
        } finally {
          await load?.stop();
          rmSync(machine, { recursive: true, force: true });
        }
      },
      kept() {
        const residues = lab.hosts.map(({ host }) => residueOf(host));
        const most = (count: (residue: Residue) => number) => Math.max(...residues.map(count));
        return {
          releases: most(({ releases }) => releases.length),
          images: most(({ images }) => images.length),
        };
      },
      close: () => lab.close(),
    };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

const isHealthy = (state: string) => state.endsWith(' healthy');

const rulesOf = (lab: Lab) => lab.account.securityGroups.get(lab.securityGroupId)!.rules;

/** A job as the examples have it: the port opened, the release deployed, and what post does. */
async function runTurn(
  lab: Lab,
  site: Site,
  turn: Turn,
  digest: string,
  machine: string,
): Promise<{ conclusion: string; struck: boolean; log: string[]; left: string[] }> {
  const vars = lab.vars();
  const secrets = lab.secrets();
  const grant = await lab.idToken({ subject: `repo:${repository}:ref:refs/heads/main`, claims: {} });
  const account = { 'role-to-assume': vars.AWS_ROLE_ARN!, region: vars.AWS_REGION! };
  const step = (name: string, inputs: Record<string, string>): ActionStep => ({
    kind: 'action',
    id: name,
    name,
    directory: join(root, 'actions', name),
    ref: `./actions/${name}`,
    env: () => ({}),
    with: () => inputs,
  });
  const release = {
    username: vars.SSH_USER!,
    'private-key': secrets.SSH_PRIVATE_KEY!,
    'known-hosts': vars.SSH_KNOWN_HOSTS!,
    port: vars.SSH_PORT!,
    'project-directory': vars.PROJECT_DIRECTORY!,
    image: `web=${vars.IMAGE}@${digest}`,
    'keep-releases': String(keepReleases),
    'stability-window': '1s',
    'health-timeout': '20s',
  };
  const [home, temp, workspace] = ['home', 'temp', 'work'].map((name) => join(machine, name)) as [
    string,
    string,
    string,
  ];
  for (const directory of [home, temp, workspace]) mkdirSync(directory);
  writeFileSync(join(workspace, 'README.md'), 'boats\n');

  const { mishap } = turn;
  const [cancel, lost] = [new AbortController(), new AbortController()];
  const call = 'action' in mishap ? lab.account.faults.add(asFault(mishap)) : undefined;
  let struck = false;
  let lines = 0;
  let pid: number | undefined;
  const onEvent = (event: JobEvent) => {
    if (event.kind === 'process-started') pid = event.pid;
    if (event.kind === 'step-finished') pid = undefined;
    if (event.kind !== 'line' || event.index < 0 || event.phase !== 'main' || pid === undefined) return;
    if (!('atLine' in mishap) || ++lines !== mishap.atLine) return;
    struck = true;
    if (mishap.kind === 'kill') process.kill(pid, 'SIGKILL');
    if (mishap.kind === 'cancel') cancel.abort();
    if (mishap.kind === 'lost') lost.abort();
    if (mishap.kind === 'drop-ssh') for (const { host } of lab.hosts) host.dropConnections('reset');
  };
  try {
    const job = await runJob(
      {
        id: 'deploy',
        name: 'deploy',
        env: () => lab.runnerEnv(),
        steps: [
          step('ephemeral-ssh-ingress', {
            'security-group-id': vars.SECURITY_GROUP_ID!,
            port: vars.SSH_PORT!,
            'ip-lookup-url': vars.IP_LOOKUP_URL!,
            ...account,
          }),
          site === 'fleet'
            ? step('rolling-alb-deploy', {
                ...release,
                ...account,
                'target-group-arn': vars.TARGET_GROUP_ARN!,
                'drain-settle': '1s',
              })
            : step('compose-deploy', { ...release, host: lab.hosts[0]!.host.address }),
        ],
        github: { ...pushContext, repository, run_id: String(1_000 + turn.number) },
        secrets,
        vars: {},
        idToken: grant,
      },
      {
        node: nodePath,
        env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8' },
        workspace,
        temp,
        toolCache: join(machine, 'tools'),
        name: 'soak',
      },
      { cancel: cancel.signal, lost: lost.signal, onEvent },
    );
    return {
      conclusion: job.conclusion,
      struck: struck || (call?.struck ?? 0) > 0,
      log: job.log,
      left: [
        ...readdirSync(temp).map((name) => `RUNNER_TEMP/${name}`),
        ...readdirSync(home).map((name) => `HOME/${name}`),
        ...readdirSync(workspace)
          .filter((name) => name !== 'README.md')
          .map((name) => `the workspace's ${name}`),
        ...job.survivors.map(({ command }) => `the process ${command}`),
      ],
    };
  } finally {
    call?.remove();
  }
}

function asFault({ kind, action, nth }: Extract<Mishap, { action: string }>): Fault {
  const match = { action, nth, dryRun: false };
  if (kind === 'throttled') return { kind: 'throttle', match: { ...match, times: 3 } };
  return { kind: kind === 'denied' ? 'denied' : 'lost-response', match };
}

/** The lease of a lost runner ends, and so does what it had locked: hours pass. */
async function letTimePass(lab: Lab): Promise<void> {
  // A call that was on its way when the runner went still takes effect: a rule may come into being now.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  // By the clock that AWS tells, which does not run faster with the lab's.
  const now = lab.account.wallTime(lab.clock.now()).getTime();
  const ended = new Date(now - 3_600_000).toISOString().replace(/\.\d+Z$/, 'Z');
  const aged = ([name, value]: [string, string]): [string, string] => [
    name,
    name.startsWith('lease-') ? value.replace(/^\S+/, ended) : value,
  ];
  lab.account.changeRules(
    lab.securityGroupId,
    rulesOf(lab).map((rule) => ({ ...rule, tags: new Map([...rule.tags].map(aged)) })),
  );
  for (const { host } of lab.hosts) {
    host.dropConnections('reset');
    const record = join(host.home, 'app/.lockkeeper');
    for (const name of readdirSync(record).filter((one) => one.startsWith('beat.')))
      writeFileSync(join(record, name), '1\n');
  }
}

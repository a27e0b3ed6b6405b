// `pnpm lab`: a lab to try actions against, by hand or from a workflow's steps.
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { githubFiles, type LabFacts, leftOpen, renderState, shellExports } from './facts.ts';
import { type Keeper, type KeeperSettings, keepLab } from './keeper.ts';
import { labDirectory, openLabAt, socketOf, UsageError } from './socket.ts';

const usage = `Usage: pnpm lab [--hosts N] [--scale N] [--github]
       pnpm lab push VERSION [--sick HOW] | show | check | close

Opens a stand-in AWS account with hosts, load balancer, registry and Slack on this computer, serving v1, and keeps
it open until Ctrl+C or \`pnpm lab close\`.

  --hosts N    instances behind the load balancer (default 2)
  --scale N    how many times as fast as real AWS's own durations pass (default 20)
  --github     in a step of a workflow: keep it open in the background until the job ends, mask its secrets, and
               write its variables and secrets to $GITHUB_OUTPUT and the environment for AWS to $GITHUB_ENV

  push         puts a version of the sample app into its registry and prints the digest; HOW is a status such as
               503, or crash, crash-later, hang, slow, errors
  show         what is open, what serves, what Slack was told
  check        the same; exit status 1 when something is left open or out of rotation
  close        takes it down`;

/** Opens a lab in a process of its own that outlives this one; resolves when it is ready. */
async function openDetached(directory: string, settings: KeeperSettings): Promise<LabFacts> {
  const logPath = join(directory, 'log');
  const log = openSync(logPath, 'w', 0o600);
  const script = fileURLToPath(import.meta.url);
  // No pipe of this step is handed on: the runner waits for whoever holds one.
  const child = spawn(process.execPath, [...process.execArgv, script, 'keep', JSON.stringify(settings)], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  try {
    return await new Promise<LabFacts>((resolve, reject) => {
      child.once('message', (facts) => resolve(facts as LabFacts));
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`the lab ended (${signal ?? code}): ${readFileSync(logPath, 'utf8').trim()}`)),
      );
    });
  } finally {
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** For a step of a workflow: opens a lab that stays, and hands the later steps what they need. */
export async function openForGithub({ hosts = 2, scale = 20 } = {}): Promise<undefined> {
  const { GITHUB_OUTPUT: output, GITHUB_ENV: environment } = process.env;
  if (!output || !environment)
    throw new UsageError('--github needs GITHUB_OUTPUT and GITHUB_ENV: it is for a step of a workflow');
  const directory = labDirectory();
  await refuseSecond(directory);
  const facts = await openDetached(directory, { hosts, scale, socket: socketOf(directory) });
  const files = githubFiles(facts);
  process.stdout.write(files.commands);
  appendFileSync(output, files.output);
  appendFileSync(environment, files.env);
  console.log(`the lab is open: ${facts.vars.HOSTS!.split('\n').join(' and ')} behind ${facts.vars.APP_URL}`);
}

/**
 * For the end of a job: takes the lab down and answers what was left open in it. A target that a deploy has
 * just let go of gets the time of a few health checks to be healthy again.
 */
export async function closeAndJudge(patienceMs = 10_000): Promise<string[]> {
  const lab = openLabAt(labDirectory());
  const end = performance.now() + patienceMs;
  let state = await lab.state();
  const unsettled = () => leftOpen({ ...state, rules: [], openPorts: [] }).length > 0;
  while (unsettled() && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    state = await lab.state();
  }
  console.log(renderState(state));
  await lab.close();
  return leftOpen(state);
}

/** Runs a phase of a local action: what it answers, or the user's mistake it throws, becomes its errors. */
export async function inStep(phase: () => Promise<string[] | undefined>): Promise<void> {
  let errors: string[];
  try {
    errors = (await phase()) ?? [];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    errors = [error.message];
  }
  for (const line of errors) console.log(`::error::${line}`);
  process.exitCode = errors.length > 0 ? 1 : 0;
}

async function refuseSecond(directory: string): Promise<void> {
  try {
    await openLabAt(directory).facts();
  } catch (error) {
    // A socket that nobody listens at was left by a lab that was killed.
    if (error instanceof UsageError) return rmSync(socketOf(directory), { force: true });
    throw error;
  }
  throw new UsageError('a lab is open already. Next: pnpm lab close');
}

async function openHere(settings: KeeperSettings, directory: string): Promise<void> {
  await refuseSecond(directory);
  const keeper = await keepLab(settings);
  closeOnSignal(keeper);
  const file = join(directory, 'environment');
  writeFileSync(file, shellExports(keeper.facts), { mode: 0o600 });
  console.log(
    [
      ...Object.entries(keeper.facts.vars).map(([name, value]) => `${name}=${value.split('\n').join(' ')}`),
      '',
      `The containers run in ${keeper.engine}.`,
      `Variables and secrets for a shell:  . ${file}`,
      'It stays open until Ctrl+C. In another terminal: pnpm lab push v2 | show | check | close',
    ].join('\n'),
  );
  await keeper.closed;
  rmSync(file, { force: true });
}

/** The other end of `openDetached`. */
async function keep(settings: KeeperSettings): Promise<void> {
  const keeper = await keepLab(settings);
  closeOnSignal(keeper);
  process.send?.(keeper.facts, () => process.disconnect());
  await keeper.closed;
}

function closeOnSignal({ close }: Keeper): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void close());
}

function wholeNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max)
    throw new UsageError(`--${name}: "${text}" is not a whole number from 1 to ${max}`);
  return value;
}

async function main(argv: string[]): Promise<number> {
  if (argv[0] === 'keep') {
    await keep(JSON.parse(argv[1]!) as KeeperSettings);
    return 0;
  }
  const { values, positionals } = readArguments(argv.filter((argument) => argument !== '--'));
  const [verb = 'open', version, ...rest] = positionals;
  const takes = verb === 'push' ? 1 : 0;
  if (values.help) console.log(usage);
  else if (!['open', 'push', 'show', 'check', 'close'].includes(verb))
    throw new UsageError(`"${verb}" is not one of push, show, check, close; see pnpm lab --help`);
  else if (rest.length > 0 || (version === undefined ? 0 : 1) !== takes)
    throw new UsageError(`pnpm lab ${verb} takes ${takes ? 'one version' : 'nothing more'}; see --help`);
  else if (verb === 'push') console.log(await openLabAt(labDirectory()).push(version!, values.sick));
  else if (verb === 'close') console.log(`closed (process ${await openLabAt(labDirectory()).close()})`);
  else if (verb === 'open') {
    const settings = {
      hosts: wholeNumber('hosts', values.hosts, 20),
      scale: wholeNumber('scale', values.scale, 1000),
    };
    const directory = labDirectory();
    if (values.github) await openForGithub(settings);
    else await openHere({ ...settings, socket: socketOf(directory) }, directory);
  } else {
    const state = await openLabAt(labDirectory()).state();
    console.log(renderState(state));
    return verb === 'check' && leftOpen(state).length > 0 ? 1 : 0;
  }
  return 0;
}

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        github: { type: 'boolean' },
        hosts: { type: 'string', default: '2' },
        scale: { type: 'string', default: '20' },
        sick: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n')[0]);
  }
}

// The path may lead through links, as a workspace's does.
if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const mistake = error instanceof UsageError;
    console.error(mistake ? error.message : error);
    process.exitCode = mistake ? 2 : 1;
  }
}

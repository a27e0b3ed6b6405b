import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inputsOf, memoryLog } from '@lockkeeper/action';
import { type Recovered, type Repository, recoverHost, releaseId, releaseNonce } from '@lockkeeper/compose';
import {
  generateKeyPair,
  type Host,
  openHost,
  openRegistry,
  type Registry,
  readSample,
} from '@lockkeeper/lab';
import { connect, type Shell } from '@lockkeeper/ssh';
import { systemClock } from '@lockkeeper/wait';
import { parse } from 'yaml';
import { type DeployReport, deploy } from '../src/deploy.ts';
import { parseInputs } from '../src/inputs.ts';
import type { Places } from '../src/output-file.ts';
import { runLines } from '../src/run.ts';

/** A small web app, ill in the way its image says. */
const server = `
const http = require('node:http');
const { VERSION, HOST, SICK = '' } = process.env;
if (SICK === 'crash') { console.error('cannot import settings'); process.exit(3); }
if (SICK === 'late') setTimeout(() => { console.error('out of luck'); process.exit(4); }, 1500);
http.createServer((request, response) => {
  const sick = SICK === '503' ? 503 : 200;
  response.writeHead(sick, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ status: 'healthy', version: VERSION, database: SICK !== 'database' }));
}).listen(8000, HOST, () => console.log('listening ' + VERSION));
process.on('SIGTERM', () => process.exit(0));
`;
const database = `setInterval(() => {}, 1000); process.on('SIGTERM', () => process.exit(0));`;

const composeFile = (registry: string) => `
name: shop
services:
  web:
    image: ${registry}/web:\${TAG:-v1}
    ports: ["8000:8000"]
    environment:
      GREETING: \${GREETING:-hello}
    healthcheck:
      test: ["CMD", "perl", "healthcheck.pl"]
      interval: 300ms
      timeout: 2s
      retries: 3
    depends_on: [db]
  db:
    image: ${registry}/db:15
    restart: unless-stopped
`;

const owner = { repository: 'octo/shop', runUrl: 'https://github.com/octo/shop/actions/runs/1' };

const defaults = (await readDefaults()) satisfies Record<string, string>;

async function readDefaults(): Promise<Record<string, string>> {
  const text = await readFile(new URL('../action.yml', import.meta.url), 'utf8');
  const { inputs } = parse(text) as { inputs: Record<string, { default?: string }> };
  return Object.fromEntries(Object.entries(inputs).map(([name, { default: value = '' }]) => [name, value]));
}

export interface Stack {
  /** The host's. */
  address: string;
  host: Host;
  registry: Registry;
  /** ~/shop on the host. */
  directory: string;
  /** What its compose.yaml says. */
  composeFile: string;
  /** The user's. */
  keys: { public: string; private: string };
  push(tag: string, sick?: string): Promise<string>;
  /** Runs \`docker …\` on the host, as a user there would. */
  docker(...argv: string[]): Promise<string>;
  /** The inputs of a deploy that would succeed, changed by what is given. */
  inputs(values?: Record<string, string>): Record<string, string>;
  deploy(values?: Record<string, string>, signal?: AbortSignal): Promise<DeployReport & { log: string[] }>;
  /** Where a run may write its output. */
  places: Places;
  /** For so many milliseconds nobody gets in, and whoever was in is thrown out: sshd restarts, or the host does. */
  away(ms: number): Promise<void>;
  /** The runners of the deploys so far are gone, without a word: those deploys never end. */
  vanish(): void;
  /** What the runner says of the repository. */
  run: { commit: string; repository: Repository };
  /** What the post step does after the last deploy. */
  recover(): Promise<Recovered>;
  /** The version that answers on the host's port 8000, or what went wrong. */
  version(): Promise<string>;
  /** Container ids by service. */
  containers(): Promise<Record<string, string>>;
  close(): Promise<void>;
}

/** A shell that does nothing any more once its runner is gone. */
function mortal(shell: Shell, runner: { here: boolean }): Shell {
  const run = shell.run.bind(shell);
  shell.run = (script, options) => (runner.here ? run(script, options) : new Promise(() => {}));
  return shell;
}

/** The port by which labs on one computer tell one another that an address is taken. */
const claimPort = 7347;

/** An address that no other test or lab on this computer uses, until it is freed. */
async function claimAddress(): Promise<{ address: string; free: () => Promise<void> }> {
  for (let n = 20; n < 90; n++) {
    const server = createServer();
    const claimed = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(claimPort, `127.77.0.${n}`, () => resolve(true));
    });
    if (claimed)
      return {
        address: `127.77.0.${n}`,
        free: () => new Promise((resolve) => server.close(() => resolve())),
      };
  }
  throw new Error('no address from 127.77.0.20 to 127.77.0.89 is free');
}

/**
 * A host of the lab with a project directory, and a registry with `web:v1` and `db:15`. Nothing runs yet.
 * A sibling shares registry, key and SSH port with another stack, as the hosts of one deploy do.
 */
export async function openStack(sibling?: Stack): Promise<Stack> {
  const { address, free } = await claimAddress();
  const keys = sibling?.keys ?? generateKeyPair();
  const scratch = await mkdtemp(join(tmpdir(), 'compose-deploy-'));
  const registry = sibling?.registry ?? (await openRegistry());
  let reachable = true;
  const host = await openHost({
    name: 'host-1',
    address,
    sshPort: sibling?.host.sshPort ?? 0,
    user: { name: 'deploy', publicKey: keys.public },
    directory: join(scratch, 'host'),
    registry,
    sourceOf: (remote) => remote,
    allows: () => reachable,
  });
  const directory = join(host.home, 'shop');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'compose.yaml'), composeFile(registry.url));
  const image = (
    repository: string,
    tag: string,
    env: string[],
    files: Record<string, string>,
    main: string,
  ) =>
    registry.push({ repository, tag, config: { Cmd: ['node', main], WorkingDir: '/app', Env: env }, files });
  if (!sibling) await image('db', '15', [], { 'app/db.cjs': database }, 'db.cjs');

  const places = { workspace: join(scratch, 'workspace'), temp: '' };
  await mkdir(places.workspace);
  let last = { release: '', lockToken: '' };
  let lastIsRun = false;
  let lives = { here: true };
  const stack: Stack = {
    address,
    host,
    registry,
    directory,
    composeFile: composeFile(registry.url),
    keys,
    run: { commit: 'a1b2c3d4e5', repository: { url: 'https://github.com/octo/shop', workspace: '' } },
    push: (tag, sick = '') =>
      image(
        'web',
        tag,
        [`VERSION=${tag}`, ...(sick ? [`SICK=${sick}`] : [])],
        { 'app/server.cjs': server, 'app/healthcheck.pl': readSample('healthcheck.pl') },
        'server.cjs',
      ),
    places,
    away: async (ms) => {
      reachable = false;
      await host.updateAccess();
      host.dropConnections('reset');
      await new Promise((resolve) => setTimeout(resolve, ms));
      reachable = true;
      await host.updateAccess();
    },
    vanish: () => {
      lives.here = false;
      lives = { here: true };
      host.dropConnections('reset');
    },
    docker: async (...argv) => {
      const { code, stdout, stderr } = await host.engine.docker(argv, directory);
      if (code !== 0) throw new Error(`docker ${argv.join(' ')}: ${stderr}`);
      return stdout;
    },
    inputs: (values = {}) => ({
      host: address,
      port: String(host.sshPort),
      username: 'deploy',
      'private-key': keys.private,
      'known-hosts': host.hostKey.knownHostsLine,
      'project-directory': '~/shop',
      'health-timeout': '20s',
      'stability-window': '500ms',
      'health-url': 'http://localhost:8000/health/',
      ...values,
    }),
    deploy: async (values, signal) => {
      const log = memoryLog();
      const inputs = inputsOf(stack.inputs(values), defaults);
      const { hosts, onFailure, ssh, settings, run } = parseInputs(inputs, places);
      lastIsRun = run !== undefined;
      last = {
        release: releaseId(new Date(), stack.run.commit, releaseNonce()),
        lockToken: randomBytes(8).toString('hex'),
      };
      const opening = {
        ...last,
        hosts,
        settings,
        ...stack.run,
        owner,
        connect: async (name: string) =>
          mortal(await connect({ ...ssh, host: name }, { log, clock: systemClock, signal }), lives),
        log,
        clock: systemClock,
        signal,
      };
      const report = run
        ? await runLines({ ...opening, ...run, places })
        : await deploy({ ...opening, onFailure });
      return { ...report, log: log.lines };
    },
    recover: async () => {
      const log = memoryLog();
      const { ssh, settings } = parseInputs(inputsOf(stack.inputs(), defaults));
      const shell = await connect({ ...ssh, host: address }, { log, clock: systemClock });
      try {
        return await recoverHost(
          { ...last, ...stack.run, shell, settings, owner, runsSingletons: true, log, clock: systemClock },
          60_000,
          { what: lastIsRun ? 'run' : 'deploy' },
        );
      } finally {
        await shell.close();
      }
    },
    version: async () => {
      try {
        const response = await fetch(`http://${address}:8000/`, { headers: { connection: 'close' } });
        return ((await response.json()) as { version: string }).version;
      } catch (error) {
        return String(error);
      }
    },
    containers: async () => {
      const ids = (
        await stack.docker('ps', '-aq', '--no-trunc', '--filter', 'label=com.docker.compose.project=shop')
      ).split('\n');
      const found = JSON.parse(await stack.docker('inspect', ...ids.filter(Boolean)));
      return Object.fromEntries(
        found.map((container: { Id: string; Config: { Labels: Record<string, string> } }) => [
          container.Config.Labels['com.docker.compose.service'],
          container.Id,
        ]),
      );
    },
    close: async () => {
      await host.close();
      if (!sibling) await registry.close();
      await free();
      await rm(scratch, { recursive: true, force: true });
    },
  };
  if (!sibling) await stack.push('v1');
  return stack;
}

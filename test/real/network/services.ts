import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { run } from './command.ts';
import { addressIn, bridgeOf, directoryOf, namespaceOf } from './network.ts';

/** How the hosts call them; the same in every network, so that images keep their names. */
export const names = { registry: 'registry.test', git: 'git.test' };

/** Docker's own registry: one that anybody may use, and the same images behind a password. */
export const registries = { open: 'registry.test:5000', locked: 'registry.test:5001' };
type RegistryName = keyof typeof registries;

export function servicesAddress(number: number): string {
  return addressIn(number, 2);
}

/** What a network has besides hosts, at an address of its own: the registries, and a git server for bare repositories. */
export class Services {
  /** For the locked registry. */
  readonly login = { username: 'octo', password: `pw-${randomBytes(12).toString('hex')}` };
  /** Bare repositories put here are at `git://git.test/<name>`. */
  readonly repositories: string;
  /** Where the registry keeps what was pushed. */
  readonly storage: string;
  readonly #number: number;
  readonly #directory: string;
  readonly #running = new Map<string, ChildProcess>();

  private constructor(number: number) {
    this.#number = number;
    this.#directory = join(directoryOf(number), 'services');
    this.repositories = join(this.#directory, 'git');
    this.storage = join(this.#directory, 'registry');
  }

  /** The registry begins with a copy of the storage, if one is given. */
  static async open(number: number, storage?: string): Promise<Services> {
    const services = new Services(number);
    const namespace = namespaceOf(number, 'services');
    await mkdir(services.repositories, { recursive: true });
    // Blobs are never written to after their push: copies can share them.
    if (storage) await run('cp', ['-al', storage, services.storage]);
    else await mkdir(services.storage);
    await run('ip', ['netns', 'add', namespace]);
    const cable = `lk${number}v2`;
    await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
    await run('ip', ['link', 'set', cable, 'master', bridgeOf(number), 'up']);
    await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
    await run('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up']);
    await run('ip', ['-n', namespace, 'addr', 'add', `${servicesAddress(number)}/24`, 'dev', 'eth0']);
    const { username, password } = services.login;
    const hashed = await run('htpasswd', ['-niB', username], { input: password });
    await writeFile(join(services.#directory, 'htpasswd'), hashed, { mode: 0o600 });
    await Promise.all([services.start('open'), services.start('locked'), services.#serveGit()]);
    return services;
  }

  async start(name: RegistryName): Promise<void> {
    const port = Number(registries[name].split(':')[1]);
    const config = join(this.#directory, `${name}.json`);
    // YAML takes JSON as it is.
    await writeFile(
      config,
      JSON.stringify({
        version: 0.1,
        log: { level: 'warn' },
        storage: { filesystem: { rootdirectory: this.storage }, delete: { enabled: true } },
        http: { addr: `${servicesAddress(this.#number)}:${port}` },
        ...(name === 'locked'
          ? { auth: { htpasswd: { realm: 'lockkeeper', path: join(this.#directory, 'htpasswd') } } }
          : {}),
      }),
    );
    await this.#serve(name, port, ['docker-registry', 'serve', config]);
  }

  /** From now on nobody listens there. */
  async stop(name: RegistryName): Promise<void> {
    const child = this.#running.get(name);
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await ended;
    this.#running.delete(name);
  }

  async #serveGit(): Promise<void> {
    const daemon = ['git', 'daemon', '--reuseaddr', '--export-all', `--base-path=${this.repositories}`];
    // Repositories are made by whoever runs the test, and served by root.
    await this.#serve('git', 9418, [...daemon, this.repositories]);
  }

  async #serve(name: string, port: number, command: string[]): Promise<void> {
    const logPath = join(this.#directory, `${name}.log`);
    const log = openSync(logPath, 'a');
    const child = spawn(
      'nsenter',
      [`--net=/run/netns/${namespaceOf(this.#number, 'services')}`, ...command],
      { stdio: ['ignore', log, log], env: { PATH: process.env.PATH, HOME: this.#directory } },
    );
    closeSync(log);
    this.#running.set(name, child);
    child.unref();
    const end = performance.now() + 20_000;
    while (!(await listens(servicesAddress(this.#number), port))) {
      if (child.exitCode !== null || performance.now() > end)
        throw new Error(`${command[0]} did not come up: ${await readFile(logPath, 'utf8')}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
}

function listens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}

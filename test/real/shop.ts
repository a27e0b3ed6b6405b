import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ActionResult, type ActionRun, runAction } from '@lockkeeper/runner';
import type { Host, HostOptions } from './network/host.ts';
import { type Network, openNetwork } from './network/network.ts';
import { request, Traffic } from './traffic.ts';
import { waitFor } from './wait-for.ts';
import { buildApp, openWarehouse } from './warehouse.ts';

const stack = fileURLToPath(new URL('stack/', import.meta.url));
const action = fileURLToPath(new URL('../../actions/compose-deploy/', import.meta.url));

export interface ShopOptions extends Omit<HostOptions, 'dockerRoot'> {
  /** A network to put the host into; its own unless given, closed with the shop. */
  network?: Network;
  /** Hostname; `web-1` unless given. */
  name?: string;
  /** Relative to home; `shop` unless given. */
  directory?: string;
}

/** The reference stack's project directory on a host of its own. Nothing runs before `start` or a deploy. */
export class Shop {
  readonly network: Network;
  readonly host: Host;
  /** Absolute, on the host. */
  readonly directory: string;
  /** What the host's .env holds and no log may. */
  readonly secrets = {
    POSTGRES_PASSWORD: `pg-${randomBytes(12).toString('hex')}`,
    SECRET_KEY: `sk-${randomBytes(12).toString('hex')}`,
  };
  readonly #close: () => Promise<void>;

  private constructor(network: Network, host: Host, directory: string, close: () => Promise<void>) {
    this.network = network;
    this.host = host;
    this.directory = directory;
    this.#close = close;
  }

  static async open({
    network,
    name = 'web-1',
    directory = 'shop',
    ...options
  }: ShopOptions = {}): Promise<Shop> {
    const { dockerRoot, registry } = await openWarehouse();
    const own = network ?? (await openNetwork({ registry }));
    try {
      const host = await own.host(name, { dockerRoot, ...options });
      const shop = new Shop(own, host, join(host.home, directory), async () => {
        if (!network) await own.close();
      });
      await shop.layOut();
      return shop;
    } catch (error) {
      if (!network) await own.close();
      throw error;
    }
  }

  /** Puts Compose file, nginx files and .env into the project directory. `changes` edits the Compose file. */
  async layOut(changes: (composeFile: string) => string = (text) => text): Promise<void> {
    const text = await readFile(join(stack, 'compose.yaml'), 'utf8');
    const { host, directory } = this;
    await host.write(join(directory, 'compose.yaml'), changes(text));
    for (const file of ['nginx/default.conf', 'nginx/upstream.conf'])
      await host.write(join(directory, file), await readFile(join(stack, file)));
    await this.setEnvironment();
  }

  /** The host's .env, with its secrets and what is given. */
  async setEnvironment(more: Record<string, string> = {}): Promise<void> {
    const lines = Object.entries({ ...this.secrets, ...more }).map(([name, value]) => `${name}=${value}\n`);
    await this.host.write(join(this.directory, '.env'), lines.join(''), 0o600);
  }

  /** As its owner did before we came: `docker compose up` by hand, migrations and static files with it. */
  async start(tag = 'v1'): Promise<void> {
    await this.compose(tag, 'up', '-d', '--quiet-pull', '--wait');
    await this.compose(tag, 'exec', '-T', 'web', 'python3', 'manage.py', 'migrate');
    await this.compose(tag, 'exec', '-T', 'web', 'python3', 'manage.py', 'collectstatic');
  }

  /** Builds a version of the app on another host, as a CI machine does, and pushes it to the registry. */
  async push(tag: string, how: { sick?: string; ballast?: number }): Promise<void> {
    const { dockerRoot } = await openWarehouse();
    const builder = await this.network.host('builder', { dockerRoot, compose: 'none' });
    await buildApp(builder, tag, how);
    await builder.powerOff();
  }

  /** docker compose … by hand, in the project directory. */
  compose(tag: string, ...args: string[]): Promise<string> {
    return this.host.run('cd "$1"; TAG=$2; export TAG; shift 2; docker compose "$@"', {
      args: [this.directory, tag, ...args],
    });
  }

  /** A line or value from the database. */
  query(sql: string): Promise<string> {
    return this.compose('v1', 'exec', '-T', 'postgres', 'psql', '-qAt', '-c', sql);
  }

  /** The inputs of a deploy that would succeed, changed by what is given. */
  inputs(values: Record<string, string> = {}): Record<string, string> {
    return {
      host: this.host.address,
      username: this.host.user,
      'private-key': this.network.key.private,
      'known-hosts': this.host.knownHosts,
      'project-directory': this.directory,
      'health-url': 'http://localhost/health/',
      'health-json': 'database=true',
      'health-timeout': '2m',
      'stability-window': '2s',
      ...values,
    };
  }

  /** Runs the committed bundle of compose-deploy as the runner does. */
  deploy(values: Record<string, string> = {}, run: Partial<ActionRun> = {}): Promise<ActionResult> {
    return runAction({
      directory: action,
      inputs: this.inputs(values),
      secrets: { SSH_PRIVATE_KEY: this.network.key.private },
      ...run,
    });
  }

  /** The version that answers a user, or what went wrong. */
  async version(path = '/'): Promise<string> {
    const { version, problem } = await request(`http://${this.host.address}${path}`);
    return version ?? problem;
  }

  /** Users who ask all the time. */
  traffic(path = '/'): Traffic {
    return new Traffic(`http://${this.host.address}${path}`);
  }

  /** As if the last sign of life of every lock's owner were long ago; they are gone. */
  async ageLocks(): Promise<void> {
    await waitFor(
      `sshd of ${this.host.name} to end the sessions of the run that is gone`,
      () => !this.host.hasSession(),
    );
    await this.host.run(
      'for beat in "$1"/.lockkeeper/beat.*; do if [ -f "$beat" ]; then echo 1 >"$beat"; fi; done',
      {
        args: [this.directory],
      },
    );
  }

  /** As if we had never been to the host; what runs was started by its owner. */
  async forgetUs(): Promise<void> {
    await this.host.run('rm -rf "$1/.lockkeeper"', { args: [this.directory] });
    const app = ['web', 'worker', 'beat', 'nginx'];
    await this.compose('v1', 'up', '-d', '--wait', '--force-recreate', '--no-deps', ...app);
  }

  /** The versions of all the app's containers that run: web, worker and beat. */
  async runningVersions(): Promise<string[]> {
    const ids = await this.host.docker('ps', '-q', '--filter', 'label=com.docker.compose.project=shop');
    const lines = await this.host.docker(
      ...['inspect', '--format', '{{range .Config.Env}}{{println .}}{{end}}'],
      ...ids.split('\n'),
    );
    return [...new Set([...lines.matchAll(/^VERSION=(.*)$/gm)].map(([, version]) => version!))];
  }

  /** Names of all Compose projects on the host. */
  async projects(): Promise<string[]> {
    const names = await this.host.docker('ps', '-a', '--format', '{{.Label "com.docker.compose.project"}}');
    return [...new Set(names.split('\n').filter(Boolean))].sort();
  }

  /** Container ids by service. */
  async containers(): Promise<Record<string, string>> {
    const format = '{{.Label "com.docker.compose.service"}} {{.ID}}';
    const lines = await this.host.docker(
      ...['ps', '-a', '--no-trunc', '--filter', 'label=com.docker.compose.project=shop'],
      ...['--filter', 'label=com.docker.compose.oneoff=False', '--format', format],
    );
    return Object.fromEntries(lines.split('\n').map((line) => line.split(' ') as [string, string]));
  }

  async close(): Promise<void> {
    await this.#close();
  }
}

/** Opens the reference stack on a real host of its own. */
export function openShop(options?: ShopOptions): Promise<Shop> {
  return Shop.open(options);
}

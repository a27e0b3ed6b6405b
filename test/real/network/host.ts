import { spawn } from 'node:child_process';
import { chmod, chown, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask, type CommandAnswer, type CommandOptions, run } from './command.ts';
import { type ComposeChoice, findCompose, v1Home } from './compose-versions.ts';
import { Firewall } from './firewall.ts';
import { type KeyType, makeKey, type SshKey } from './keys.ts';
import { addressIn, bridgeOf, directoryOf, type Network, namespaceOf } from './network.ts';
import { processesOf, type RunningProcess } from './processes.ts';
import { names, registries, servicesAddress } from './services.ts';

export interface HostOptions {
  /** `stable` unless given. */
  compose?: ComposeChoice;
  /** A directory that dockerd's data root starts as, such as one with base images. It is copied. */
  dockerRoot?: string;
  /** Megabytes of a disk that can fill up, for images and homes; otherwise the machine's own disk. */
  disk?: number;
  /** `false`: the user may not use docker. */
  inDockerGroup?: boolean;
}

interface Place {
  network: Network;
  name: string;
  address: string;
}

const init = fileURLToPath(new URL('init.sh', import.meta.url));
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const keyTypes: KeyType[] = ['ed25519', 'ecdsa', 'rsa'];

/** The user that deploys. */
const user = { name: 'deploy', id: 1500 } as const;

/**
 * A real host on this machine: network, mount, process and host name spaces of its own, the machine's files
 * copy-on-write as its root, sshd, dockerd, and a user who may use docker.
 */
export class Host {
  readonly name: string;
  readonly address: string;
  readonly user = user.name;
  readonly home = `/home/${user.name}`;
  readonly firewall: Firewall;
  /** By type. */
  readonly keys: Record<KeyType, SshKey>;
  readonly #network: Network;
  readonly #disk: string;
  /** The first process, while the power is on. */
  #pid: number | undefined;
  /** Processes of sshd whose connections were silenced. */
  readonly #silenced = new Set<number>();

  private constructor({ network, name, address }: Place, keys: Record<KeyType, SshKey>) {
    this.#network = network;
    this.name = name;
    this.address = address;
    this.keys = keys;
    this.#disk = join(directoryOf(network.number), name);
    this.firewall = new Firewall((rules) => this.#inNetwork('nft', ['-f', '-'], { input: rules }));
  }

  static async open(place: Place, options: HostOptions): Promise<Host> {
    const made = await Promise.all(keyTypes.map((type) => makeKey(type)));
    const keys = Object.fromEntries(keyTypes.map((type, index) => [type, made[index]!]));
    const host = new Host(place, keys as Record<KeyType, SshKey>);
    await host.#makeDisk(options);
    await host.powerOn();
    await host.useCompose(options.compose ?? 'stable');
    return host;
  }

  /** known_hosts lines with all its keys. */
  get knownHosts(): string {
    return keyTypes.map((type) => `${this.address} ${this.keys[type].public}\n`).join('');
  }

  /** Where a path of the host lies for this process, while the power is on. */
  path(inside: string): string {
    if (!this.#pid) throw new Error(`${this.name} is off`);
    return join(`/proc/${this.#pid}/root`, inside);
  }

  /** The directory on this machine with all that the host ever wrote to its disk, but for Docker's own data. */
  get written(): string {
    return join(this.#disk, 'upper');
  }

  /** For DOCKER_HOST, from outside. */
  get dockerSocket(): string {
    return this.path('/run/docker.sock');
  }

  /** Runs a shell script on the host, as the user or root, without SSH. A non-zero exit is an answer. */
  ask(
    script: string,
    { as = user.name, args = [], ...options }: As & CommandOptions = {},
  ): Promise<CommandAnswer> {
    const identity =
      as === 'root' ? [] : ['setpriv', '--reuid', user.name, '--regid', user.name, '--init-groups'];
    const home = as === 'root' ? '/root' : this.home;
    return ask(
      'nsenter',
      [
        ...['-t', String(this.#pid), '-m', '-n', '-p', '-u', '-i', '--'],
        ...['env', '-i', `PATH=${path}`, `HOME=${home}`, `USER=${as}`, 'LANG=C.UTF-8', ...identity],
        ...['sh', '-euc', `cd; ${script}`, 'sh', ...args],
      ],
      options,
    );
  }

  /** The same for a script that must succeed; answers its output. */
  async run(script: string, options?: As & CommandOptions): Promise<string> {
    const { code, stdout, stderr } = await this.ask(script, options);
    if (code !== 0)
      throw new Error(`${this.name}: ${script}: ended with ${code}: ${(stderr || stdout).trim()}`);
    return stdout.trimEnd();
  }

  docker(...args: string[]): Promise<string> {
    return this.run('docker "$@"', { args });
  }

  /** Writes a file of the user's, whole at once; a relative path begins at home. */
  async write(file: string, content: string | Buffer, mode = 0o644): Promise<void> {
    const target = this.path(this.#absolute(file));
    await this.run('mkdir -p "$1"', { args: [dirname(this.#absolute(file))] });
    await writeFile(`${target}.part`, content, { mode });
    await chmod(`${target}.part`, mode);
    await chown(`${target}.part`, user.id, user.id);
    await run('mv', ['-f', `${target}.part`, target]);
  }

  read(file: string): Promise<string> {
    return readFile(this.path(this.#absolute(file)), 'utf8');
  }

  #absolute(file: string): string {
    return file.startsWith('/') ? file : join(this.home, file);
  }

  /** All processes of the host, those in its containers included. */
  processes(): RunningProcess[] {
    return processesOf(this.#pid!);
  }

  /** Which Compose it has from now on. */
  async useCompose(choice: ComposeChoice): Promise<void> {
    const plugins = '/usr/libexec/docker/cli-plugins';
    // The machine may bring its own docker and Compose: a host has Debian's.
    const others =
      '/usr/local/bin/docker /usr/local/bin/docker-compose /usr/local/lib/docker /usr/lib/docker/cli-plugins /usr/local/libexec/docker /usr/bin/docker-compose';
    await this.run(`rm -rf ${others} ${plugins} ${v1Home}; mkdir -p ${plugins} /usr/local/bin`, {
      as: 'root',
    });
    if (choice === 'none') return;
    const { path: from } = await findCompose(choice);
    if (choice !== 'v1') return cp(from, this.path(`${plugins}/docker-compose`));
    await cp(from, this.path(v1Home), { recursive: true, verbatimSymlinks: true });
    await this.run(`ln -s ${v1Home}/docker-compose /usr/bin/docker-compose`, { as: 'root' });
  }

  #sshdProcesses(): RunningProcess[] {
    return this.processes().filter(({ command }) => command.startsWith('sshd: '));
  }

  /** Whether a client that can still be heard is logged in. sshd keeps those that were silenced, for hours. */
  hasSession(): boolean {
    return this.#sshdProcesses().some(
      ({ pid, command }) => command.startsWith(`sshd: ${user.name}`) && !this.#silenced.has(pid),
    );
  }

  /** Cuts all SSH connections that are open now: with a TCP reset, or so that nothing arrives any more. New ones are let in. */
  async cut(how: 'reset' | 'silence'): Promise<void> {
    const open = await this.#inNetwork('ss', ['-Htn', 'state', 'established', 'sport', '=', ':22']);
    const peers = open.split('\n').flatMap((line) => {
      const [, address, port] = /\s(?:\[::ffff:)?([\d.]+)\]?:(\d+)\s*$/.exec(line.trimEnd()) ?? [];
      return address && port ? [{ address, port }] : [];
    });
    if (how === 'silence') {
      for (const { pid } of this.#sshdProcesses()) this.#silenced.add(pid);
      return this.firewall.silence(peers);
    }
    await this.#inNetwork('ss', ['-K', 'state', 'established', 'sport', '=', ':22']);
  }

  /** As a package upgrade does: `kept` leaves the sessions alone, `ended` takes them with it. */
  async restartSshd(sessions: 'kept' | 'ended' = 'kept'): Promise<void> {
    const all = this.#sshdProcesses();
    await this.run('kill "$(cat /run/sshd.pid)"', { as: 'root' });
    if (sessions === 'ended') for (const { pid } of all) signal(pid, 'SIGTERM');
    // sshd binds its port after it has said that it started: where the old one still listens, the new one would end unseen.
    await this.run(
      'until [ -z "$(ss -Hltn "sport = :22")" ]; do sleep 0.05; done; /usr/sbin/sshd -E /var/log/sshd.log',
      { as: 'root' },
    );
    await this.#untilReady();
  }

  get #cable(): string {
    return `${bridgeOf(this.#network.number)}v${this.address.split('.').at(-1)}`;
  }

  /** Its disk stays; whatever else it was is gone, and connections to it just hear nothing any more. */
  async powerOff(): Promise<void> {
    if (!this.#pid) return;
    const namespace = namespaceOf(this.#network.number, this.name);
    await run('ip', ['link', 'del', this.#cable]);
    this.#pid = undefined;
    for (;;) {
      const pids = (await run('ip', ['netns', 'pids', namespace])).split('\n').filter(Boolean);
      if (pids.length === 0) break;
      for (const pid of pids) signal(Number(pid), 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await run('ip', ['netns', 'del', namespace]);
  }

  /** Boots it from its disk. */
  async powerOn(): Promise<void> {
    const { number } = this.#network;
    const namespace = namespaceOf(number, this.name);
    const cable = this.#cable;
    await run('ip', ['netns', 'add', namespace]);
    await run('ip', ['link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
    await run('ip', ['link', 'set', cable, 'master', bridgeOf(number), 'up']);
    await this.#inNetwork('sh', [
      '-ec',
      'ip link set lo up; ip link set eth0 address "$3" up; ip addr add "$1/24" dev eth0; ip route add default via "$2"',
      'sh',
      this.address,
      addressIn(number, 1),
      // The same after a boot: its neighbours remember it.
      `02:00:00:00:00:${Number(this.address.split('.').at(-1)).toString(16).padStart(2, '0')}`,
    ]);
    await this.firewall.restore();
    const log = join(this.#disk, 'boot.log');
    const child = spawn(
      'sh',
      [
        '-c',
        'exec >>"$1" 2>&1; shift; exec "$@"',
        'sh',
        log,
        ...['nsenter', `--net=/run/netns/${namespace}`],
        ...[
          'unshare',
          '--mount',
          '--pid',
          '--uts',
          '--ipc',
          '--fork',
          '--kill-child',
          '--propagation',
          'private',
        ],
        ...[
          'sh',
          init,
          this.#disk,
          this.name,
          `lockkeeper-${number}-${this.name}`,
          ...Object.values(registries),
        ],
      ],
      { env: { PATH: path, HOME: '/root', LANG: 'C.UTF-8' }, stdio: 'ignore', detached: true },
    );
    child.unref();
    await this.#untilReady(child.pid!, log);
  }

  async reboot(): Promise<void> {
    await this.powerOff();
    await this.powerOn();
  }

  /** Writes until the disk is full but for `leave` KB. */
  async fillDisk(leave = 0): Promise<void> {
    const free = Number(
      await this.run('df -Pk /var/lib/docker | tail -n 1 | { read -r _ _ _ free _; echo "$free"; }'),
    );
    await this.run(`fallocate -l ${Math.max(1, free - leave)}K /var/lib/docker/ballast`, { as: 'root' });
  }

  async freeDisk(): Promise<void> {
    await this.run('rm -f /var/lib/docker/ballast', { as: 'root' });
  }

  /** Waits until sshd and dockerd answer. */
  async #untilReady(unshare?: number, log?: string): Promise<void> {
    const end = performance.now() + 60_000;
    for (;;) {
      if (unshare && !this.#pid) this.#pid = await onlyChild(unshare);
      if (this.#pid && (await canConnect(this.address)) && (await answers(this.dockerSocket))) return;
      if (performance.now() > end || (unshare && !(await isAlive(unshare)))) {
        const boot = log ? await readFile(log, 'utf8').catch(() => '') : '';
        const docker = this.#pid
          ? await readFile(this.path('/var/log/dockerd.log'), 'utf8').catch(() => '')
          : '';
        throw new Error(`${this.name} did not come up:\n${boot}\n${docker.slice(-2000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #inNetwork(program: string, args: readonly string[], options?: CommandOptions): Promise<string> {
    const namespace = namespaceOf(this.#network.number, this.name);
    return run('nsenter', [`--net=/run/netns/${namespace}`, program, ...args], options);
  }

  /** What the host has of its own before it first boots: users, names, keys, the daemon's data. */
  async #makeDisk({ dockerRoot, disk, inDockerGroup = true }: HostOptions): Promise<void> {
    const upper = join(this.#disk, 'upper');
    for (const directory of ['upper/etc/ssh', 'work', 'root', 'docker', `upper${this.home}/.ssh`])
      await mkdir(join(this.#disk, directory), { recursive: true });
    const etc = (file: string, content: string, mode = 0o644) =>
      writeFile(join(upper, 'etc', file), content, { mode });
    const others = async (file: string) =>
      (await readFile(`/etc/${file}`, 'utf8').catch(() => ''))
        .split('\n')
        .filter(
          (line) =>
            line && !line.startsWith(`${user.name}:`) && !line.split(':')[2]?.startsWith(String(user.id)),
        );
    const members = inDockerGroup ? user.name : '';
    await etc(
      'passwd',
      [...(await others('passwd')), `${user.name}:x:${user.id}:${user.id}::${this.home}:/bin/sh`, ''].join(
        '\n',
      ),
    );
    await etc(
      'group',
      [
        ...(await others('group')).filter((line) => !line.startsWith('docker:')),
        `docker:x:1501:${members}`,
        `${user.name}:x:${user.id}:`,
        '',
      ].join('\n'),
    );
    await etc(
      'shadow',
      [...(await others('shadow')), `${user.name}:*:20000:0:99999:7:::`, ''].join('\n'),
      0o640,
    );
    await etc('hostname', `${this.name}\n`);
    const hosts = Object.values(names).map((name) => `${servicesAddress(this.#network.number)} ${name}`);
    await etc('hosts', ['127.0.0.1 localhost', `${this.address} ${this.name}`, ...hosts, ''].join('\n'));
    await etc('resolv.conf', '');
    await etc('ssh/sshd_config', sshdConfig);
    for (const type of keyTypes) {
      await etc(`ssh/ssh_host_${type}_key`, this.keys[type].private, 0o600);
      await etc(`ssh/ssh_host_${type}_key.pub`, `${this.keys[type].public}\n`);
    }
    const authorized = join(upper, this.home, '.ssh/authorized_keys');
    await writeFile(authorized, `${this.#network.key.public}\n`, { mode: 0o600 });
    await chmod(join(upper, this.home, '.ssh'), 0o700);
    await run('chown', ['-R', `${user.id}:${user.id}`, join(upper, this.home)]);
    if (disk) await this.#makeSmallDisk(disk, dockerRoot);
    else if (dockerRoot) await copyTree(dockerRoot, join(this.#disk, 'docker'));
  }

  async #makeSmallDisk(megabytes: number, dockerRoot: string | undefined): Promise<void> {
    const image = join(this.#disk, 'small.ext4');
    const seed = join(this.#disk, 'seed');
    await mkdir(join(seed, 'docker'), { recursive: true });
    if (dockerRoot) await run('cp', ['-a', `${dockerRoot}/.`, join(seed, 'docker')]);
    await run('cp', ['-a', join(this.#disk, 'upper/home'), join(seed, 'home')]);
    await run('truncate', ['-s', `${megabytes}M`, image]);
    await run('mkfs.ext4', ['-q', '-m', '0', '-E', 'lazy_itable_init=1', '-d', seed, image]);
    await rm(seed, { recursive: true });
  }
}

interface As {
  /** The deploying user unless given. */
  as?: 'root' | 'deploy';
  /** `$1`, `$2`, … */
  args?: string[];
}

const sshdConfig = `Port 22
AddressFamily inet
${keyTypes.map((type) => `HostKey /etc/ssh/ssh_host_${type}_key`).join('\n')}
PidFile /run/sshd.pid
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AuthorizedKeysFile .ssh/authorized_keys
Subsystem sftp /usr/lib/openssh/sftp-server
`;

/** A docker data root for one more daemon: layers are never written to, so they are shared; databases are copied. */
async function copyTree(from: string, to: string): Promise<void> {
  await run('sh', [
    '-ec',
    'cd "$1"; mkdir -p "$2"; for name in *; do if [ "$name" = overlay2 ]; then cp -al "$name" "$2"; else cp -a "$name" "$2"; fi; done',
    'sh',
    from,
    to,
  ]);
}

async function onlyChild(pid: number): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return Number(children.trim().split(' ')[0]) || undefined;
}

function isAlive(pid: number): Promise<boolean> {
  return stat(`/proc/${pid}`).then(
    () => true,
    () => false,
  );
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function canConnect(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 1_000 });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping', timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.once('error', () => resolve(false));
    asked.once('timeout', () => asked.destroy());
    asked.end();
  });
}

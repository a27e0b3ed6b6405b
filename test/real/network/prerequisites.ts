import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ask, run } from './command.ts';

/** What the real tier runs, and the Debian package that brings it. The one list. */
const programs: Record<string, string> = {
  dockerd: 'docker.io',
  docker: 'docker.io',
  tini: 'tini',
  iptables: 'iptables',
  sshd: 'openssh-server',
  'ssh-keygen': 'openssh-client',
  nft: 'nftables',
  'docker-registry': 'docker-registry',
  htpasswd: 'apache2-utils',
  git: 'git',
  ip: 'iproute2',
  nsenter: 'util-linux',
  'mkfs.ext4': 'e2fsprogs',
  'dpkg-deb': 'dpkg',
};

/**
 * Makes sure that this machine can be several hosts; installs Debian packages that are missing. Answers why it
 * cannot be, or undefined.
 */
export async function prepareMachine(): Promise<string | undefined> {
  const unfit = whyUnfit();
  if (unfit) return unfit;
  const missing = [
    ...new Set(
      Object.keys(programs)
        .filter((name) => !find(name))
        .map((name) => programs[name]!),
    ),
  ];
  if (missing.length === 0) return undefined;
  console.error(`installing ${missing.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = () => ask('apt-get', ['install', '-y', '--no-install-recommends', ...missing], { env });
  let answer = await install();
  if (answer.code !== 0) {
    await ask('apt-get', ['update'], { env });
    answer = await install();
  }
  const still = Object.keys(programs).filter((name) => !find(name));
  return still.length === 0
    ? undefined
    : `${still.join(', ')} missing, and apt-get install ${missing.join(' ')} failed: ${answer.stderr.trim().split('\n').at(-1)}`;
}

function whyUnfit(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'network namespaces and dockerd need root';
  if (!existsSync('/usr/bin/apt-get'))
    return 'the hosts are made from Debian packages, and there is no apt-get';
  const release = readFileSync('/etc/os-release', 'utf8');
  if (!/^ID=debian$/m.test(release)) return 'the hosts are made from Debian packages, and this is not Debian';
  return undefined;
}

const places = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

function find(program: string): string | undefined {
  return [...places, ...(process.env.PATH ?? '').split(delimiter)]
    .map((place) => join(place, program))
    .find((path) => existsSync(path));
}

/** The machine's release of Debian, such as `bookworm`. */
export async function codename(): Promise<string> {
  return run('sh', ['-c', '. /etc/os-release && echo "$VERSION_CODENAME"']);
}

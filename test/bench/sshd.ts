import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair } from '@lockkeeper/lab';

/** OpenSSH's server on loopback, with a configuration, a host key and a port of its own. */
export interface Sshd {
  port: number;
  user: string;
  privateKey: string;
  keyFile: string;
  /** A line of known_hosts, and a file of it. */
  knownHosts: string;
  knownHostsFile: string;
  close(): Promise<void>;
}

const program = ['/usr/sbin/sshd', '/usr/local/sbin/sshd'].find((path) => existsSync(path));

/** Opens one for the user who runs this; answers the reason where it cannot be. */
export async function openSshd(): Promise<Sshd | string> {
  if (!program) return 'there is no sshd (Debian: openssh-server)';
  const directory = mkdtempSync(join(tmpdir(), 'lockkeeper-sshd-'));
  // Where root starts it, it wants an empty directory to lock its unprivileged part into.
  const prison = '/run/sshd';
  const made = process.getuid?.() === 0 && !existsSync(prison);
  if (made) mkdirSync(prison, { mode: 0o755 });
  let child: ChildProcess | undefined;
  const endWithUs = () => void child?.kill();
  const close = async () => {
    process.removeListener('exit', endWithUs);
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child!.once('exit', resolve));
      child.kill();
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
    if (made) rmdirSync(prison);
  };
  try {
    const file = (name: string, content: string) => {
      const path = join(directory, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    const [host, user] = [generateKeyPair(), generateKeyPair()];
    const keyFile = file('key', user.private);
    const port = await freePort();
    const knownHosts = `[127.0.0.1]:${port} ${host.public.split(' ').slice(0, 2).join(' ')}\n`;
    const configuration = file(
      'config',
      [
        `Port ${port}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${file('host-key', host.private)}`,
        `AuthorizedKeysFile ${file('authorized-keys', `${user.public}\n`)}`,
        'PidFile none',
        'StrictModes no',
        'UsePAM no',
        'UseDNS no',
        'PasswordAuthentication no',
        'PermitRootLogin prohibit-password',
        '',
      ].join('\n'),
    );
    let said = '';
    child = spawn(program, ['-D', '-e', '-f', configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
    // Where this process is ended before its time, the server ends with it.
    process.once('exit', endWithUs);
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    while (!(await answers(port))) {
      if (child.exitCode !== null) {
        await close();
        return `sshd does not start here: ${said.trim()}`;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return {
      port,
      user: userInfo().username,
      privateKey: user.private,
      keyFile,
      knownHosts,
      knownHostsFile: file('known-hosts', knownHosts),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

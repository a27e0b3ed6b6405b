import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { Engine } from './engine.ts';
import { generateKeyPair } from './key-pair.ts';
import { SshServer } from './ssh-server.ts';

export interface HostSettings {
  name: string;
  /** Its own loopback address, 127.77.0.n; its containers get 127.78.n.c. */
  address: string;
  /** 0: any free one, kept from then on. */
  sshPort: number;
  user: { name: string /** authorized_keys line. */; publicKey: string };
  /** Everything of this host lies here; removed at the end. */
  directory: string;
  /** host:port of the registry that answers for images of every name. */
  registry: { url: string };
  /** The address the world sees a caller under, from the one its socket shows. */
  sourceOf: (remoteAddress: string) => string;
  /** Whether the host's security groups let this source reach SSH. */
  allows: (source: string) => boolean;
  /** Socket addresses from which somebody may call, asked about when deciding whether to listen. */
  callers?: string[];
  /** Where a tunnel may lead beyond the host itself (a bastion); by default nowhere. */
  reaches?: (host: string, port: number) => { host: string; port: number } | undefined;
  /** OpenSSH private key of the host; made anew without. */
  hostKey?: string;
  /** Node 24 for containers and the docker command. */
  node?: string;
}

export interface Host {
  readonly name: string;
  readonly address: string;
  readonly sshPort: number;
  readonly hostKey: {
    /** As `ssh-keygen -l` prints it: `SHA256:…`. */
    fingerprint: string;
    /** A line for known_hosts, with `[address]:port` where the port is not 22. */
    knownHostsLine: string;
  };
  /** The user's home directory. */
  readonly home: string;
  readonly engine: Engine;
  /** Authenticated SSH connections open now. */
  readonly sessions: number;
  /** Whether the SSH port listens. */
  readonly reachable: boolean;
  /** Listens only while somebody is let in; open sessions live on, as EC2's connection tracking has it. */
  updateAccess(): Promise<void>;
  dropConnections(how: 'reset' | 'silent'): void;
  /** Everything that listens on the host's address now. */
  openPorts(): Array<{ port: number; what: string }>;
  /** Ends every process, forwarder and connection, and removes the host's directory. */
  close(): Promise<void>;
}

/** A host of the lab: SSH on its own loopback address, real shell commands, and a small engine behind `docker`. */
export async function openHost(settings: HostSettings): Promise<Host> {
  const { name, address, user, directory } = settings;
  if (!/^127\.77\.0\.\d{1,3}$/.test(address)) {
    throw new Error(
      `host ${name}: address "${address}" is not one of the lab's; expected 127.77.0.1 to 127.77.0.254`,
    );
  }
  const number = address.split('.')[3]!;
  await checkAddresses([address, `127.78.${number}.1`, `127.78.${number}.2`, `127.79.${number}.1`]);
  const home = join(directory, 'home');
  await mkdir(home, { recursive: true });
  const hostKey = settings.hostKey ?? generateKeyPair().private;
  const parsed = ssh2.utils.parseKey(hostKey);
  if (parsed instanceof Error) throw parsed;
  const blob = (Array.isArray(parsed) ? parsed[0]! : parsed).getPublicSSH();

  // Whatever a session leaves behind in its own process group is still recognised by this.
  const marker = { LAB_HOST_MARK: randomUUID() };
  const engine = new Engine({
    name,
    address,
    directory,
    registry: settings.registry.url,
    node: settings.node ?? process.execPath,
    marker,
  });
  const ssh = new SshServer({
    address,
    port: settings.sshPort,
    hostKey,
    user,
    home,
    mayConnect: (remote) => settings.allows(settings.sourceOf(remote)),
    environment: {
      HOME: home,
      USER: user.name,
      LOGNAME: user.name,
      SHELL: '/bin/sh',
      PATH: `${engine.binDirectory}:/usr/bin:/bin`,
      LAB_ENGINE_SOCKET: engine.socketPath,
      ...marker,
    },
    tunnelTo: (host, port) => {
      if (['localhost', '127.0.0.1', '::1', '0.0.0.0', address, name].includes(host)) {
        return engine.published(port) ?? { host: address, port };
      }
      const container = engine.all().find(({ spec }) => spec.address === host);
      return container ? { host, port } : settings.reaches?.(host, port);
    },
  });
  const dismiss = standGuard(marker.LAB_HOST_MARK, directory);
  try {
    await engine.open();
    // The port is fixed before anybody is let in, so that it can be told.
    if (settings.sshPort === 0) {
      await ssh.listen(true);
      await ssh.listen(false);
    }
  } catch (error) {
    await ssh.close();
    await engine.close();
    await dismiss();
    throw error;
  }

  const callers = settings.callers ?? ['127.0.0.1'];
  const updateAccess = () => ssh.listen(callers.some((caller) => settings.allows(settings.sourceOf(caller))));
  await updateAccess();
  let closing: Promise<void> | undefined;

  return {
    name,
    address,
    get sshPort() {
      return ssh.port;
    },
    hostKey: {
      fingerprint: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`,
      get knownHostsLine() {
        const where = ssh.port === 22 ? address : `[${address}]:${ssh.port}`;
        return `${where} ssh-ed25519 ${blob.toString('base64')}`;
      },
    },
    home,
    engine,
    get sessions() {
      return ssh.sessions;
    },
    get reachable() {
      return ssh.listening;
    },
    updateAccess,
    dropConnections: (how) => ssh.drop(how),
    openPorts() {
      const published = engine
        .containers()
        .flatMap((container) => container.ports.map(({ port }) => ({ port, what: container.name })));
      return [...(ssh.listening ? [{ port: ssh.port, what: 'ssh' }] : []), ...published];
    },
    close() {
      closing ??= (async () => {
        await ssh.close();
        await engine.close();
        await killMarked(marker.LAB_HOST_MARK);
        await dismiss();
        await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      })();
      return closing;
    },
  };
}

/** Linux answers on all of 127.0.0.0/8; elsewhere every address must be added to the loopback device first. */
async function checkAddresses(addresses: string[]): Promise<void> {
  const missing: string[] = [];
  for (const address of addresses) {
    const server = createServer();
    const usable = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ host: address, port: 0 }, () => server.close(() => resolve(true)));
    });
    if (!usable) missing.push(address);
  }
  if (missing.length === 0) return;
  const commands = missing.map((address) => `sudo ifconfig lo0 alias ${address} up`).join(' && ');
  throw new Error(
    `The lab's hosts need loopback addresses that this computer does not have: ${missing.join(', ')}. Add them with: ${commands}`,
  );
}

/**
 * A process of its own that outlives ours, however we end, and then ends what the host left running: a lab that is
 * killed leaves no containers behind. It waits for the end of its standard input. Answers how to send it away.
 */
function standGuard(mark: string, directory: string): () => Promise<void> {
  if (process.platform !== 'linux') return async () => {};
  const script = `cat
for file in $(grep -laF "LAB_HOST_MARK=$1" /proc/[0-9]*/environ 2>/dev/null); do
  process=\${file#/proc/}
  kill -9 "\${process%/environ}"
done
rm -rf "$2"`;
  const guard = spawn('/bin/sh', ['-c', script, 'lab-guard', mark, directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
    detached: true,
  });
  guard.unref();
  const ended = new Promise<void>((resolve) => guard.once('close', () => resolve()));
  return async () => {
    guard.stdin.end();
    await ended;
  };
}

/** Ends processes that left their session's group (setsid, nohup … &): known by a mark in their environment. */
async function killMarked(mark: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const wanted = `LAB_HOST_MARK=${mark}`;
  for (let round = 0; round < 5; round++) {
    let found = 0;
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
      try {
        if (!readFileSync(`/proc/${entry}/environ`, 'latin1').split('\0').includes(wanted)) continue;
        process.kill(Number(entry), 'SIGKILL');
        found += 1;
      } catch {
        // Gone meanwhile, or somebody else's process.
      }
    }
    if (found === 0) return;
    await new Promise((done) => setTimeout(done, 20));
  }
}

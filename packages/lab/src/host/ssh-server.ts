import { type ChildProcess, spawn } from 'node:child_process';
import { timingSafeEqual } from 'node:crypto';
import { createServer, connect as dial, type Server as NetServer, type Socket } from 'node:net';
import ssh2, { type Connection, type ParsedKey, type ServerChannel } from 'ssh2';
import { killGroup } from './container.ts';

export interface SshServerSettings {
  address: string;
  port: number;
  /** OpenSSH private key that the server shows itself with. */
  hostKey: string;
  user: { name: string; publicKey: string };
  /** Who may connect, judged by the address of the socket's other end. */
  mayConnect: (remoteAddress: string) => boolean;
  /** Environment and directory of the commands it runs. */
  environment: Record<string, string>;
  home: string;
  /** Where a tunnel to host:port of this machine leads; undefined = refused. */
  tunnelTo: (host: string, port: number) => { host: string; port: number } | undefined;
}

/** An SSH server that can stop listening and listen again while sessions that are open live on. */
export class SshServer {
  readonly #settings: SshServerSettings;
  readonly #server: InstanceType<typeof ssh2.Server>;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<Connection>();
  readonly #children = new Set<ChildProcess>();
  readonly #tunnels = new Set<Socket>();
  readonly #allowed: ParsedKey;
  #listener: NetServer | undefined;
  #work: Promise<void> = Promise.resolve();
  #port: number;

  constructor(settings: SshServerSettings) {
    this.#settings = settings;
    this.#port = settings.port;
    const allowed = ssh2.utils.parseKey(settings.user.publicKey);
    if (allowed instanceof Error) {
      throw new Error(
        `public key of ${settings.user.name} is none: ${allowed.message}; expected an authorized_keys line`,
      );
    }
    this.#allowed = Array.isArray(allowed) ? allowed[0]! : allowed;
    this.#server = new ssh2.Server({ hostKeys: [settings.hostKey] }, (connection) => this.#serve(connection));
  }

  get port(): number {
    return this.#port;
  }

  get listening(): boolean {
    return this.#listener !== undefined;
  }

  /** Connections that have proven who they are. */
  get sessions(): number {
    return this.#connections.size;
  }

  /** Opens or closes the port; what is connected stays connected. */
  listen(on: boolean): Promise<void> {
    this.#work = this.#work
      .catch(() => {})
      .then(async () => {
        if (on === this.listening) return;
        if (!on) {
          const listener = this.#listener!;
          this.#listener = undefined;
          // Resolves only when every connection is gone, which may be never: the port itself closes at once.
          listener.close();
          return;
        }
        const listener = createServer({ noDelay: true }, (socket) => this.#accept(socket));
        await new Promise<void>((resolve, reject) => {
          listener.once('error', reject);
          listener.listen({ host: this.#settings.address, port: this.#port }, resolve);
        });
        const address = listener.address();
        if (typeof address === 'object' && address) this.#port = address.port;
        this.#listener = listener;
      });
    return this.#work;
  }

  #accept(socket: Socket): void {
    // A rule can be revoked between two connections, and another caller is not the one it was opened for.
    if (!this.listening || !this.#settings.mayConnect(socket.remoteAddress ?? '')) {
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    this.#server.injectSocket(socket);
  }

  #serve(connection: Connection): void {
    const { user } = this.#settings;
    const key = this.#allowed;
    connection.on('error', () => {});
    connection.on('close', () => this.#connections.delete(connection));
    connection.on('authentication', (context) => {
      if (context.method !== 'publickey' || context.username !== user.name)
        return context.reject(['publickey']);
      const wanted = key.getPublicSSH();
      const offered = context.key.data;
      if (offered.length !== wanted.length || !timingSafeEqual(offered, wanted))
        return context.reject(['publickey']);
      // Without a signature the client only asks whether this key would do.
      if (!context.signature || !context.blob) return context.accept();
      if (key.verify(context.blob, context.signature, context.hashAlgo) === true) return context.accept();
      context.reject(['publickey']);
    });
    connection.on('ready', () => {
      this.#connections.add(connection);
      connection.on('session', (accept) => {
        const session = accept();
        const environment: Record<string, string> = {};
        session.on('env', (acceptEnv, _reject, info) => {
          // As sshd's default AcceptEnv on Debian.
          if (/^(LANG|LC_\w+)$/.test(info.key)) environment[info.key] = info.val;
          acceptEnv?.();
        });
        session.on('exec', (acceptExec, _reject, { command }) => {
          const child = this.#execute(acceptExec(), command, environment);
          session.on('signal', (acceptSignal, _rejectSignal, { name }) => {
            if (child.exitCode === null && child.signalCode === null) {
              killGroup(child.pid, `SIG${name.replace(/^SIG/, '')}` as NodeJS.Signals);
            }
            acceptSignal?.();
          });
        });
      });
      connection.on('tcpip', (accept, reject, { destIP, destPort }) => {
        const to = this.#settings.tunnelTo(destIP, destPort);
        if (!to) return reject();
        const upstream = dial({
          ...to,
          noDelay: true,
          localAddress: this.#settings.address,
          allowHalfOpen: true,
        });
        this.#tunnels.add(upstream);
        const refused = () => reject();
        upstream.once('error', refused);
        upstream.once('close', () => this.#tunnels.delete(upstream));
        upstream.once('connect', () => {
          upstream.off('error', refused);
          const channel = accept();
          const end = () => {
            upstream.destroy();
            channel.close();
          };
          upstream.on('error', end);
          channel.on('error', end);
          channel.on('close', () => upstream.destroy());
          upstream.on('close', () => channel.close());
          upstream.pipe(channel);
          channel.pipe(upstream);
        });
      });
    });
  }

  #execute(channel: ServerChannel, command: string, extra: Record<string, string>): ChildProcess {
    const child = spawn('/bin/sh', ['-c', command], {
      cwd: this.#settings.home,
      env: { ...extra, ...this.#settings.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#children.add(child);
    let open = true;
    channel.on('error', () => {});
    child.stdin.on('error', () => {});
    channel.pipe(child.stdin);
    child.stdout.pipe(channel, { end: false });
    child.stderr.pipe(channel.stderr, { end: false });
    channel.on('close', () => {
      open = false;
      // As sshd does: the command is not killed; it loses its pipes.
      child.stdin.destroy();
      child.stdout.destroy();
      child.stderr.destroy();
    });
    let status: { code: number | null; signal: NodeJS.Signals | null } | undefined;
    child.once('exit', (code, signal) => {
      status = { code, signal };
    });
    child.once('error', () => {
      if (!open) return;
      open = false;
      channel.exit(126);
      channel.end();
    });
    // 'close' comes when the last holder of the pipes is gone: a command left in the background keeps the channel, as with sshd.
    child.once('close', () => {
      this.#children.delete(child);
      if (!open) return;
      if (status?.signal) channel.exit(status.signal.replace(/^SIG/, '') as 'TERM', false, '');
      else channel.exit(status?.code ?? 255);
      channel.end();
    });
    return child;
  }

  /** `reset`: every connection gets a TCP reset. `silent`: nothing is read or answered any more, as behind a dead link. */
  drop(how: 'reset' | 'silent'): void {
    for (const socket of this.#sockets) {
      if (how === 'reset') socket.resetAndDestroy();
      else {
        socket.removeAllListeners('data');
        socket.removeAllListeners('end');
        socket.pause();
        socket.write = () => true;
      }
    }
  }

  async close(): Promise<void> {
    await this.listen(false);
    for (const socket of this.#tunnels) socket.destroy();
    for (const socket of this.#sockets) socket.destroy();
    const ended = [...this.#children].map((child) => {
      const gone = new Promise<void>((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) resolve();
        else child.once('exit', () => resolve());
      });
      killGroup(child.pid, 'SIGKILL');
      child.stdout?.destroy();
      child.stderr?.destroy();
      return gone;
    });
    await Promise.all(ended);
  }
}

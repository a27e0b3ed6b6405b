import { spawn } from 'node:child_process';
import { type Socket, type Server as TcpServer, connect as tcpConnect } from 'node:net';
import { generateKeyPair } from '@lockkeeper/lab';
import ssh2 from 'ssh2';

export interface KeyPair {
  public: string;
  private: string;
}

export interface TestServer {
  port: number;
  /** Public host keys, as known_hosts has them: `type base64`. */
  hostKeys: string[];
  /** The first of its host keys, to open the same server again. */
  pair: KeyPair;
  connections: number;
  /** Closes the channels of commands without their exit code, from now on. */
  withholdExit: boolean;
  /** Cuts every connection, without a word. */
  cut(): void;
  /** Neither reads nor answers any more, as behind a dead link. */
  fallSilent(): void;
  close(): Promise<void>;
}

/** As sshd has it: so many commands at once in one connection. */
const maxSessions = 10;

/** An SSH server on loopback that runs commands with sh and passes tunnels on. One user's key is let in. */
export async function openServer(
  userKey: string,
  kinds: Array<'ed25519' | 'rsa' | KeyPair> = ['ed25519'],
  port = 0,
): Promise<TestServer> {
  const pairs = kinds.map((kind) =>
    typeof kind === 'object'
      ? kind
      : kind === 'rsa'
        ? ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 })
        : generateKeyPair(),
  );
  const allowed = ssh2.utils.parseKey(userKey);
  if (allowed instanceof Error) throw allowed;
  const key = Array.isArray(allowed) ? allowed[0]! : allowed;
  const sockets = new Set<Socket>();
  const children = new Set<ReturnType<typeof spawn>>();
  const server = new ssh2.Server({ hostKeys: pairs.map((pair) => pair.private) }, (client) => {
    opened.connections++;
    (client as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true);
    const socket = (client as unknown as { _sock: Socket })._sock;
    let sessions = 0;
    sockets.add(socket);
    client.on('error', () => {});
    client.on('close', () => sockets.delete(socket));
    client.on('authentication', (context) => {
      if (context.method !== 'publickey') return context.reject(['publickey']);
      const known = context.key.data.equals(key.getPublicSSH());
      const proven =
        !context.signature || key.verify(context.blob!, context.signature, context.hashAlgo) === true;
      if (known && proven) context.accept();
      else context.reject();
    });
    client.on('session', (accept, reject) => {
      if (sessions === maxSessions) return reject();
      sessions++;
      const session = accept();
      session.on('exec', (acceptExec, _reject, { command }) => {
        const channel = acceptExec();
        const child = spawn('/bin/sh', ['-c', command], { detached: true });
        children.add(child);
        session.on('signal', (_accept, _reject, { name }) => {
          process.kill(-child.pid!, `SIG${name}`);
        });
        child.stdout.pipe(channel, { end: false });
        child.stderr.pipe(channel.stderr, { end: false });
        channel.pipe(child.stdin);
        child.stdin.on('error', () => {});
        child.on('close', (code) => {
          children.delete(child);
          sessions--;
          if (!opened.withholdExit) channel.exit(code ?? 1);
          channel.end();
        });
      });
    });
    client.on('tcpip', (accept, _reject, { destIP, destPort }) => {
      const target = tcpConnect(destPort, destIP, () => {
        const channel = accept();
        channel.pipe(target).pipe(channel);
      });
      target.on('error', () => {});
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  let closed = false;
  const opened: TestServer = {
    port: (server.address() as { port: number }).port,
    hostKeys: pairs.map((pair) => pair.public.split(' ').slice(0, 2).join(' ')),
    pair: pairs[0]!,
    connections: 0,
    withholdExit: false,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    fallSilent: () => {
      for (const socket of sockets) {
        socket.removeAllListeners('data');
        socket.pause();
        socket.write = () => true;
      }
    },
    close: async () => {
      for (const child of children)
        try {
          process.kill(-child.pid!, 'SIGKILL');
        } catch {
          // It has ended by itself.
        }
      opened.cut();
      if (!closed)
        await new Promise<void>((resolve) => (server as unknown as TcpServer).close(() => resolve()));
      closed = true;
    },
  };
  return opened;
}

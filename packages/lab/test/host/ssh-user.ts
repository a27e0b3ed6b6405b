import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import ssh2, { type Client } from 'ssh2';
import { generateKeyPair, type Host, type HostSettings, openHost } from '../../src/host/index.ts';
import type { Registry } from '../../src/registry.ts';

export const userKey = generateKeyPair();

export interface Result {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Somebody at the other end of the SSH connection, with a real client. */
export interface User {
  client: Client;
  run(command: string, stdin?: string): Promise<Result>;
  tunnel(host: string, port: number): Promise<Duplex>;
  close(): void;
}

export async function connect(host: Host, privateKey = userKey.private, username = 'deploy'): Promise<User> {
  const client = new ssh2.Client();
  // A connection that was refused may be reset afterwards.
  client.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    client.once('ready', resolve);
    client.once('error', reject);
    client.connect({ host: host.address, port: host.sshPort, username, privateKey, readyTimeout: 10_000 });
  });
  return {
    client,
    run(command, stdin) {
      return new Promise((resolve, reject) => {
        client.exec(command, (error, channel) => {
          if (error) return reject(error);
          const out: Buffer[] = [];
          const err: Buffer[] = [];
          let code: number | null = null;
          let signal: string | null = null;
          channel.on('data', (chunk: Buffer) => out.push(chunk));
          channel.stderr.on('data', (chunk: Buffer) => err.push(chunk));
          channel.on('exit', (status: number | null, name?: string) => {
            code = status;
            signal = name ?? null;
          });
          channel.on('close', () => {
            resolve({
              code,
              signal,
              stdout: Buffer.concat(out).toString(),
              stderr: Buffer.concat(err).toString(),
            });
          });
          channel.end(stdin ?? '');
        });
      });
    },
    tunnel(to, port) {
      return new Promise((resolve, reject) => {
        client.forwardOut('127.0.0.1', 0, to, port, (error, channel) =>
          error ? reject(error) : resolve(channel),
        );
      });
    },
    close: () => client.end(),
  };
}

/** A host in a directory with a space in its name, open to everybody unless told otherwise. */
export function testHost(
  number: number,
  registry: Pick<Registry, 'url'>,
  over: Partial<HostSettings> = {},
): Promise<Host> {
  return openHost({
    name: `host-${number}`,
    address: `127.77.0.${number}`,
    sshPort: 0,
    user: { name: 'deploy', publicKey: userKey.public },
    directory: mkdtempSync(join(tmpdir(), 'lab host ')),
    registry,
    sourceOf: () => '20.102.35.7',
    allows: () => true,
    ...over,
  });
}

/** Puts files below the user's home directory. */
export function seed(host: Host, directory: string, files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(host.home, directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

export async function waitFor<T>(
  what: () => T | undefined | false | Promise<T | undefined | false>,
  ms = 10_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what.toString()}`);
    await new Promise((done) => setTimeout(done, 30));
  }
}

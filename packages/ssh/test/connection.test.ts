import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import { generateKeyPair } from '@lockkeeper/lab';
import { systemClock } from '@lockkeeper/wait';
import { connect } from '../src/connection.ts';
import { fingerprintOf, parseHostTrust } from '../src/host-trust.ts';
import { ConnectionLost, type Shell } from '../src/shell.ts';
import type { SshTarget } from '../src/target.ts';
import { type KeyPair, openServer, type TestServer } from './server.ts';

const user = generateKeyPair();
const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

async function serve(...args: [Array<'ed25519' | 'rsa' | KeyPair>?, number?]): Promise<TestServer> {
  const server = await openServer(user.public, ...args);
  open.push(server);
  return server;
}

function targetOf(server: TestServer, changes: Partial<SshTarget> = {}): SshTarget {
  return {
    host: '127.0.0.1',
    port: server.port,
    username: 'deploy',
    privateKey: user.private,
    trust: parseHostTrust({
      knownHosts: server.hostKeys.map((key) => `[127.0.0.1]:${server.port} ${key}`).join('\n'),
    }),
    connectTimeout: 5_000,
    ...changes,
  };
}

async function shellOf(target: SshTarget, log = memoryLog()): Promise<Shell> {
  const shell = await connect(target, { log, clock: systemClock });
  open.push(shell);
  return shell;
}

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ssh-'));
  open.push({ close: () => rm(directory, { recursive: true }) });
  return directory;
}

function fingerprint(key: string): string {
  return fingerprintOf(Buffer.from(key.split(' ')[1]!, 'base64'));
}

describe('a command', () => {
  it('gets its arguments as data, whatever they contain, and its exit code comes back', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const nasty = ["it's", '$(touch /tmp/pwn)', '`id`', 'a\nb', '; exit 0', '-n', '', '\\', '"', '*'];
    const result = await shell.run('for arg; do printf "%s|" "$arg"; done; echo oops >&2; exit 7', {
      args: nasty,
    });
    expect(result).toEqual({ code: 7, stdout: nasty.map((arg) => `${arg}|`).join(''), stderr: 'oops\n' });
  });

  it('reads a secret from stdin and stops at the first failing line', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const result = await shell.run('IFS= read -r secret; test "$secret" = hunter2; false; echo reached', {
      stdin: 'hunter2\n',
    });
    expect(result).toMatchObject({ code: 1, stdout: '' });
  });

  it('shows its output as it comes and keeps the end of very much of it', async () => {
    const shell = await shellOf(targetOf(await serve()));
    let seen = 0;
    const result = await shell.run('head -c 30000000 /dev/zero | tr "\\0" x; echo end', {
      onOutput: (text) => {
        seen += text.length;
      },
    });
    expect(seen).toBe(30_000_004);
    expect(result.stdout.length).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(result.stdout.endsWith('end\n')).toBe(true);
  });

  it('is given up after its time, and when cancelled with the reason of the cancel', async () => {
    const shell = await shellOf(targetOf(await serve()));
    await expect(shell.run('sleep 60', { timeout: 200 })).rejects.toThrow('no end of the command');
    const cancel = new AbortController();
    const running = shell.run('sleep 60', { signal: cancel.signal });
    setTimeout(() => cancel.abort(new Error('stop')), 100);
    await expect(running).rejects.toThrow('stop');
  });

  it('is a failure when its exit code never comes, and the next one connects anew', async () => {
    const server = await serve();
    const shell = await shellOf(targetOf(server));
    const running = shell.run('sleep 60');
    setTimeout(() => server.cut(), 200);
    await expect(running).rejects.toThrow('was lost during a command');
    expect(await shell.run('echo back')).toMatchObject({ code: 0, stdout: 'back\n' });
    expect(server.connections).toBe(2);
  });

  it('ends with the connection that the run itself ends, and nothing connects again', async () => {
    const server = await serve();
    const shell = await shellOf(targetOf(server));
    const running = shell.run('sleep 60');
    const refused = expect(running).rejects.not.toBeInstanceOf(ConnectionLost);
    setTimeout(() => shell.close(), 200);
    await expect(running).rejects.toThrow('this run has ended its connection to 127.0.0.1');
    await refused;
    await expect(shell.run(':')).rejects.toThrow('this run has ended its connection to 127.0.0.1');
    expect(server.connections).toBe(1);
  });

  it('is a failure when the host closes it without an exit code', async () => {
    const server = await serve();
    server.withholdExit = true;
    const shell = await shellOf(targetOf(server));
    await expect(shell.run('echo all is well')).rejects.toThrow('was lost during a command');
  });

  it('waits where a host takes ten at once, and more are asked for', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const all = Array.from({ length: 25 }, (_, n) => shell.run('sleep 0.1; echo "$1"', { args: [`${n}`] }));
    const said = (await Promise.all(all)).map(({ stdout }) => stdout.trim());
    expect(said).toEqual(all.map((_, n) => `${n}`));
  });
});

const megabyte = 1024 * 1024;

/** Takes nothing before it is opened. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const taken = createHash('sha256');
  const sink = new Writable({
    write(chunk, _encoding, callback) {
      void opened.then(() => {
        bytes += chunk.length;
        taken.update(chunk);
        callback();
      });
    },
  });
  let bytes = 0;
  return { sink, open, digest: () => taken.digest('hex'), bytes: () => bytes + sink.writableLength };
}

/** Numbered blocks, as many as asked for, made when they are read. */
function blocks(count: number) {
  const made = createHash('sha256');
  let bytes = 0;
  const source = new Readable({
    read() {
      if (bytes === count * 65_536) return this.push(null);
      const block = Buffer.alloc(65_536, `${bytes} `);
      bytes += block.length;
      made.update(block);
      return this.push(block);
    },
  });
  return { source, digest: () => made.digest('hex'), bytes: () => bytes };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 500));

describe('a stream', () => {
  it('takes output byte for byte, and the host is not asked for more than it takes', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const { sink, open, digest, bytes } = gate();
    const script = 'head -c 40000000 /dev/urandom | tee "$1"; echo done >&2';
    const file = join(await scratch(), 'copy');
    let said = '';
    const running = shell.run(script, { args: [file], stdout: sink, onOutput: (text) => (said += text) });
    await settled();
    expect(bytes()).toBeGreaterThan(0);
    expect(bytes()).toBeLessThan(8 * megabyte);
    open();
    expect(await running).toMatchObject({ code: 0, stdout: '', stderr: 'done\n' });
    expect(said).toBe('done\n');
    await new Promise<void>((resolve) => sink.end(resolve));
    expect(digest()).toBe(
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    );
  });

  it('that cannot take the output ends the command, with its own error', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const full = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('disk full')) });
    await expect(shell.run('cat /dev/zero', { stdout: full })).rejects.toThrow('disk full');
    expect((await shell.run('echo next')).stdout).toBe('next\n');
  });

  it('is read by the command to its end, however long', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const { source, digest } = blocks(1000);
    const { stdout } = await shell.run('sha256sum', { stdin: source });
    expect(stdout).toContain(digest());
  });

  it('is read no faster than the command reads, and let go when that ends early', async () => {
    const shell = await shellOf(targetOf(await serve()));
    const { source, bytes } = blocks(Number.POSITIVE_INFINITY);
    const file = join(await scratch(), 'go');
    const running = shell.run('until [ -e "$1" ]; do sleep 0.05; done; head -c 5 >/dev/null; exit 3', {
      args: [file],
      stdin: source,
    });
    await settled();
    expect(bytes()).toBeLessThan(8 * megabyte);
    await writeFile(file, '');
    expect(await running).toMatchObject({ code: 3 });
    expect(source.destroyed).toBe(true);
  });

  it.each([
    ['fails', () => new Error('docker save was killed')],
    ['ends without its end', () => undefined],
  ])('that %s is never taken for a whole one', async (_how, error) => {
    const shell = await shellOf(targetOf(await serve()));
    const source = new Readable({ read() {} });
    source.push('half a tar');
    const file = join(await scratch(), 'loaded');
    const running = shell.run('cat >/dev/null; touch "$1"', { args: [file], stdin: source });
    setTimeout(() => source.destroy(error()), 200);
    await expect(running).rejects.toThrow(/docker save was killed|[Pp]remature close/);
    await settled();
    expect(existsSync(file)).toBe(false);
  });

  it('loses nothing that was taken and gives nothing more once the connection is lost', async () => {
    const server = await serve();
    const shell = await shellOf(targetOf(server));
    const { sink, open, bytes } = gate();
    const running = shell.run('cat /dev/zero', { stdout: sink });
    await settled();
    server.cut();
    await expect(running).rejects.toThrow('was lost');
    const then = bytes();
    open();
    await settled();
    expect(bytes()).toBe(then);
  });
});

describe('the host key', () => {
  it('that is pinned by an RSA line alone is asked for, although the server prefers another', async () => {
    const server = await serve(['ed25519', 'rsa']);
    const rsa = server.hostKeys[1]!;
    const shell = await shellOf(
      targetOf(server, {
        trust: parseHostTrust({ knownHosts: `[127.0.0.1]:${server.port} ${rsa}` }),
      }),
    );
    expect((await shell.run('echo in')).stdout).toBe('in\n');
  });

  it('that a bare fingerprint pins is found among the types the server has', async () => {
    const server = await serve(['ed25519', 'rsa']);
    const trust = parseHostTrust({ fingerprints: [fingerprint(server.hostKeys[1]!)] });
    const shell = await shellOf(targetOf(server, { trust }));
    expect((await shell.run('echo in')).stdout).toBe('in\n');
  });

  it('that is another one ends it before the login, with both keys and the line to paste', async () => {
    const server = await serve();
    const stranger = generateKeyPair().public.split(' ').slice(0, 2).join(' ');
    const trust = parseHostTrust({ knownHosts: `[127.0.0.1]:${server.port} ${stranger}` });
    await expect(shellOf(targetOf(server, { trust }))).rejects.toMatchObject({
      message: expect.stringContaining(
        `offered ${fingerprint(server.hostKeys[0]!)} (ssh-ed25519), expected ${fingerprint(stranger)}`,
      ),
      next: expect.stringContaining(`[127.0.0.1]:${server.port} ${server.hostKeys[0]}`),
    });
    expect(server.connections).toBe(1);
  });

  it('must be pinned for this very host: lines for others are no trust', async () => {
    const server = await serve();
    const trust = parseHostTrust({ knownHosts: `example.com ${server.hostKeys[0]}` });
    await expect(shellOf(targetOf(server, { trust }))).rejects.toThrow('no host key is pinned');
    expect(server.connections).toBe(0);
  });
});

describe('connecting', () => {
  it('does not try a refused key again', async () => {
    const server = await serve();
    const privateKey = generateKeyPair().private;
    await expect(shellOf(targetOf(server, { privateKey }))).rejects.toThrow(
      'refused the key for user "deploy"',
    );
    expect(server.connections).toBe(1);
  });

  it('tries again while nothing listens yet', async () => {
    const gone = await serve();
    const { port, hostKeys } = gone;
    await gone.close();
    const log = memoryLog();
    setTimeout(() => serve([gone.pair], port), 300);
    const shell = await shellOf(targetOf({ ...gone, hostKeys }), log);
    expect((await shell.run('echo in')).stdout).toBe('in\n');
    expect(log.lines.join('\n')).toContain('no SSH server listens there; trying again');
  });

  it('goes through a jump host that has its own pin', async () => {
    const [bastion, inner] = [await serve(), await serve()];
    const shell = await shellOf(targetOf(inner, { jump: targetOf(bastion) }));
    expect((await shell.run('echo inside')).stdout).toBe('inside\n');
    expect([bastion.connections, inner.connections]).toEqual([1, 1]);
    const wrong = { ...targetOf(bastion), trust: targetOf(inner).trust };
    await expect(shellOf(targetOf(inner, { jump: wrong }))).rejects.toThrow('no host key is pinned');
  });

  it('tunnels from the host', async () => {
    const web = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    open.push({ close: () => new Promise((resolve) => web.close(() => resolve())) });
    const shell = await shellOf(targetOf(await serve()));
    const socket = await shell.tunnel('127.0.0.1', (web.address() as AddressInfo).port);
    const body = await new Promise((resolve, reject) => {
      const asked = request({ createConnection: () => socket as never, headers: { connection: 'close' } });
      asked.on('response', (response) => {
        response.setEncoding('utf8');
        response.on('data', resolve);
      });
      asked.on('error', reject);
      asked.end();
    });
    expect(body).toBe('hello');
    socket.destroy();
  });
});

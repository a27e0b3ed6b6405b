import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import ssh2 from 'ssh2';
import { generateKeyPair, type Host, openHost } from '../../src/host/index.ts';
import { openRegistry, type Registry } from '../../src/registry.ts';
import { backgroundImage, sampleProject, webImage } from '../../src/sample-app/index.ts';
import { connect, seed, testHost, type User, userKey, waitFor } from './ssh-user.ts';

let registry: Registry;
let host: Host;
let users: User[] = [];
let open = true;

beforeAll(async () => {
  registry = await openRegistry();
  await registry.push(webImage('1'));
  await registry.push(backgroundImage('worker', '1'));
  await registry.push(backgroundImage('database', '15'));
});
afterAll(() => registry?.close());
beforeEach(async () => {
  open = true;
  host = await testHost(202, registry, { allows: (source) => open && source === '20.102.35.7' });
});
afterEach(async () => {
  for (const user of users) user.close();
  users = [];
  await host?.close();
});

async function logIn(): Promise<User> {
  const user = await connect(host);
  users.push(user);
  return user;
}

describe('the SSH of a host', () => {
  it('runs commands in a real shell at home, with a closed environment', async () => {
    const user = await logIn();
    const result = await user.run('pwd; echo "$USER"; env | cut -d= -f1 | sort | tr "\\n" " "');
    const [directory, name, names] = result.stdout.split('\n');
    expect(directory).toBe(host.home);
    expect(name).toBe('deploy');
    expect(names!.trim().split(' ').sort()).toEqual(
      ['HOME', 'LAB_ENGINE_SOCKET', 'LAB_HOST_MARK', 'LOGNAME', 'PATH', 'PWD', 'SHELL', 'USER'].sort(),
    );
  });

  it('reports exit codes, signals and both streams, and takes stdin', async () => {
    const user = await logIn();
    expect(await user.run('exit 42')).toMatchObject({ code: 42 });
    expect(await user.run('kill -TERM $$')).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect(await user.run('cat; echo oops >&2', 'given')).toMatchObject({
      code: 0,
      stdout: 'given',
      stderr: 'oops\n',
    });
  });

  it('streams 20 MB out and in', async () => {
    const user = await logIn();
    const out = await user.run('head -c 20971520 /dev/zero | tr "\\0" x');
    expect(out.stdout).toHaveLength(20 * 1024 * 1024);
    const back = await user.run('wc -c', 'y'.repeat(20 * 1024 * 1024));
    expect(back.stdout.trim()).toBe(String(20 * 1024 * 1024));
  });

  it('passes a signal on to the command', async () => {
    const user = await logIn();
    const ended = new Promise<string | null>((resolve, reject) => {
      user.client.exec('sleep 60', (error, channel) => {
        if (error) return reject(error);
        channel.on('exit', (_code: number | null, signal?: string) => resolve(signal ?? null));
        channel.resume();
        setTimeout(() => channel.signal('TERM'), 100);
      });
    });
    expect(await ended).toBe('SIGTERM');
  });

  it('lets only the right key and user in', async () => {
    const stranger = generateKeyPair();
    await expect(connect(host, stranger.private)).rejects.toThrow('authentication methods failed');
    await expect(connect(host, undefined, 'root')).rejects.toThrow('authentication methods failed');
    expect(host.sessions).toBe(0);
  });

  it('accepts an RSA key too', async () => {
    const rsa = ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 });
    await host.close();
    host = await testHost(202, registry, { user: { name: 'deploy', publicKey: rsa.public } });
    const user = await connect(host, rsa.private);
    users.push(user);
    expect(await user.run('echo in')).toMatchObject({ code: 0, stdout: 'in\n' });
  });

  it('shows the host key that it tells', async () => {
    const seen = await new Promise<Buffer>((resolve, reject) => {
      const client = new ssh2.Client();
      client.on('error', () => {});
      client.on('close', () => reject(new Error('no host key was shown')));
      client.connect({
        host: host.address,
        port: host.sshPort,
        username: 'deploy',
        hostVerifier: (key: Buffer) => {
          resolve(key);
          return false;
        },
      });
    });
    expect(host.hostKey.knownHostsLine).toBe(
      `[${host.address}]:${host.sshPort} ssh-ed25519 ${seen.toString('base64')}`,
    );
    expect(host.hostKey.fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('closes its port with the rule, while an open session lives on', async () => {
    const user = await logIn();
    open = false;
    await host.updateAccess();
    expect(host.reachable).toBe(false);
    await expect(connect(host)).rejects.toThrow('ECONNREFUSED');
    expect(await user.run('echo still here')).toMatchObject({ code: 0, stdout: 'still here\n' });
    open = true;
    await host.updateAccess();
    expect((await (await logIn()).run('true')).code).toBe(0);
  });

  it('turns a caller away whom no rule lets in, though the port listens for another', async () => {
    await host.close();
    host = await testHost(202, registry, {
      sourceOf: (remote) => (remote === '127.0.0.1' ? 'outsider' : 'bastion'),
      allows: (source) => source === 'bastion',
      callers: ['127.0.0.1', '127.77.0.203'],
    });
    expect(host.reachable).toBe(true);
    await expect(connect(host)).rejects.toThrow();
  });

  it('resets connections, and the command goes on', async () => {
    const user = await logIn();
    const closed = new Promise<void>((resolve) => user.client.once('close', () => resolve()));
    void user.run('sleep 0.4; echo done > finished');
    await new Promise((done) => setTimeout(done, 150));
    host.dropConnections('reset');
    await closed;
    await waitFor(() => host.sessions === 0);
    await waitFor(() => existsSync(`${host.home}/finished`));
  });

  it('answers keepalives of an idle client', async () => {
    const client = new ssh2.Client();
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve);
      client.once('error', reject);
      client.connect({
        host: host.address,
        port: host.sshPort,
        username: 'deploy',
        privateKey: userKey.private,
        keepaliveInterval: 40,
        keepaliveCountMax: 3,
      });
    });
    let error: unknown;
    client.on('error', (seen) => {
      error = seen;
    });
    await new Promise((done) => setTimeout(done, 400));
    expect(error).toBeUndefined();
    expect(host.sessions).toBe(1);
    client.end();
  });

  it('goes silent: nothing is answered and nothing closes', async () => {
    const user = await logIn();
    host.dropConnections('silent');
    const first = await Promise.race([
      user.run('echo hi').then(() => 'answered'),
      new Promise((done) => setTimeout(() => done('silence'), 500)),
    ]);
    expect(first).toBe('silence');
    user.client.destroy();
  });

  it('tunnels to published ports and containers of this host, nowhere else', async () => {
    const user = await logIn();
    seed(host, 'app', sampleProject(registry, '1'));
    expect(await user.run('cd ~/app && docker compose up -d')).toMatchObject({ code: 0 });
    const web = await waitFor(() =>
      host.engine
        .containers()
        .find((container) => container.service === 'web' && container.health === 'healthy'),
    );
    for (const to of ['localhost', '127.0.0.1', host.address, web.address]) {
      const channel = await user.tunnel(to, 8000);
      channel.write('GET /health/ HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n');
      let text = '';
      for await (const chunk of channel) text += String(chunk);
      expect(text).toContain('{"status":"healthy","version":"1","database":true}');
    }
    await expect(user.tunnel('127.0.0.1', 8001)).rejects.toThrow();
    await expect(user.tunnel('127.77.0.1', 22)).rejects.toThrow();
  });

  it('leaves no process and no file behind', async () => {
    const user = await logIn();
    seed(host, 'app', sampleProject(registry, '1'));
    await user.run('cd ~/app && docker compose up -d');
    await user.run('setsid sleep 300 >/dev/null 2>&1 </dev/null & echo started');
    void user.run('sleep 301');
    await new Promise((done) => setTimeout(done, 200));
    const mark = (await user.run('echo "$LAB_HOST_MARK"')).stdout.trim();
    expect(processesWith(mark).length).toBeGreaterThanOrEqual(4);
    const { home } = host;
    await host.close();
    await waitFor(() => processesWith(mark).length === 0);
    expect(existsSync(home)).toBe(false);
    await expect(connect(host)).rejects.toThrow('ECONNREFUSED');
  });
});

it('tells how to get the addresses where they are missing', async () => {
  await expect(
    openHost({
      name: 'far',
      address: '10.0.0.1',
      sshPort: 0,
      user: { name: 'deploy', publicKey: '' },
      directory: '/nowhere',
      registry,
      sourceOf: () => '',
      allows: () => true,
    }),
  ).rejects.toThrow('expected 127.77.0.1 to 127.77.0.254');
});

function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readFileSync(`/proc/${entry}/environ`, 'latin1').includes(mark);
    } catch {
      return false;
    }
  });
}

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from './network/command.ts';
import type { Host } from './network/host.ts';
import { directoryOf, type Network, namespaceOf, openNetwork } from './network/network.ts';
import { allProcesses } from './network/processes.ts';
import { registries } from './network/services.ts';
import { waitFor } from './wait-for.ts';
import { openWarehouse } from './warehouse.ts';

/** The hosts that all the other tests stand on. */
describe('a real host', () => {
  let network: Network;
  let host: Host;
  beforeAll(async () => {
    const { dockerRoot, registry } = await openWarehouse();
    network = await openNetwork({ registry });
    host = await network.host('web-1', { dockerRoot });
  });
  afterAll(() => network?.close());

  it('has a port 22 that a security group closes: who is not let in hears nothing', async () => {
    const allowed = await network.addSource(3);
    await host.firewall.allow(allowed);
    try {
      expect(await greeting(host, { from: network.address })).toBe('nothing');
      expect(await greeting(host, { from: allowed })).toMatch(/^SSH-2\.0-OpenSSH/);
    } finally {
      await host.firewall.open();
    }
  });

  it.each([
    ['reset', 'ECONNRESET'],
    ['silence', 'nothing'],
  ] as const)('loses the connections that are open to a %s, and takes new ones', async (how, heard) => {
    const socket = connect({ host: host.address, port: 22 });
    expect(await hear(socket)).toMatch(/^SSH-2\.0-OpenSSH/);
    const answer = hear(socket);
    await host.cut(how);
    socket.write('SSH-2.0-test\r\n');
    expect(await answer).toBe(heard);
    socket.destroy();
    expect(await greeting(host)).toMatch(/^SSH-2\.0-OpenSSH/);
  });

  it('boots again from its disk, with its keys and the containers that are to come back', async () => {
    const image = `${registries.open}/redis:7`;
    await host.docker('run', '-d', '--restart', 'unless-stopped', '--name', 'kept', image);
    await host.docker('run', '-d', '--name', 'stopped', image);
    await host.write('note', 'on disk');
    const started = await host.run('cat /proc/1/stat | cut -d " " -f 22');
    await host.reboot();
    expect(await host.run('cat /proc/1/stat | cut -d " " -f 22')).not.toBe(started);
    expect(await host.read('note')).toBe('on disk');
    expect(await host.docker('ps', '--format', '{{.Names}}')).toBe('kept');
    const key = await run('ssh-keyscan', ['-t', 'ed25519', host.address]);
    expect(key.trim()).toBe(`${host.address} ${host.keys.ed25519.public}`);
  });

  it('writes nothing to the machine', async () => {
    await host.run('echo changed >/etc/hostname; touch /usr/local/bin/of-the-host', { as: 'root' });
    expect(existsSync('/usr/local/bin/of-the-host')).toBe(false);
    expect(await run('cat', ['/etc/hostname'])).not.toBe('changed');
  });

  it('reaches a bare repository of the network', async () => {
    await run('git', ['init', '-q', '--bare', `${network.services.repositories}/shop.git`]);
    expect(await host.run('git ls-remote git://git.test/shop.git')).toBe('');
  });
});

it('hosts are gone with the process that opened them, also when it is killed', async () => {
  const script = fileURLToPath(new URL('hosts.ts', import.meta.url));
  const holder = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, 'up'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    holder.stdout.on('data', (data) => {
      said += data;
      if (said.includes('ctrl-C')) resolve();
    });
    holder.once('exit', () => reject(new Error(said)));
  });
  const number = Number(/lockkeeper-real\/(\d+)\//.exec(said)?.[1]);
  const left = () => [
    ...readdirSync('/run/netns').filter((name) => name.startsWith(namespaceOf(number, ''))),
    ...readdirSync('/sys/class/net').filter(
      (name) => name === `lk${number}` || name.startsWith(`lk${number}v`),
    ),
    ...[directoryOf(number)].filter((directory) => existsSync(directory)),
    ...allProcesses()
      .filter(({ command }) => command.includes(`${directoryOf(number)}/`))
      .map(({ command }) => command),
  ];
  expect(left().length).toBeGreaterThan(5);
  holder.kill('SIGKILL');
  await waitFor('the network to be taken down', () => left().length === 0);
});

/** What SSH says on a new connection; `nothing` where there is no answer in a second. */
async function greeting({ address }: Host, { from }: { from?: string } = {}): Promise<string> {
  const socket = connect({ host: address, port: 22, localAddress: from });
  try {
    return await hear(socket);
  } finally {
    socket.destroy();
  }
}

function hear(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('nothing'), 2_000);
    const end = (heard: string) => {
      clearTimeout(timer);
      resolve(heard.trim());
    };
    socket.once('data', (data) => end(String(data)));
    socket.once('error', (error) => end((error as NodeJS.ErrnoException).code ?? error.message));
    socket.once('close', () => end('closed'));
  });
}

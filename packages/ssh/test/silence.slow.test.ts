import { expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import { generateKeyPair } from '@lockkeeper/lab';
import { systemClock } from '@lockkeeper/wait';
import { connect } from '../src/connection.ts';
import { parseHostTrust } from '../src/host-trust.ts';
import { openServer } from './server.ts';

it('a connection that goes silent is found lost within about half a minute, and made anew', async () => {
  const user = generateKeyPair();
  const server = await openServer(user.public);
  const shell = await connect(
    {
      host: '127.0.0.1',
      port: server.port,
      username: 'deploy',
      privateKey: user.private,
      trust: parseHostTrust({ knownHosts: `[127.0.0.1]:${server.port} ${server.hostKeys[0]}` }),
      connectTimeout: 5_000,
    },
    { log: memoryLog(), clock: systemClock },
  );
  try {
    const running = shell.run('sleep 60');
    await new Promise((resolve) => setTimeout(resolve, 500));
    server.fallSilent();
    const since = performance.now();
    await expect(running).rejects.toThrow('was lost during a command');
    expect(performance.now() - since).toBeLessThan(35_000);
    expect((await shell.run('echo back')).stdout).toBe('back\n');
  } finally {
    await shell.close();
    await server.close();
  }
}, 60_000);

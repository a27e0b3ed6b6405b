import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from '@jest/globals';
import { forwardPort, type PortForward } from '../../src/host/port-forward.ts';

let server: Server | undefined;
let forward: PortForward | undefined;

afterEach(async () => {
  await forward?.close(0);
  server?.close();
});

async function behind(handle: (socket: Socket) => void): Promise<number> {
  server = createServer({ allowHalfOpen: true }, handle);
  await new Promise<void>((resolve) => server!.listen(0, '127.78.203.2', resolve));
  const address = server.address() as { port: number };
  forward = await forwardPort({
    host: '127.77.0.203',
    port: 0,
    to: { host: '127.78.203.2', port: address.port },
    via: '127.78.203.1',
  });
  return forward.port;
}

async function everything(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

it('carries both ways with half-closed ends, and shows the gateway as the caller', async () => {
  let caller: string | undefined;
  const port = await behind((socket) => {
    caller = socket.remoteAddress;
    let heard = '';
    socket.on('data', (chunk) => {
      heard += String(chunk);
    });
    socket.on('end', () => socket.end(`heard ${heard.length}`));
  });
  const client = dial({ host: '127.77.0.203', port });
  client.end('a'.repeat(100_000));
  expect(await everything(client)).toBe('heard 100000');
  expect(caller).toBe('127.78.203.1');
});

it('delivers a last answer though it is closed the moment the answer was written', async () => {
  const port = await behind((socket) => {
    socket.once('data', () => {
      socket.end('z'.repeat(300_000));
      void forward!.close(1000);
    });
  });
  const client = dial({ host: '127.77.0.203', port });
  client.write('please');
  expect((await everything(client)).length).toBe(300_000);
  await expect(everything(dial({ host: '127.77.0.203', port }))).rejects.toThrow('ECONNREFUSED');
});

it('resets a caller when nobody listens behind it', async () => {
  const port = await behind(() => {});
  server?.close();
  await expect(everything(dial({ host: '127.77.0.203', port }))).rejects.toThrow('ECONNRESET');
});

it('cuts what is still open when the grace is over', async () => {
  const port = await behind(() => {});
  const client = dial({ host: '127.77.0.203', port });
  await new Promise((resolve) => client.once('connect', resolve));
  const ended = everything(client).catch(() => 'cut');
  await forward!.close(50);
  expect(['', 'cut']).toContain(await ended);
});

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import type { Sample } from '@lockkeeper/probe';
import { fakeClock, systemClock } from '@lockkeeper/wait';
import { tryConnect, waitReachable } from '../src/reach.ts';

const met = { at: 0, ms: 1, address: '' };
const noAnswer = (code: string, message: string): Sample => ({
  ...met,
  answered: false,
  kind: 'connect',
  code,
  message,
});
const open: Sample = { ...met, answered: true, status: 0, headers: {}, body: '', truncated: false };
const once = { timeout: 1_000, clock: systemClock };
const shut = noAnswer('ETIMEDOUT', 'nothing answered');

describe('the probe', () => {
  const wait = (attempts: Sample[], timeoutMs = 60_000) => {
    const said: string[] = [];
    const left = [...attempts];
    return {
      said,
      done: waitReachable([{ host: '203.0.113.20', port: 22 }], {
        cidrs: ['20.102.35.7/32'],
        timeoutMs,
        clock: fakeClock(),
        say: (line) => said.push(line),
        attempt: async () => (left.length > 1 ? left.shift()! : left[0]!),
      }),
    };
  };

  it('waits until the port opens, and speaks on change only', async () => {
    const { said, done } = wait([shut, shut, noAnswer('ECONNREFUSED', 'refused'), open]);
    await done;
    expect(said).toEqual([
      '203.0.113.20:22 is not open yet (nothing answered), 0 ms',
      '203.0.113.20:22 is not open yet (refused), 2 s',
      '203.0.113.20:22 accepts connections after 3 s',
    ]);
  });

  it.each<[Sample, RegExp]>([
    [shut, /security group is attached.*another VPC.*another address.*network ACL/],
    [noAnswer('ECONNREFUSED', 'x'), /sshd runs/],
    [noAnswer('ENOTFOUND', 'x'), /name in probe/],
    [noAnswer('ENETUNREACH', 'x'), /inside the VPC/],
  ])('that never succeeds says what can be the cause: %j', async (last, next) => {
    await expect(wait([last]).done).rejects.toMatchObject({
      message: expect.stringContaining('waited 1 min: '),
      next: expect.stringMatching(next),
    });
  });

  it('meets a real port that is open, and one that is not', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await tryConnect({ host: '127.0.0.1', port }, once)).toMatchObject({ answered: true });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await tryConnect({ host: '127.0.0.1', port }, once)).toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('meets an open port of an IPv6 address', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await tryConnect({ host: '::1', port }, once)).toMatchObject({
        answered: true,
        address: `[::1]:${port}`,
      });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('stops when the run is cancelled', async () => {
    const cancel = new AbortController();
    const waiting = waitReachable([{ host: '127.0.0.1', port: 9 }], {
      cidrs: [],
      timeoutMs: 60_000,
      clock: systemClock,
      say: () => {},
      signal: cancel.signal,
    });
    setTimeout(() => cancel.abort(new Error('cancelled')), 50);
    await expect(waiting).rejects.toThrow('cancelled');
  });
});

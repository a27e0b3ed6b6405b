import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { fakeClock, systemClock } from '@lockkeeper/wait';
import { type Attempt, tryConnect, waitReachable } from '../src/reach.ts';

const shut: Attempt = { code: 'ETIMEDOUT', message: 'nothing answered' };

describe('the probe', () => {
  const wait = (attempts: Attempt[], timeoutMs = 60_000) => {
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
    const { said, done } = wait([shut, shut, { code: 'ECONNREFUSED', message: 'refused' }, 'open']);
    await done;
    expect(said).toEqual([
      '203.0.113.20:22 is not open yet (nothing answered), 0 ms',
      '203.0.113.20:22 is not open yet (refused), 2 s',
      '203.0.113.20:22 accepts connections after 3 s',
    ]);
  });

  it.each<[Attempt & object, RegExp]>([
    [shut as Attempt & object, /security group is attached.*another address.*network ACL/],
    [{ code: 'ECONNREFUSED', message: 'x' }, /sshd runs/],
    [{ code: 'ENOTFOUND', message: 'x' }, /name in probe/],
    [{ code: 'ENETUNREACH', message: 'x' }, /inside the VPC/],
  ])('that never succeeds says what can be the cause: %j', async (met, next) => {
    await expect(wait([met]).done).rejects.toMatchObject({
      message: expect.stringContaining('waited 1 min: '),
      next: expect.stringMatching(next),
    });
  });

  it('meets a real port that is open, and one that is not', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await tryConnect({ host: '127.0.0.1', port }, { timeoutMs: 1_000 })).toBe('open');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    expect(await tryConnect({ host: '127.0.0.1', port }, { timeoutMs: 1_000 })).toMatchObject({
      code: 'ECONNREFUSED',
    });
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

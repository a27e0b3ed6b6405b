import { existsSync, readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type ActionRun, runAction } from '@lockkeeper/runner';
import { WebSocketServer } from 'ws';

// The limits that the two teams agreed on, at their real size, with the committed bundle: p95 at most 500 ms,
// errors at most 1 %, at least 10 answers a second. And what a soak costs.

const directory = fileURLToPath(new URL('..', import.meta.url));
const limits = {
  soak: '12s',
  'max-p95': '500ms',
  'max-error-rate': '1%',
  'min-rps': '10',
  'min-samples': '20',
};

let servers: Server[] = [];
afterEach(async () => {
  const all = servers;
  servers = [];
  for (const server of all) server.closeAllConnections();
  await Promise.all(all.map((server) => new Promise((resolve) => server.close(resolve))));
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
const serve = async (listener: RequestListener) =>
  `http://127.0.0.1:${await listen(createServer(listener))}/`;

async function gate(inputs: Record<string, string>, run: Partial<ActionRun> = {}) {
  const { main } = await runAction({ directory, inputs: { interval: '200ms', ...inputs }, ...run });
  return { code: main!.code, verdict: main!.outputs.verdict, reason: main!.outputs.reason };
}

describe('the agreed limits', () => {
  it.each<[string, number, number, string, RegExp]>([
    [
      'pass at 70 ms',
      70,
      0,
      'healthy',
      /soaked 12(\.\d)? s: p95 \d+ ms, errors 0 % \(0 of \d+\), 1\d(\.\d)? a second$/,
    ],
    ['fail at 600 ms', 600, 0, 'unhealthy', /^p95 \d+ ms, at most 500 ms allowed/],
    [
      'fail at 2 % of errors',
      20,
      50,
      'unhealthy',
      /^errors .*, at most 1 % allowed.*answered 500, expected 200$/,
    ],
    [
      'fail at 5 answers a second',
      200,
      0,
      'unhealthy',
      /^good answers [1-5](\.\d)? a second, at least 10 a second needed/,
    ],
  ])('%s', async (_, ms, everyBad, verdict, reason) => {
    let requests = 0;
    const url = await serve((_, response) => {
      const status = everyBad > 0 && ++requests % everyBad === 0 ? 500 : 200;
      setTimeout(() => response.writeHead(status).end(), ms);
    });
    expect(await gate({ url, ...limits })).toEqual({
      code: verdict === 'healthy' ? 0 : 1,
      verdict,
      reason: expect.stringMatching(reason),
    });
  });

  it('prove nothing below the least number of samples', async () => {
    const url = await serve((_, response) => void setTimeout(() => response.end(), 300));
    expect(await gate({ url, soak: '3s', 'min-samples': '20' })).toMatchObject({
      code: 1,
      verdict: 'inconclusive',
      reason: expect.stringMatching(/^\d+ good answers in .* of soak, at least 20 needed to judge/),
    });
  });
});

it('an idle timeout of 3 s cuts what is held for 5 s', async () => {
  const http = createServer();
  new WebSocketServer({ server: http }).on('connection', (_, { socket }) =>
    socket.setTimeout(3_000, () => socket.destroy()),
  );
  const url = `ws://127.0.0.1:${await listen(http)}/`;
  expect(await gate({ url, hold: '5s' })).toMatchObject({
    code: 1,
    reason: expect.stringMatching(/^the WebSocket was cut after [34](\.\d)? s of 5 s \(1006,/),
  });
  expect(await gate({ url, hold: '2s' })).toMatchObject({ code: 0 });
});

/** Where the kernel tells the memory of a process. */
const onLinux = existsSync('/proc/self/status') ? it : it.skip;

onLinux('bodies without end take no more memory than short ones', async () => {
  const peakOf = async (listener: RequestListener) => {
    let [pid, peak] = [0, 0];
    await gate(
      { url: await serve(listener), soak: '3s', concurrency: '10', 'max-p95': '5s' },
      {
        onEvent: (event) => {
          if (event.kind === 'process-started') pid = event.pid;
          if (event.kind !== 'line' || !existsSync(`/proc/${pid}/status`)) return;
          const [, kB] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
          peak = Math.max(peak, Number(kB ?? 0));
        },
      },
    );
    return peak / 1024;
  };
  const short = await peakOf((_, response) => void response.end('short'));
  const endless = await peakOf((_, response) => {
    const feed = () => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    };
    response.on('drain', feed);
    feed();
  });
  expect(short).toBeGreaterThan(10);
  expect(endless - short).toBeLessThan(100);
});

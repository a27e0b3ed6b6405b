import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { memoryLog } from '@lockkeeper/action';
import { systemClock } from '@lockkeeper/wait';
import { judge } from '../src/gate.ts';
import { networkOutside } from '../src/outside.ts';
import type { GateReport } from '../src/report.ts';
import { inputsFor } from './scene.ts';

// Servers that misbehave, judged over the real network, side by side: the right verdict, in time.

const timeout = 1_500;
const settings = { timeout: `${timeout}ms`, interval: '100ms' };
const impatient = { 'probe-timeout': '400ms' };
const patient = { timeout: '20s' };

interface Case {
  name: string;
  listener: RequestListener;
  inputs?: Record<string, string>;
  verdict: GateReport['verdict'];
  reason: RegExp;
}

const json = { 'expected-json': 'database=true' };
const version = { 'expected-version': 'v2', 'version-from': 'json:version', 'version-successes': '4' };
const bomb = Buffer.concat(Array(64).fill(gzipSync(Buffer.alloc(16 * 1024 * 1024))));
const started = new Map<RequestListener, number>();

const cases: Case[] = [
  {
    name: 'hangs',
    listener: () => {},
    inputs: impatient,
    verdict: 'unhealthy',
    reason: /^0 of \d probes were good, never 3 in a row; last: connected, but no answer within 400 ms$/,
  },
  {
    name: 'resets',
    listener: ({ socket }) => void socket.resetAndDestroy(),
    verdict: 'unhealthy',
    reason: /last: the (connection was reset|other side closed the connection without an answer)/,
  },
  {
    name: 'drips a byte at a time',
    listener: (_, response) => {
      const drip = setInterval(() => response.write('.'), 50);
      response.on('close', () => clearInterval(drip));
    },
    inputs: impatient,
    verdict: 'unhealthy',
    reason: /last: answered 200, but no end of its body within 400 ms$/,
  },
  {
    name: 'never ends its body, of which enough is right',
    listener: (_, response) => {
      const feed = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      };
      response.on('drain', feed);
      feed();
    },
    inputs: { ...patient, 'expected-body': '^x{100}' },
    verdict: 'healthy',
    reason: /^3 good answers in a row$/,
  },
  {
    name: 'never ends its body, which should be JSON',
    listener: (_, response) => {
      response.write('{"database":true,"more":"');
      const feed = () => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      };
      response.on('drain', feed);
      feed();
    },
    inputs: json,
    verdict: 'unhealthy',
    reason: /last: the body is not JSON \(it is longer than 64 KiB\)/,
  },
  {
    name: 'redirects to itself for ever',
    listener: ({ url }, response) => void response.writeHead(302, { location: url }).end(),
    verdict: 'unhealthy',
    reason: /last: answered 302, expected 200: redirected to \/; redirects are not followed$/,
  },
  {
    name: 'redirects to the metadata service of the cloud',
    listener: (_, response) =>
      void response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end(),
    verdict: 'unhealthy',
    reason: /redirected to http:\/\/169\.254\.169\.254\/latest\/meta-data\/; redirects are not followed$/,
  },
  {
    name: 'packs a bomb',
    listener: (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    inputs: json,
    verdict: 'unhealthy',
    reason: /last: the body is not JSON \(it is longer than 64 KiB\)/,
  },
  {
    name: 'sends NUL bytes and escape sequences',
    listener: (_, response) =>
      void response.end('\0\u001b[2J\u001b]0;title\u0007{"version":"v1"}\r\n::error::x'),
    inputs: version,
    verdict: 'unhealthy',
    reason: /^the version is unknown: no version at json:version, expected v2$/,
  },
  {
    name: 'sends NUL bytes and escape sequences in its version',
    listener: (_, response) =>
      void response.end(JSON.stringify({ version: '\0v1\u001b[2J\n::error::x\u202e' })),
    inputs: version,
    verdict: 'unhealthy',
    reason: /^still serves v1 \[2J ::error::x, expected v2$/,
  },
  {
    name: 'sends invalid JSON',
    listener: (_, response) => void response.end('{"database":true'),
    inputs: json,
    verdict: 'unhealthy',
    reason: /last: the body is not JSON \(.*\): "\{\\"database\\":true"$/,
  },
  {
    name: 'sends invalid UTF-8 beside what is asked for',
    listener: (_, response) =>
      void response.end(
        Buffer.concat([
          Buffer.from('{"note":"'),
          Buffer.from([0xff, 0xc0]),
          Buffer.from('","database":true}'),
        ]),
      ),
    inputs: { ...json, ...patient },
    verdict: 'healthy',
    reason: /^3 good answers in a row$/,
  },
  {
    name: 'sends invalid UTF-8 where the version should be',
    listener: (_, response) =>
      void response.end(
        Buffer.concat([Buffer.from('{"version":"v'), Buffer.from([0xff]), Buffer.from('"}')]),
      ),
    inputs: version,
    verdict: 'unhealthy',
    reason: /^still serves v\ufffd, expected v2$/,
  },
  {
    name: 'serves the old version first',
    listener: function turning(_, response) {
      const since = Date.now() - (started.get(turning) ?? started.set(turning, Date.now()).get(turning)!);
      response.end(JSON.stringify({ version: since < 500 ? 'v1' : 'v2' }));
    },
    inputs: { ...version, ...patient },
    verdict: 'healthy',
    reason: /^4 good answers in a row, version v2$/,
  },
];

describe('a server that', () => {
  const servers: Server[] = [];
  const reports = new Map<string, GateReport & { lines: string[] }>();
  /** Milliseconds that this process was held up by others at the worst. */
  let lag = 0;

  beforeAll(async () => {
    let last = performance.now();
    const pulse = setInterval(() => {
      lag = Math.max(lag, performance.now() - last - 10);
      last = performance.now();
    }, 10);
    await Promise.all(
      cases.map(async ({ name, listener, inputs }) => {
        const server = createServer(listener);
        servers.push(server);
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
        const parsed = inputsFor({ url, ...settings, ...inputs });
        const log = memoryLog();
        const report = await judge(parsed, networkOutside(parsed, { clock: systemClock, log }));
        reports.set(name, { ...report, lines: log.lines });
      }),
    );
    clearInterval(pulse);
  });
  afterAll(() => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  it.each(cases.map((one) => [one.name, one] as const))('%s', (name, { verdict, reason, inputs }) => {
    const report = reports.get(name)!;
    expect(report).toMatchObject({ verdict, reason: expect.stringMatching(reason) });
    if (!inputs?.timeout) expect(report.to - report.from).toBeLessThan(timeout + 1_000 + lag);
    expect(report.lines.join('\n')).not.toMatch(/[\0\u001b\u202e]/);
  });
});

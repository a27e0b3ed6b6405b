import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type ActionRun, runAction } from '@lockkeeper/runner';
import { WebSocketServer } from 'ws';
import { actions, contractOf } from '../../../tools/manifest.ts';

// The committed bundle, run as the runner does, against real servers.

const directory = fileURLToPath(new URL('..', import.meta.url));
const contract = contractOf(actions().find(({ name }) => name === 'health-gate')!);

let servers: Server[] = [];
afterEach(async () => {
  const all = servers;
  servers = [];
  for (const server of all) server.closeAllConnections();
  await Promise.all(all.map((server) => new Promise((resolve) => server.close(resolve))));
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/health/`;
}

/** An app that says its version, by the number of the request and the time since the first. */
function app(version: (request: number, ms: number) => string): Promise<string> {
  let requests = 0;
  let first: number | undefined;
  return serve((_, response) => {
    first ??= Date.now();
    const body = { status: 'healthy', version: version(requests++, Date.now() - first) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
}

const versioned = { 'expected-version': 'v2', 'version-from': 'json:version', 'version-successes': '4' };

async function gate(inputs: Record<string, string>, run: Partial<ActionRun> = {}) {
  const { main, conclusion, leaks, survivors } = await runAction({
    directory,
    inputs: { interval: '100ms', timeout: '3s', ...inputs },
    ...run,
  });
  expect(survivors).toEqual([]);
  expect(leaks).toEqual([]);
  expect(main!.doubts).toEqual([]);
  const errors = main!.annotations.filter(({ level }) => level === 'error').map(({ message }) => message);
  return { ...main!, conclusion, errors };
}

describe('the gate', () => {
  it('is green for an app that is healthy, and sets every output that it declares', async () => {
    const { code, outputs, summary, errors } = await gate({
      url: await app(() => 'v1'),
      'version-from': 'json:version',
    });
    expect({ code, errors }).toEqual({ code: 0, errors: [] });
    expect(Object.keys(outputs).sort()).toEqual([...contract.outputs].sort());
    expect(outputs).toMatchObject({
      verdict: 'healthy',
      'live-version': 'v1',
      'versions-seen': '["v1"]',
      samples: '3',
      'error-rate': '0.0000',
    });
    expect(summary).toContain('Health gate: healthy');
  });

  it('waits 3 s for the new version', async () => {
    const { code, outputs, ms } = await gate({
      url: await app((_, ms) => (ms < 3_000 ? 'v1' : 'v2')),
      ...versioned,
      timeout: '20s',
    });
    expect(ms).toBeGreaterThan(3_000);
    expect({ code, ...outputs }).toMatchObject({
      code: 0,
      verdict: 'healthy',
      reason: '4 good answers in a row, version v2',
      'versions-seen': '["v1","v2"]',
    });
  });

  it('is red when the old version is served for ever', async () => {
    const { code, outputs, errors, summary } = await gate({
      url: await app(() => 'v1'),
      ...versioned,
      timeout: '1s',
    });
    expect({ code, verdict: outputs.verdict, errors }).toEqual({
      code: 1,
      verdict: 'unhealthy',
      errors: [
        expect.stringMatching(
          /^unhealthy: still serves v1, expected v2\nNext: see what it answers: curl -sSi -m 5 http:\/\/127\.0\.0\.1:\d+\/health\/$/,
        ),
      ],
    });
    expect(Object.keys(outputs).sort()).toEqual([...contract.outputs].sort());
    expect(summary).toContain('still serves v1');
  });

  it('is red when two versions are served by turns', async () => {
    const { code, errors } = await gate({
      url: await app((request) => (request % 2 ? 'v2' : 'v1')),
      ...versioned,
    });
    expect(code).toBe(1);
    expect(errors).toEqual([
      expect.stringMatching(/^unhealthy: 2 versions: v\d 5 of 10, v\d 5 of 10; expected v2 alone\n/),
    ]);
  });

  it.each<[string, number, number, RegExp]>([
    ['fast enough', 20, 0, /soaked \d(\.\d)? s: p95 \d+ ms, errors 0 % \(0 of \d+\), \d+(\.\d)? a second$/],
    ['too slow', 500, 1, /^p95 \d+ ms, at most 300 ms allowed, which no rest of the soak can mend$/],
  ])('soaks an app that is %s, and shows how fast it was', async (_, ms, expected, reason) => {
    const url = await serve((_, response) => void setTimeout(() => response.end(), ms));
    const { code, outputs, summary } = await gate({
      url,
      soak: '2s',
      'max-p95': '300ms',
      concurrency: '4',
    });
    expect({ code, reason: outputs.reason }).toEqual({
      code: expected,
      reason: expect.stringMatching(reason),
    });
    expect(summary).toMatch(/\| p95 \| at most 300 ms \| \d+ ms \| (✅|❌) \|/);
    expect(summary).toMatch(/```mermaid\n.*\nxychart-beta\n/);
  });

  it.each<[string, number | undefined, string, number, RegExp]>([
    ['stays open', undefined, '500ms', 0, /stayed open 500 ms$/],
    [
      'is cut, as by an idle timeout',
      500,
      '1m',
      1,
      /^the WebSocket was cut after .* of 1 min \(1006, without a closing frame/,
    ],
  ])('holds a WebSocket that %s', async (_, cutAfter, hold, expected, reason) => {
    const http = createServer();
    const sockets = new WebSocketServer({ server: http });
    // What a load balancer does to a connection on which nobody speaks.
    if (cutAfter !== undefined)
      sockets.on('connection', (_, { socket }) => void setTimeout(() => socket.destroy(), cutAfter));
    servers.push(http);
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/ws`;
    const { code, outputs } = await gate({ url, hold });
    expect({ code, reason: outputs.reason }).toEqual({
      code: expected,
      reason: expect.stringMatching(reason),
    });
  });

  it('judges several URLs side by side, and leaves a report of every probe', async () => {
    const urls = [await app(() => 'v2'), await app(() => 'v1')];
    let file = '';
    const { outputs, summary } = await gate(
      { url: urls.join('\n'), ...versioned },
      {
        onEvent: (event) => {
          const path = event.kind === 'line' && /^every probe: (.*)$/.exec(event.text)?.[1];
          if (path) file = readFileSync(path, 'utf8');
        },
      },
    );
    expect(outputs).toMatchObject({
      verdict: 'unhealthy',
      reason: `${urls[1]}: still serves v1, expected v2`,
    });
    expect(JSON.parse(file)).toMatchObject({
      format: 1,
      verdict: 'unhealthy',
      urls: [
        {
          url: urls[0],
          verdict: 'healthy',
          probes: expect.arrayContaining([expect.objectContaining({ version: 'v2' })]),
        },
        { url: urls[1], verdict: 'unhealthy' },
      ],
    });
    expect([...summary.matchAll(/^\| (http\S+) \| (\S+) /gm)].map(([, url, mark]) => [url, mark])).toEqual([
      [urls[0], '✅'],
      [urls[1], '❌'],
    ]);
  });

  it('is red and says that nothing listens', async () => {
    const url = await app(() => 'v2');
    servers.pop()!.close();
    const { code, outputs, errors } = await gate({ url, timeout: '1s' });
    expect({ code, verdict: outputs.verdict }).toEqual({ code: 1, verdict: 'unhealthy' });
    expect(errors[0]).toContain('connection refused: nothing listens there');
  });

  it.each([
    ['X-Api-Key: SECRET', 'header:X-Version'],
    ['Authorization: Bearer SECRET', 'json:you.authorization'],
    ['Cookie: sid=SECRET; lang=en', 'body:sid=([^;]+)'],
  ])('shows the secret of "%s" to the app alone, even if that repeats it', async (header, versionFrom) => {
    const secret = 'tok-5f2b7c1e9a-canary';
    const headers = header.replace('SECRET', secret);
    const seen = new Set<string | undefined>();
    const url = await serve((request, response) => {
      seen.add(request.headers[header.split(':')[0]!.toLowerCase()] as string | undefined);
      response.writeHead(200, { 'x-version': secret }).end(JSON.stringify({ you: request.headers }));
    });
    const { code, log } = await gate(
      { url, headers, 'version-from': versionFrom, 'expected-body': 'all is well', timeout: '1s' },
      { canaries: [secret], secrets: { API_KEY: secret } },
    );
    expect([...seen]).toEqual([headers.split(': ')[1]]);
    expect(code).toBe(1);
    expect(log.join('\n')).toContain('the body does not match /all is well/: ');
  });

  it.each<[string, () => Promise<string>, string]>([
    ['the old version', () => app(() => 'v1'), 'serves v1, expected v2'],
    ['an error', () => serve((_, response) => response.writeHead(503).end()), 'answered 503, expected 200'],
    ['nothing at all', async () => 'http://127.0.0.1:9/', 'connection refused'],
  ])('is green in a dry run that sees %s, and tells it', async (_, open, told) => {
    const { code, outputs, annotations } = await gate({ url: await open(), ...versioned, 'dry-run': 'true' });
    expect({ code, samples: outputs.samples }).toEqual({ code: 0, samples: '1' });
    expect(annotations).toEqual([
      expect.objectContaining({ level: 'notice', message: expect.stringContaining(told) }),
    ]);
  });

  it('asks nobody when an input is wrong', async () => {
    let asked = 0;
    const url = await serve((_, response) => {
      asked++;
      response.end();
    });
    const { code, errors } = await gate({ url, timeout: '5', 'expected-status': 'ok' });
    expect({ code, asked }).toEqual({ code: 1, asked: 0 });
    expect(errors.map((line) => line.split(':')[0]).sort()).toEqual(['expected-status', 'timeout']);
  });

  it('stops at once when the run is cancelled', async () => {
    const { conclusion, ms } = await gate(
      { url: await serve((_, response) => response.writeHead(503).end()), timeout: '1m' },
      { cancelAt: { line: 'answered 503' } },
    );
    expect(conclusion).toBe('cancelled');
    expect(ms).toBeLessThan(5_000);
  });
});

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { openStack, type Stack } from './stack.ts';

/**
 * A proxy that knows the addresses which were found when it was last told to look, as nginx does; it goes on
 * to the next where nobody listens. The lab has no name server, so what looks is the reload itself.
 */
const proxy = `
const http = require('node:http');
const { readFileSync } = require('node:fs');
const addresses = () => JSON.parse(readFileSync('known/upstream.json', 'utf8')).flatMap(({ NetworkSettings }) =>
  Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress).filter(Boolean));
let turn = 0;
http.createServer((request, response) => {
  const known = addresses();
  const ask = (left) => {
    if (left === 0) return response.writeHead(502).end('{}');
    http.get({ host: known[turn++ % known.length], port: 8000, path: request.url, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }).on('error', () => ask(left - 1));
  };
  ask(known.length);
}).listen(8000, process.env.HOST);
process.on('SIGTERM', () => process.exit(0));
`;

const composeFile = (registry: string) => `
name: shop
services:
  edge:
    image: ${registry}/edge:1
    ports: ["8000:8000"]
    volumes: ["./known:/app/known:ro"]
    depends_on: [web]
  web:
    image: ${registry}/web:\${TAG:-v1}
    healthcheck:
      test: ["CMD", "perl", "healthcheck.pl"]
      interval: 300ms
      timeout: 2s
      retries: 3
`;

const look = `
docker inspect $(docker ps -q --filter label=com.docker.compose.service=web) >known/part
mv known/part known/upstream.json
`;
const blueGreen = {
  strategy: 'blue-green',
  'blue-green-services': 'web',
  'blue-green-reload': look,
};

describe('blue-green', () => {
  let stack: Stack;
  /** What users got since the last look. */
  let seen: string[] = [];
  let stopAsking = () => {};

  beforeAll(async () => {
    stack = await openStack();
    await stack.registry.push({
      repository: 'edge',
      tag: '1',
      config: { Cmd: ['node', 'proxy.cjs'], WorkingDir: '/app', Env: [] },
      files: { 'app/proxy.cjs': proxy },
    });
    for (const [tag, sick] of [
      ['v2', ''],
      ['v3', '503'],
      ['v4', 'crash'],
      ['v5', 'database'],
    ] as const)
      await stack.push(tag, sick);
    await writeFile(join(stack.directory, 'compose.yaml'), composeFile(stack.registry.url));
    await mkdir(join(stack.directory, 'known'));
    await writeFile(join(stack.directory, 'known/upstream.json'), '[]');
    await stack.docker('compose', 'up', '-d');
    await stack.deploy({ 'post-deploy': look, 'health-url': '' });
    let asking = true;
    const asked = (async () => {
      while (asking) {
        seen.push(await stack.version());
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    stopAsking = () => {
      asking = false;
      void asked;
    };
  }, 60_000);
  afterAll(async () => {
    stopAsking();
    await stack.close();
  });

  // They run in any order: each finds v1 serving, whatever the one before it shipped.
  beforeEach(async () => {
    const report = await stack.deploy({ environment: 'TAG=v1', ...blueGreen });
    expect(['deployed', 'unchanged']).toContain(report.result);
    seen = [];
  }, 60_000);

  it('replaces a service without a moment that users could notice, and the proxy not at all', async () => {
    const before = await stack.containers();
    const report = await stack.deploy({ environment: 'TAG=v2', ...blueGreen });
    expect(report).toMatchObject({ result: 'deployed', hosts: [{ downtime: 0 }] });
    expect([...new Set(seen)].sort()).toEqual(['v1', 'v2']);
    const after = await stack.containers();
    expect(after.edge).toBe(before.edge);
    expect(after.web).not.toBe(before.web);
    expect(await stack.deploy({ environment: 'TAG=v2', ...blueGreen })).toMatchObject({
      result: 'unchanged',
    });
  }, 60_000);

  it.each([
    ['is ill', 'v3', /web is unhealthy on .*answered 503 \(3 of 3\); users never met it$/],
    ['crashes', 'v4', /web has exited on .*; users never met it$/],
  ])(
    'leaves the container that serves where the new one %s',
    async (_what, tag, reason) => {
      const before = await stack.containers();
      const report = await stack.deploy({ environment: `TAG=${tag}`, ...blueGreen });
      expect(report.reason).toMatch(reason);
      expect(report).toMatchObject({ result: 'rolled-back', hosts: [{ downtime: 0 }] });
      expect(report.details).toContain(tag === 'v3' ? 'listening v3' : 'cannot import settings');
      expect([...new Set(seen)]).toEqual(['v1']);
      expect(await stack.containers()).toEqual(before);
    },
    60_000,
  );

  // This proxy sends to both while both run, so the app may seem well until the old one has gone.
  it('goes back without a moment that users could notice where only the app itself is not well', async () => {
    const { edge } = await stack.containers();
    const report = await stack.deploy({
      environment: 'TAG=v5',
      'health-json': 'database=true',
      'health-timeout': '3s',
      ...blueGreen,
    });
    expect(report.reason).toMatch(/database is false/);
    expect(report).toMatchObject({ result: 'rolled-back' });
    expect((await stack.containers()).edge).toBe(edge);
    expect(await stack.version()).toBe('v1');
    expect([...new Set(seen)].sort()).toEqual(['v1', 'v5']);
  }, 60_000);

  it('comes back by the same way after the old container has gone', async () => {
    const report = await stack.deploy({ environment: 'TAG=v2', 'post-deploy': 'exit 3', ...blueGreen });
    expect(report).toMatchObject({ result: 'rolled-back', hosts: [{ downtime: 0 }] });
    expect(await stack.version()).toBe('v1');
    expect([...new Set(seen)].sort()).toEqual(['v1', 'v2']);
  }, 60_000);

  it('is refused before anything changes where two cannot be, with what to change', async () => {
    await writeFile(
      join(stack.directory, 'compose.yaml'),
      composeFile(stack.registry.url).replace('  web:\n', '  web:\n    container_name: teammoa_web\n'),
    );
    const before = await stack.containers();
    const report = await stack.deploy({ environment: 'TAG=v2', ...blueGreen });
    await writeFile(join(stack.directory, 'compose.yaml'), composeFile(stack.registry.url));
    expect(report).toMatchObject({ result: 'failed' });
    expect(report.reason).toContain(
      'it has container_name: teammoa_web, and a name belongs to one container',
    );
    expect(report.next).toContain('remove "container_name: teammoa_web" below web');
    expect(await stack.containers()).toEqual(before);
  }, 60_000);
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Sample } from '@lockkeeper/probe';
import type { Shell } from '@lockkeeper/ssh';
import { systemClock } from '@lockkeeper/wait';
import { askHealth, judgeHealth, whatToAsk } from '../src/prove/health-url.ts';
import type { HealthProbe } from '../src/settings.ts';

const health: HealthProbe = {
  url: 'http://localhost/health/?x=1',
  status: [[200, 299]],
  json: [
    ['database', 'true'],
    ['checks.redis.state', 'up'],
  ],
  headers: [],
};
const answer = (status: number, body: string): Sample => ({
  answered: true,
  at: 0,
  ms: 1,
  address: '',
  status,
  headers: {},
  body,
  truncated: false,
});

describe('an answer of health-url', () => {
  it.each([
    [200, '{"database":true,"checks":{"redis":{"state":"up"}}}', undefined],
    [
      200,
      '{"database":false,"checks":{"redis":{"state":"up"}}}',
      'GET /health/ answered 200, but database is false, expected true',
    ],
    [200, '{"database":true}', 'checks.redis.state is missing, expected up'],
    [200, '<html>', 'body is not JSON'],
    [503, '', 'GET /health/ answered 503, expected 200-299'],
    [400, '', 'ALLOWED_HOSTS'],
    [301, '', 'X-Forwarded-Proto'],
  ])('%i %s', (status, body, seen) => {
    const said = judgeHealth(health, answer(status, body));
    if (seen === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(seen);
  });
});

describe('the question', () => {
  it.each([
    ['http://localhost:8000/health/', [], 'http://localhost:8000/health/', 'localhost', 8000],
    [
      'https://127.0.0.1/health/',
      [['host', 'shop.example']],
      'https://shop.example/health/',
      '127.0.0.1',
      443,
    ],
    ['http://[::1]:81/', [['Host', 'shop.example:81']], 'http://shop.example:81/', '::1', 81],
  ] as Array<[string, Array<[string, string]>, string, string, number]>)(
    '%s with headers %j is %s through a tunnel to %s:%i',
    (url, headers, asked, host, port) => {
      const question = whatToAsk({ ...health, url, headers });
      expect(question.url.href).toBe(asked);
      expect(question).toMatchObject({ host, port });
    },
  );
});

describe('through the tunnel', () => {
  const open: Array<() => void> = [];
  afterEach(() => {
    for (const close of open.splice(0)) close();
  });
  const listen = async (server: Server): Promise<number> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push(() => server.close());
    return (server.address() as AddressInfo).port;
  };
  /** Leads every tunnel to one port of this computer. */
  const shellTo = (tunnel: Shell['tunnel']): Shell => ({
    name: 'host',
    losses: 0,
    run: () => Promise.reject(new Error('no command is expected')),
    tunnel,
    close: async () => {},
  });
  const dial = (port: number) =>
    shellTo(
      () =>
        new Promise((resolve) => {
          const socket = connect(port, '127.0.0.1', () => resolve(socket));
        }),
    );
  const ask = (shell: Shell, changes: Partial<HealthProbe>, timeout = 2_000) =>
    askHealth(shell, { ...health, json: [], ...changes }, { timeout, clock: systemClock });

  it('the app gets the path, the query and the headers', async () => {
    let seen = '';
    const port = await listen(
      createHttp((request, response) => {
        seen = `${request.headers.host} ${request.url} ${request.headers['x-forwarded-proto']}`;
        response.end();
      }),
    );
    const headers: HealthProbe['headers'] = [
      ['Host', 'shop.example'],
      ['X-Forwarded-Proto', 'https'],
    ];
    expect(await ask(dial(port), { headers })).toBeUndefined();
    expect(seen).toBe('shop.example /health/?x=1 https');
  });

  it('the Host header decides which certificate is asked for and which name it is held against', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'health-url-'));
    const [key, cert] = [join(scratch, 'key.pem'), join(scratch, 'cert.pem')];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
        .concat(['-subj', '/CN=other.example', '-addext', 'subjectAltName=DNS:other.example'])
        .concat(['-keyout', key, '-out', cert]),
      { stdio: 'ignore' },
    );
    const names: string[] = [];
    const port = await listen(
      createHttps({
        key: readFileSync(key),
        cert: readFileSync(cert),
        SNICallback: (name, done) => {
          names.push(name);
          done(null);
        },
      }),
    );
    rmSync(scratch, { recursive: true });
    const said = await ask(dial(port), {
      url: 'https://127.0.0.1/health/',
      headers: [['Host', 'shop.example']],
    });
    expect(names).toEqual(['shop.example']);
    expect(said).toMatch(/^GET \/health\/: the certificate is /);
  });

  it.each([
    [2, 'GET /health/: nothing listens at localhost:80 on the host'],
    [
      1,
      "GET /health/: the host's SSH server allows no tunnel to localhost:80 (AllowTcpForwarding in sshd_config)",
    ],
  ])('that is refused for reason %i it says: %s', async (reason, said) => {
    const refusal = Object.assign(new Error('(SSH) Channel open failure'), { reason });
    expect(
      await ask(
        shellTo(() => Promise.reject(refusal)),
        {},
      ),
    ).toBe(said);
  });

  it('that never opens ends in time', async () => {
    expect(
      await ask(
        shellTo(() => new Promise(() => {})),
        {},
        100,
      ),
    ).toMatch(/within 100 ms/);
  });
});

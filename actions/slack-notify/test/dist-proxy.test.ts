import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { certificate } from '../../../packages/probe/test/certificate.ts';
import { cleanUp, gitHub, messagesOf, slack, step } from './stage.ts';

// A self-hosted runner that reaches Slack and GitHub by a proxy alone: a real CONNECT proxy, TLS at its end.

const clean = cleanUp();
afterEach(clean.now);

const authority = certificate();
let directory: string;
let trusted: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'slack-proxy-'));
  trusted = join(directory, 'authority.pem');
  writeFileSync(trusted, authority.cert);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const portOf = (url: string) => Number(new URL(url).port);

/** Ends TLS for a host name in front of a plain server; answers its port. */
async function ending(host: string, plain: string): Promise<number> {
  const { cert, key } = certificate({ hosts: [host], issuer: authority });
  const server = createTlsServer({ cert, key }, (socket) =>
    pipe(socket, connect(portOf(plain), '127.0.0.1')),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  clean.later(() => new Promise((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
}

/** A proxy that knows these hosts, and lets in who gives the login, where there is one. */
async function proxy(hosts: Record<string, number>, login?: string) {
  const asked: string[] = [];
  const server = createHttpServer((_, response) => response.writeHead(405).end());
  server.on('connect', (request, socket: Socket) => {
    asked.push(request.url!);
    const port = hosts[request.url!];
    const given = request.headers['proxy-authorization'];
    const refusal =
      login && given !== `Basic ${Buffer.from(login).toString('base64')}`
        ? '407 Proxy Authentication Required'
        : port === undefined
          ? '502 Bad Gateway'
          : undefined;
    if (refusal) return void socket.end(`HTTP/1.1 ${refusal}\r\ncontent-length: 0\r\n\r\n`);
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    pipe(socket, connect(port!, '127.0.0.1'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  clean.later(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function pipe(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}

/** The plain server as one that is neither loopback nor Slack, and leads nowhere else; no TLS is spoken there. */
const elsewhere = (url: string) => url.replace('http://127.0.0.1', 'https://0.0.0.0');

const worker = (more: Record<string, string>) => ({
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  HOME: directory,
  LANG: 'C.UTF-8',
  NODE_EXTRA_CA_CERTS: trusted,
  ...more,
});

/** Slack and the Actions API, reachable by the proxy alone. */
async function behindProxy(login?: string) {
  const opened = await slack([], clean);
  const hosts = {
    'hooks.slack.com:443': await ending('hooks.slack.com', opened.webhookUrl),
    'api.github.com:443': await ending('api.github.com', await gitHub(clean)),
  };
  const webhook = `https://hooks.slack.com${new URL(opened.webhookUrl).pathname}`;
  return { opened, webhook, ...(await proxy(hosts, login)) };
}

it.each([
  ['HTTPS_PROXY', {}],
  ['https_proxy', {}],
  ['HTTPS_PROXY', { NODE_USE_ENV_PROXY: '1' }],
])('goes by the proxy of %s, to Slack and to GitHub (%j)', async (name, more) => {
  const { opened, webhook, address, asked } = await behindProxy('mona:pa55word');
  const result = await step(
    { 'webhook-url': webhook },
    {
      secrets: ['pa55word'],
      github: { api_url: 'https://api.github.com' },
      workerEnv: worker({ [name]: `http://mona:pa55word@${address}`, ...more }),
    },
  );
  expect(result).toMatchObject({ code: 0, outputs: { sent: 'true' }, annotations: [] });
  expect(result.log).toContain(`going by the proxy of ${name}`);
  expect([...new Set(asked)].sort()).toEqual(['api.github.com:443', 'hooks.slack.com:443']);
  expect(JSON.stringify(messagesOf(opened))).toContain('release / deploy (eu) › Roll');
});

it('says that the proxy wants a login, after one try, and shows nothing of the proxy’s', async () => {
  const { opened, webhook, address, asked } = await behindProxy('mona:pa55word');
  const { outputs, log } = await step(
    { 'webhook-url': webhook, 'github-token': '' },
    { secrets: ['wr0ngword'], workerEnv: worker({ HTTPS_PROXY: `http://mona:wr0ngword@${address}` }) },
  );
  expect(outputs).toEqual({
    sent: 'false',
    reason: 'it could not be reached: the proxy refuses it with 407; it went by the proxy of HTTPS_PROXY',
  });
  expect([asked, opened.calls]).toEqual([['hooks.slack.com:443'], []]);
  expect(log).not.toContain('wr0ngword');
});

it('says that what opens TLS in between is not trusted, and how to trust it', async () => {
  const { webhook, address, opened } = await behindProxy();
  const { outputs } = await step(
    { 'webhook-url': webhook, 'github-token': '' },
    { workerEnv: worker({ HTTPS_PROXY: `http://${address}`, NODE_EXTRA_CA_CERTS: '' }) },
  );
  expect(outputs.reason).toMatch(
    /^it could not be reached: its certificate is not trusted .*NODE_EXTRA_CA_CERTS; it went by/,
  );
  expect(opened.calls).toEqual([]);
});

it('goes straight to a host of NO_PROXY', async () => {
  const { opened, address, asked } = await behindProxy();
  const { outputs } = await step(
    { 'webhook-url': elsewhere(opened.webhookUrl), 'github-token': '' },
    { workerEnv: worker({ HTTPS_PROXY: `http://${address}`, NO_PROXY: '0.0.0.0' }) },
  );
  expect(outputs.reason).toContain('no TLS is spoken there');
  expect(asked).toEqual([]);
});

it('never goes by a proxy to this computer: that would show the secret to the network', async () => {
  const { opened, address, asked } = await behindProxy();
  const { outputs } = await step(
    { 'webhook-url': opened.webhookUrl, 'github-token': '' },
    { workerEnv: worker({ HTTP_PROXY: `http://${address}`, HTTPS_PROXY: `http://${address}` }) },
  );
  expect([outputs.sent, asked]).toEqual(['true', []]);
});

it('warns of a proxy that is none, without repeating it', async () => {
  const { webhookUrl } = await slack([], clean);
  const { annotations, log } = await step(
    { 'webhook-url': elsewhere(webhookUrl), 'github-token': '' },
    { secrets: ['pa55word'], workerEnv: worker({ HTTPS_PROXY: 'mona:pa55word at the proxy' }) },
  );
  expect(annotations).toContainEqual({
    level: 'warning',
    title: 'Slack',
    message: 'HTTPS_PROXY is not used: it is not the URL of a proxy, such as http://10.0.0.1:3128',
  });
  expect(log).not.toContain('pa55word');
});

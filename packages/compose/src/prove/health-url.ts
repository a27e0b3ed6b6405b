import * as http from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import * as tls from 'node:tls';
import type { Shell } from '@lockkeeper/ssh';
import type { HealthProbe } from '../settings.ts';

const bodyLimit = 64 * 1024;

/** Asks the app once, from the host through the SSH connection. Answers undefined when it holds, else what was seen. */
export async function askHealth(
  shell: Shell,
  probe: HealthProbe,
  timeout: number,
): Promise<string | undefined> {
  const url = new URL(probe.url);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  let socket: Duplex;
  try {
    socket = await shell.tunnel(url.hostname.replace(/^\[|\]$/g, ''), port);
  } catch {
    return `GET ${url.pathname}: nothing listens at ${url.host} on the host`;
  }
  try {
    const answer = await ask(url, probe, socket, timeout);
    return judgeHealth(probe, answer.status, answer.body);
  } catch (error) {
    return `GET ${url.pathname}: ${(error as Error).message}`;
  } finally {
    socket.destroy();
  }
}

function ask(
  url: URL,
  probe: HealthProbe,
  socket: Duplex,
  timeout: number,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = Object.fromEntries(probe.headers);
    const host = Object.entries(headers).find(([name]) => name.toLowerCase() === 'host')?.[1];
    const options: http.RequestOptions = {
      method: 'GET',
      path: url.pathname + url.search,
      host: url.hostname,
      headers: { 'user-agent': 'lockkeeper', accept: '*/*', connection: 'close', ...headers },
      createConnection: () => (url.protocol === 'https:' ? overTls(socket, host ?? url.hostname) : socket),
    };
    const request = http.request(options);
    const timer = setTimeout(
      () => request.destroy(new Error(`no answer within ${Math.round(timeout / 1000)} s`)),
      timeout,
    );
    request.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        if (body.length < bodyLimit) body += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.end();
  });
}

/** The certificate is verified for the name in the Host header, as a browser's would be. */
function overTls(socket: Duplex, host: string): tls.TLSSocket {
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return tls.connect({ socket, servername: isIP(name) ? undefined : name, host: name });
}

/** Whether an answer is what the inputs ask for: undefined when it is, else what was seen and expected. Pure. */
export function judgeHealth(probe: HealthProbe, status: number, body: string): string | undefined {
  const asked = `GET ${new URL(probe.url).pathname}`;
  if (!probe.status.some(([from, to]) => status >= from && status <= to)) {
    const expected = probe.status.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
    const hint =
      status === 400
        ? ' (ALLOWED_HOSTS? give the Host in health-headers)'
        : status >= 300 && status < 400
          ? ' (a redirect: to HTTPS? give X-Forwarded-Proto: https in health-headers)'
          : '';
    return `${asked} answered ${status}, expected ${expected}${hint}`;
  }
  if (probe.json.length === 0) return undefined;
  let data: unknown;
  try {
    data = JSON.parse(body);
  } catch {
    return `${asked} answered ${status} with a body that is not JSON`;
  }
  for (const [path, expected] of probe.json) {
    const seen = at(data, path);
    const text = typeof seen === 'string' ? seen : JSON.stringify(seen);
    if (text !== expected)
      return `${asked} answered ${status} with ${path}=${text?.slice(0, 100) ?? 'nothing'}, expected ${expected}`;
  }
  return undefined;
}

function at(data: unknown, path: string): unknown {
  let value = data;
  for (const key of path.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

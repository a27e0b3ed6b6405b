import type { Duplex } from 'node:stream';
import { observe, type ProbeTarget, probe, type Sample } from '@lockkeeper/probe';
import type { Shell } from '@lockkeeper/ssh';
import { type Clock, formatDuration } from '@lockkeeper/wait';
import type { HealthProbe } from '../settings.ts';

/** Asks the app once, from the host through the SSH connection. Answers undefined when it holds, else what was seen. */
export async function askHealth(
  shell: Shell,
  health: HealthProbe,
  { timeout, clock, signal }: { timeout: number; clock: Clock; signal?: AbortSignal },
): Promise<string | undefined> {
  const { url, headers, host, port } = whatToAsk(health);
  const sample = await probe(
    { url, headers, timeout, connect: () => tunnel(shell, host, port, timeout) },
    { clock, signal },
  );
  return judgeHealth(health, sample);
}

/**
 * Where the tunnel leads, and the URL that is asked through it: a Host header names the app, so that the
 * certificate is verified for that name, as a browser's would be. Pure.
 */
export function whatToAsk(
  health: HealthProbe,
): Pick<ProbeTarget, 'url'> & { headers: Record<string, string>; host: string; port: number } {
  const asked = new URL(health.url);
  const url = new URL(asked);
  const headers = { 'user-agent': 'lockkeeper', ...Object.fromEntries(health.headers) };
  const name = health.headers.find(([header]) => header.toLowerCase() === 'host')?.[1];
  if (name) url.hostname = name.replace(/:\d+$/, '');
  return {
    url,
    headers,
    host: asked.hostname.replace(/^\[|\]$/g, ''),
    port: Number(asked.port) || (asked.protocol === 'https:' ? 443 : 80),
  };
}

/** RFC 4254, 5.1: why a server opened no channel. */
const prohibited = 1;
const connectFailed = 2;

function tunnel(shell: Shell, host: string, port: number, timeout: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(new Error(`${host}:${port} does not answer the host within ${formatDuration(timeout)}`));
    }, timeout);
    shell
      .tunnel(host, port)
      .then(
        (socket) => (late ? socket.destroy() : resolve(socket)),
        (error: Error & { reason?: number }) => reject(explainNoTunnel(error, `${host}:${port}`)),
      )
      .finally(() => clearTimeout(timer));
  });
}

/** Pure. */
export function explainNoTunnel(error: Error & { reason?: number }, to: string): Error {
  if (error.reason === connectFailed) return new Error(`nothing listens at ${to} on the host`);
  if (error.reason === prohibited)
    return new Error(`the host's SSH server allows no tunnel to ${to} (AllowTcpForwarding in sshd_config)`);
  return error;
}

/** Whether an answer is what the inputs ask for: undefined when it is, else what was seen and expected. Pure. */
export function judgeHealth({ url, status, json }: HealthProbe, sample: Sample): string | undefined {
  const asked = `GET ${new URL(url).pathname}`;
  const { outcome, problem } = observe(sample, { status, json });
  if (outcome === 'good') return undefined;
  if (!sample.answered) return `${asked}: ${problem}`;
  if (status.some(([from, to]) => sample.status >= from && sample.status <= to))
    return `${asked} answered ${sample.status}, but ${problem}`;
  return `${asked} ${problem}${hint(sample.status)}`;
}

function hint(status: number): string {
  if (status === 400) return ' (ALLOWED_HOSTS? give the Host in health-headers)';
  if (status >= 300 && status < 400)
    return ' (a redirect: to HTTPS? give X-Forwarded-Proto: https in health-headers)';
  return '';
}

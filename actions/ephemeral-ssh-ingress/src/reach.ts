import { connect } from 'node:net';
import { UserError } from '@lockkeeper/action';
import { type Clock, Deadline, formatDuration, TimeoutError, until } from '@lockkeeper/wait';

export interface HostPort {
  host: string;
  port: number;
}

/** What one attempt to connect met: `open`, or the system's code, `ETIMEDOUT` when nothing answered. */
export type Attempt = 'open' | { code: string; message: string };

/** One TCP connection, made and closed. */
export function tryConnect(
  { host, port }: HostPort,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
): Promise<Attempt> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket = connect({ host, port, autoSelectFamilyAttemptTimeout: 2_000 });
    const end = (attempt: Attempt) => {
      signal?.removeEventListener('abort', stop);
      socket.destroy();
      resolve(attempt);
    };
    const stop = () => {
      socket.destroy();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', stop, { once: true });
    socket.setTimeout(timeoutMs, () => end({ code: 'ETIMEDOUT', message: 'nothing answered' }));
    socket.once('connect', () => end('open'));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end({ code: error.code ?? 'EUNKNOWN', message: error.message || (error.code ?? String(error)) }),
    );
  });
}

/** Why a port stays shut although its rule is there: what is possible, most likely first. */
export function explainShut({ host, port }: HostPort, attempt: Exclude<Attempt, 'open'>, cidrs: string[]) {
  const address = `${host}:${port}`;
  const seen = cidrs.join(' and ');
  switch (attempt.code) {
    case 'ECONNREFUSED':
      return {
        message: `${address} refuses the connection: the rule lets us through, but nothing listens there`,
        next: `check that sshd runs on the host and listens on ${port} (systemctl status ssh); a host firewall that rejects looks the same`,
      };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        message: `${host} has no address: its name does not resolve from this runner`,
        next: 'check the name in probe; a private DNS name needs a runner inside the VPC',
      };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return {
        message: `there is no route from this runner to ${address} (${attempt.message})`,
        next: 'check the address in probe: a private address needs a runner inside the VPC, an IPv6 address a runner with IPv6',
      };
    default:
      return {
        message: `${address} does not answer although the rule for ${seen} is there (${attempt.message})`,
        next: [
          'check, most likely first: the security group is attached to this very instance;',
          `the runner leaves by another address than ${seen} (a proxy, a VPN, a NAT with several addresses: give cidr);`,
          'the network ACL or route table of the subnet; the instance is running and has this public address;',
          'a firewall on the host; sshd is up',
        ].join(' '),
      };
  }
}

/** Waits until every target accepts a TCP connection. Throws a UserError that says what keeps the port shut. */
export async function waitReachable(
  targets: HostPort[],
  {
    cidrs,
    timeoutMs,
    clock,
    signal,
    say,
    attempt = tryConnect,
  }: {
    cidrs: string[];
    timeoutMs: number;
    clock: Clock;
    signal?: AbortSignal;
    say: (line: string) => void;
    attempt?: typeof tryConnect;
  },
): Promise<void> {
  const deadline = new Deadline(clock, timeoutMs);
  await Promise.all(
    targets.map(async (target) => {
      const name = `${target.host}:${target.port}`;
      const started = clock.now();
      let last: Exclude<Attempt, 'open'> = { code: 'ETIMEDOUT', message: 'nothing answered' };
      let shown = '';
      try {
        await until(
          async () => {
            const met = await attempt(target, {
              timeoutMs: Math.max(500, Math.min(5_000, deadline.remaining())),
              signal,
            });
            if (met === 'open') return true;
            last = met;
            if (met.code !== shown) {
              shown = met.code;
              say(`${name} is not open yet (${met.message}), ${formatDuration(clock.now() - started)}`);
            }
            return undefined;
          },
          { clock, deadline, interval: 1_000, signal, what: name },
        );
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
        const { message, next } = explainShut(target, last, cidrs);
        throw new UserError(`waited ${formatDuration(timeoutMs)}: ${message}`, { next });
      }
      say(`${name} accepts connections after ${formatDuration(clock.now() - started)}`);
    }),
  );
}

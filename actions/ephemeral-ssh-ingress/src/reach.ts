import { UserError } from '@lockkeeper/action';
import { type NoAnswer, probe, type Sample } from '@lockkeeper/probe';
import { type Clock, Deadline, formatDuration, TimeoutError, until } from '@lockkeeper/wait';

export interface HostPort {
  host: string;
  port: number;
}

/** One TCP connection, made and closed. */
export function tryConnect(
  { host, port }: HostPort,
  { timeout, clock, signal }: { timeout: number; clock: Clock; signal?: AbortSignal },
): Promise<Sample> {
  const url = new URL(`tcp://${host.includes(':') ? `[${host}]` : host}:${port}`);
  return probe({ url, timeout }, { clock, signal });
}

/** Why a port stays shut although its rule is there: what is possible, most likely first. */
export function explainShut(
  { host, port }: HostPort,
  met: Pick<NoAnswer, 'code' | 'message'>,
  cidrs: string[],
) {
  const address = `${host}:${port}`;
  const seen = cidrs.join(' and ');
  switch (met.code) {
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
        message: `there is no route from this runner to ${address} (${met.message})`,
        next: 'check the address in probe: a private address needs a runner inside the VPC, an IPv6 address a runner with IPv6',
      };
    default:
      return {
        message: `${address} does not answer although the rule for ${seen} is there (${met.message})`,
        next: [
          'check, most likely first: the security group is attached to this very instance (one of another VPC cannot be);',
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
      let last = { code: 'ETIMEDOUT', message: 'nothing answered' };
      let shown = '';
      try {
        await until(
          async () => {
            const met = await attempt(target, {
              timeout: Math.max(500, Math.min(5_000, deadline.remaining())),
              clock,
              signal,
            });
            if (met.answered) return true;
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

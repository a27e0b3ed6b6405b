import type { Duplex } from 'node:stream';
import { type Log, UserError } from '@lockkeeper/action';
import { backoff, type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import ssh2 from 'ssh2';
import {
  fingerprintOf,
  judgeHostKey,
  keyTypeOf,
  knownHostName,
  offeredAlgorithms,
  pinnedFor,
  withoutType,
} from './host-trust.ts';
import type { SshTarget } from './target.ts';

export interface DialContext {
  log: Log;
  clock: Clock;
  signal?: AbortSignal;
}

/** A live SSH connection; `end` also ends the jump host's connection under it. */
export interface Session {
  client: ssh2.Client;
  end(): void;
}

/** The host did not answer until the connect timeout; it may do so later. */
export class Unreachable extends UserError {
  override readonly name = 'Unreachable';
}

/** Three in a row unanswered, and as long again: a connection that went silent is given up after 28 s, well before TCP would. */
const keepaliveInterval = 7_000;

/** What one attempt met. `retry` is for causes that pass by themselves; wrong keys do not. */
interface Failure {
  retry: boolean;
  error: UserError;
  /** The type of the host key that was shown and not pinned, when another type may be. */
  refusedType?: string;
}

class AttemptFailed extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.error.message);
    this.failure = failure;
  }
}

/**
 * Connects, proves the host key before anything else is said, and logs in. Only causes that pass by
 * themselves are tried again, within the target's connect timeout: then it throws Unreachable. Throws UserError with
 * the cause.
 */
export async function dial(target: SshTarget, context: DialContext): Promise<Session> {
  const { clock, log, signal } = context;
  const deadline = new Deadline(clock, target.connectTimeout);
  const pause = backoff({ first: 500, factor: 1.7, max: 5_000 });
  let algorithms = offeredAlgorithms(target.trust, target.host, target.port);
  if (algorithms?.length === 0)
    throw new UserError(
      `no host key is pinned for ${knownHostName(target.host, target.port)}: known-hosts has lines, none for it`,
      {
        next: `ssh-keyscan -p ${target.port} ${target.host}   (and compare the key with the host's console)`,
      },
    );
  let mismatch: UserError | undefined;
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await attemptOnce(target, algorithms, Math.max(1, deadline.remaining()), context);
    } catch (error) {
      if (!(error instanceof AttemptFailed)) throw error;
      const { failure } = error;
      if (failure.refusedType) {
        // A bare fingerprint does not tell its type: ask the server for its other keys before giving up.
        mismatch ??= failure.error;
        algorithms = withoutType(algorithms, failure.refusedType);
        if (algorithms.length > 0) continue;
      }
      if (mismatch) throw mismatch;
      if (!failure.retry) throw failure.error;
      const wait = pause(attempt) * (0.75 + Math.random() / 2);
      if (deadline.remaining() <= wait)
        throw new Unreachable(
          `${failure.error.message} (tried ${attempt + 1} times in ${formatDuration(deadline.elapsed())})`,
          { next: failure.error.next, cause: failure.error.cause },
        );
      log.info(`${target.host}: ${failure.error.message}; trying again`);
      await clock.sleep(wait, signal);
    }
  }
}

async function attemptOnce(
  target: SshTarget,
  algorithms: string[] | undefined,
  timeout: number,
  context: DialContext,
): Promise<Session> {
  if (!target.jump) return handshake(target, algorithms, timeout, context);
  const jump = await dial({ ...target.jump, connectTimeout: timeout }, context);
  try {
    const socket = await new Promise<Duplex>((resolve, reject) =>
      jump.client.forwardOut('127.0.0.1', 0, target.host, target.port, (error, channel) =>
        error
          ? reject(
              new AttemptFailed({
                retry: true,
                error: new UserError(
                  `the jump host ${target.jump?.host} cannot reach ${target.host}:${target.port} (${error.message})`,
                  { next: `on the jump host: nc -vz ${target.host} ${target.port}` },
                ),
              }),
            )
          : resolve(channel),
      ),
    );
    const session = await handshake(target, algorithms, timeout, context, socket);
    session.client.on('close', () => jump.end());
    return {
      client: session.client,
      end: () => {
        session.end();
        jump.end();
      },
    };
  } catch (error) {
    jump.end();
    throw error;
  }
}

function handshake(
  target: SshTarget,
  algorithms: string[] | undefined,
  timeout: number,
  { log, signal }: DialContext,
  sock?: Duplex,
): Promise<Session> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    let shown: Buffer | undefined;
    let connected = false;
    const give = (failure: Failure) => {
      signal?.removeEventListener('abort', cancel);
      client.destroy();
      reject(new AttemptFailed(failure));
    };
    const cancel = () => {
      client.destroy();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    client.on('connect', () => {
      connected = true;
    });
    client.on('ready', () => {
      signal?.removeEventListener('abort', cancel);
      // A command is a few small packets each way: held back for one another they cost a quarter of a second.
      client.setNoDelay(true);
      // After this the owner of the session listens; an error without a listener would end the process.
      client.on('error', (error) => log.debug(`${target.host}: ${error.message}`));
      resolve({ client, end: () => client.end() });
    });
    client.once('error', (error) => give(explain(target, error, shown, connected)));
    client.once('close', () =>
      give({ retry: true, error: new UserError(`${where(target)} closed the connection before the login`) }),
    );
    try {
      client.connect({
        host: target.host,
        port: target.port,
        username: target.username,
        privateKey: target.privateKey,
        passphrase: target.passphrase,
        sock: sock as never,
        readyTimeout: timeout,
        keepaliveInterval,
        keepaliveCountMax: 3,
        authHandler: ['publickey'],
        algorithms: algorithms ? { serverHostKey: algorithms as ssh2.ServerHostKeyAlgorithm[] } : undefined,
        // ssh2 rejects on a strict `false` alone: this must stay a plain function that returns a boolean.
        hostVerifier: (key: Buffer): boolean => {
          shown = key;
          return judgeHostKey(target.trust, target.host, target.port, key).trusted === true;
        },
      });
    } catch (error) {
      give({ retry: false, error: new UserError(`${where(target)}: ${(error as Error).message}`) });
    }
  });
}

function where(target: SshTarget): string {
  return `${target.host}:${target.port}`;
}

/** What an ssh2 error means, by its level and code. Pure. */
export function explain(
  target: SshTarget,
  error: Error & { level?: string; code?: string },
  shown: Buffer | undefined,
  connected: boolean,
): Failure {
  const at = where(target);
  if (shown) {
    const judgement = judgeHostKey(target.trust, target.host, target.port, shown);
    if (!judgement.trusted) return hostKeyRefused(target, shown, judgement.why);
  }
  const message = error.message;
  if (error.level === 'client-authentication')
    return {
      retry: false,
      error: new UserError(
        `${at} refused the key for user "${target.username}": it is not in that user's authorized_keys, or the user is wrong`,
        {
          next: `on the host: ssh-keygen -lf ~${target.username}/.ssh/authorized_keys   (compare with ssh-keygen -lf of your key)`,
        },
      ),
    };
  if (message.includes('no matching host key format'))
    return {
      retry: false,
      error: new UserError(
        `${at} has no host key of the pinned type: pinned ${pinnedFor(target.trust, target.host, target.port).join(', ')}`,
        { next: `ssh-keyscan -p ${target.port} ${target.host}` },
      ),
    };
  if (message.includes('no matching'))
    return {
      retry: false,
      error: new UserError(`${at}: ${message.replace('Handshake failed: ', '')} in common with this client`),
    };
  switch (error.code) {
    case 'ENOTFOUND':
      return {
        retry: false,
        error: new UserError(`the name ${target.host} is unknown to DNS`, {
          next: `dig +short ${target.host}`,
        }),
      };
    case 'EAI_AGAIN':
      return { retry: true, error: new UserError(`DNS does not answer for ${target.host}`) };
    case 'ECONNREFUSED':
      return {
        retry: true,
        error: new UserError(`${at} refused the connection: no SSH server listens there`, {
          next: `nc -vz ${target.host} ${target.port}`,
        }),
      };
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return {
        retry: true,
        error: new UserError(
          `${at} does not answer: the security group does not let this runner in, or the address is wrong`,
          { next: `nc -vz -w 5 ${target.host} ${target.port}` },
        ),
      };
    case 'ECONNRESET':
    case 'EPIPE':
      return { retry: true, error: new UserError(`${at} dropped the connection during the handshake`) };
  }
  if (error.level === 'client-timeout')
    return {
      retry: true,
      error: new UserError(
        connected
          ? `${at} accepted the connection but did not finish the SSH handshake`
          : `${at} does not answer: the security group does not let this runner in, or the address is wrong`,
        { next: `nc -vz -w 5 ${target.host} ${target.port}` },
      ),
    };
  // A server at its MaxStartups limit closes before it says anything; so does fail2ban.
  return {
    retry: /before handshake|socket|ended|closed|reset/i.test(message),
    error: new UserError(`${at}: ${message}`, { cause: error }),
  };
}

function hostKeyRefused(target: SshTarget, blob: Buffer, why: 'revoked' | 'changed' | 'unknown'): Failure {
  const name = knownHostName(target.host, target.port);
  const type = keyTypeOf(blob) ?? 'unknown';
  const pinned = pinnedFor(target.trust, target.host, target.port).join(', ') || 'none';
  const line = `${name} ${type} ${blob.toString('base64')}`;
  const what = {
    revoked: `the host key of ${name} is marked @revoked`,
    changed: `the host key of ${name} is not the pinned one: somebody is in between, or the host was built anew`,
    unknown: `the host key of ${name} is of a type that is not pinned`,
  }[why];
  return {
    retry: false,
    refusedType: why === 'revoked' || target.trust.fingerprints.length === 0 ? undefined : type,
    error: new UserError(`${what}; offered ${fingerprintOf(blob)} (${type}), expected ${pinned}`, {
      next: `compare with the host's own console (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub); if it is yours, the known-hosts line is: ${line}`,
    }),
  };
}

import { spawn } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask, run } from './command.ts';
import { Host, type HostOptions } from './host.ts';
import { makeKey, type SshKey } from './keys.ts';
import { Services } from './services.ts';

/** Where networks keep their hosts' disks. Not /tmp, which is memory on some machines. */
export const networksRoot = '/var/tmp/lockkeeper-real';

const guard = fileURLToPath(new URL('guard.sh', import.meta.url));
/** So many networks fit side by side on one machine. */
const numbers = 250;

/**
 * A bridge with real hosts and a registry on it, on this machine. The runner's place is this process itself, at
 * the first address. It is gone when it is closed, and when this process ends, however that comes about.
 */
export class Network {
  readonly number: number;
  /** What all its hosts let in. */
  readonly key: SshKey;
  readonly services: Services;
  readonly #hold: () => Promise<void>;
  #hosts = 0;

  constructor(number: number, key: SshKey, services: Services, hold: () => Promise<void>) {
    this.number = number;
    this.key = key;
    this.services = services;
    this.#hold = hold;
  }

  /** The runner's address, as a host sees it. */
  get address(): string {
    return addressIn(this.number, 1);
  }

  /** Starts a host; ready when sshd and dockerd answer. The name is its hostname too. */
  async host(name: string, options: HostOptions = {}): Promise<Host> {
    const address = addressIn(this.number, 10 + this.#hosts++);
    return Host.open({ network: this, name, address }, options);
  }

  /** Another address of the runner's, such as one that a security group does not let in. */
  async addSource(last: number): Promise<string> {
    const address = addressIn(this.number, last);
    await run('ip', ['addr', 'replace', `${address}/24`, 'dev', bridgeOf(this.number)]);
    return address;
  }

  async close(): Promise<void> {
    await this.#hold();
  }
}

/** 198.18.0.0/15 is set aside for tests of networks (RFC 2544): no machine has a real host there. */
export function addressIn(number: number, last: number): string {
  return `198.18.${number}.${last}`;
}

export function bridgeOf(number: number): string {
  return `lk${number}`;
}

/** The network namespace of a host; its name tells whose it is, so that it can be found without a record. */
export function namespaceOf(number: number, name: string): string {
  return `lk${number}-${name}`;
}

/**
 * Opens a network of its own: several can be open at once, also those of other checkouts. Its registry begins
 * with a copy of the storage `registry`, if one is given.
 */
export async function openNetwork({ registry }: { registry?: string } = {}): Promise<Network> {
  await mkdir(networksRoot, { recursive: true });
  const { number, release } = await claim();
  try {
    const bridge = bridgeOf(number);
    await run('ip', ['link', 'add', bridge, 'type', 'bridge']);
    await run('ip', ['addr', 'add', `${addressIn(number, 1)}/24`, 'dev', bridge]);
    await run('ip', ['link', 'set', bridge, 'up']);
    const [key, services] = await Promise.all([makeKey(), Services.open(number, registry)]);
    return new Network(number, key, services, release);
  } catch (error) {
    await release();
    throw error;
  }
}

/** A number that nobody else has, and the process that watches over it. */
async function claim(): Promise<{ number: number; release: () => Promise<void> }> {
  for (let number = 1; number <= numbers; number++) {
    // In a session of its own: ctrl-C ends us, and the guard then tidies up.
    const child = spawn('sh', [guard, 'keep', networksRoot, String(number)], {
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const claimed = await new Promise<boolean>((resolve, reject) => {
      child.once('error', reject);
      child.stdout.once('data', () => resolve(true));
      child.once('exit', () => resolve(false));
    });
    if (!claimed) continue;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.unref();
    return {
      number,
      release: async () => {
        child.ref();
        child.stdin.end();
        await ended;
      },
    };
  }
  throw new Error(`${numbers} networks are open already; pnpm real:hosts down ends those that nobody holds`);
}

/** Takes down what a killed guard left; networks that somebody holds stay. Answers their numbers. */
export async function sweep(): Promise<{ swept: number[]; held: number[] }> {
  const names = await readdir(networksRoot).catch(() => [] as string[]);
  const swept: number[] = [];
  const held: number[] = [];
  for (const number of names.filter((name) => /^\d+$/.test(name)).map(Number)) {
    const { code } = await ask('sh', [guard, 'keep', networksRoot, String(number)]);
    (code === 75 ? held : swept).push(number);
  }
  return { swept, held };
}

export function directoryOf(number: number): string {
  return join(networksRoot, String(number));
}

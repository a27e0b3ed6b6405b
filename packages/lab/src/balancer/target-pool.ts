import { Agent } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * The kept-alive connections of the balancer to one target. A connection idle for `idleMs` (real time) is closed by us
 * and never used again, so that an app whose own limit is longer never closes one under a request. An app with a
 * shorter limit loses that race now and then, as it does behind a real load balancer, which ignores Keep-Alive hints.
 */
export class TargetPool extends Agent {
  readonly #idleMs: number;
  readonly #idleSince = new WeakMap<Duplex, number>();
  #retired = false;

  constructor(idleMs: number) {
    super({ keepAlive: true });
    this.#idleMs = idleMs;
  }

  /** Whether a connection that has done its work is kept (Node's types say void, its agent reads a boolean). */
  override keepSocketAlive(socket: Duplex): boolean {
    if (this.#retired) return false;
    this.#idleSince.set(socket, performance.now());
    if (socket instanceof Socket) socket.setTimeout(this.#idleMs).unref();
    return true;
  }

  /** Closes what has been idle too long. The timer alone can be late on a busy machine: call it before each request. */
  closeStale(): void {
    const oldest = performance.now() - this.#idleMs;
    for (const socket of this.#idle()) {
      if ((this.#idleSince.get(socket) ?? 0) <= oldest) socket.destroy();
    }
  }

  /** Closes idle connections now and busy ones after their answer. */
  retire(): void {
    this.#retired = true;
    for (const socket of this.#idle()) socket.destroy();
  }

  #idle(): Duplex[] {
    return Object.values(this.freeSockets).flatMap((sockets) => [...(sockets ?? [])]);
  }
}

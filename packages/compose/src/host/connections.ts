/** Where a container listens, for counting who is connected to it. */
export interface Listener {
  port: number;
  /** The container's own addresses. */
  addresses: readonly string[];
}

/**
 * Counts established connections to a container's port in the text of its `/proc/<pid>/net/tcp` and `tcp6`
 * (state 01; readable without root). Loopback is the container's own health check and does not count,
 * unless it is the container's address. Pure.
 */
export function connections(table: string, { port, addresses }: Listener): number {
  let count = 0;
  for (const line of table.split('\n')) {
    const [, local, state] = /^\s*\d+:\s+([0-9A-F]+:[0-9A-F]{4})\s+\S+\s+([0-9A-F]{2})\s/.exec(line) ?? [];
    if (!local || state !== '01') continue;
    const [address = '', hexPort = ''] = local.split(':');
    if (Number.parseInt(hexPort, 16) !== port) continue;
    const readable = kernelAddress(address);
    if (addresses.includes(readable)) count++;
    else if (!/^127\.|^::1$/.test(readable) && !addresses.some((own) => own.startsWith('127.'))) count++;
  }
  return count;
}

/** The kernel prints addresses as little-endian words: `0100007F` is 127.0.0.1. */
function kernelAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  for (let word = 0; word + 4 <= bytes.length; word += 4) bytes.subarray(word, word + 4).reverse();
  if (bytes.length === 4) return [...bytes].join('.');
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff)
    return [...bytes.subarray(12)].join('.');
  if (bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return '::1';
  return bytes.toString('hex');
}

import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** A CIDR block as EC2 stores it: host bits cleared, IPv6 in its shortest spelling. */
export interface Cidr {
  text: string;
  family: 'ipv4' | 'ipv6';
}

/** Reads and canonicalises `address/length` (100.68.0.18/18 → 100.68.0.0/18); undefined when it is none. */
export function parseCidr(text: string): Cidr | undefined {
  const [, address, digits] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (address === undefined || digits === undefined) return undefined;
  const length = Number(digits);
  if (isIPv4(address) && length <= 32) {
    const bits = address.split('.').reduce((all, part) => all * 256n + BigInt(part), 0n);
    const network = clearHostBits(bits, 32, length);
    const parts = [24n, 16n, 8n, 0n].map((shift) => Number((network >> shift) & 255n));
    return { text: `${parts.join('.')}/${length}`, family: 'ipv4' };
  }
  if (isIPv6(address) && !address.includes('%') && length <= 128) {
    const network = clearHostBits(ipv6Bits(address), 128, length);
    return { text: `${ipv6Text(network)}/${length}`, family: 'ipv6' };
  }
  return undefined;
}

/** Whether the address lies in the block; an IPv4 address mapped into IPv6 counts as IPv4. */
export function cidrContains(cidr: string, address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
  const [network, length] = cidr.split('/') as [string, string];
  if ((isIPv4(network) ? 'ipv4' : 'ipv6') !== family) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(length), family);
  return list.check(plain, family);
}

function clearHostBits(bits: bigint, width: number, length: number): bigint {
  const host = BigInt(width - length);
  return (bits >> host) << host;
}

function ipv6Bits(address: string): bigint {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (a: string, b: string) => (Number(a) * 256 + Number(b)).toString(16);
  const plain = dotted
    ? `${dotted[1]}${hex(dotted[2]!, dotted[3]!)}:${hex(dotted[4]!, dotted[5]!)}`
    : address;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...middle, ...right].reduce((all, part) => all * 65536n + BigInt(`0x${part}`), 0n);
}

/** RFC 5952: no leading zeros, the longest run of two or more zero groups as `::`. */
function ipv6Text(bits: bigint): string {
  const groups = Array.from({ length: 8 }, (_, n) =>
    Number((bits >> BigInt(112 - 16 * n)) & 0xffffn).toString(16),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}

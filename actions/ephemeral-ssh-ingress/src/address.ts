import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** An address as AWS writes it: IPv6 shortest form, lower case. Undefined when it is none (a zone, a short IPv4, spaces). */
export function canonicalAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return ipaddr.IPv6.parse(text).toRFC5952String();
}

/** `203.0.113.7`, `203.0.113.7/32`, `2001:db8::1/128` as a CIDR of one address, or why not. */
export function readCidr(text: string): { cidr: string; family: 4 | 6 } | { problem: string } {
  const [address = '', prefix, ...rest] = text.split('/');
  const canonical = canonicalAddress(address);
  if (!canonical || rest.length > 0) return { problem: 'not an IPv4 or IPv6 address' };
  const family = isIPv4(canonical) ? 4 : 6;
  if (family === 6 && ipaddr.IPv6.parse(canonical).isIPv4MappedAddress())
    return { problem: 'an IPv4 address in IPv6 notation' };
  const whole = family === 4 ? '32' : '128';
  if (prefix !== undefined && prefix !== whole)
    return /^\d{1,3}$/.test(prefix) && Number(prefix) < Number(whole)
      ? { problem: `wider than one address (/${prefix}, not /${whole})` }
      : { problem: `a prefix other than /${whole}` };
  return { cidr: `${canonical}/${whole}`, family };
}

/** Whether the address can be the one that the internet sees; otherwise what it is instead. */
export function notPublic(address: string): string | undefined {
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  if (range === 'unicast') return undefined;
  const names: Record<string, string> = {
    private: 'a private address',
    uniqueLocal: 'a private address',
    carrierGradeNat: "a carrier's shared address (CGNAT)",
    loopback: 'a loopback address',
    linkLocal: 'a link-local address',
    unspecified: 'no address at all',
  };
  return names[range] ?? `a reserved address (${range})`;
}

/** What one lookup service said. */
export type LookupAnswer = { url: string } & ({ address: string } | { failure: string });

/** An answer's text as an address that the internet sees, or why it is not taken. */
export function judgeAnswer(url: string, body: string): LookupAnswer {
  const text = body.trim();
  const address = canonicalAddress(text);
  if (!address)
    return { url, failure: `answered ${JSON.stringify(text.slice(0, 60))}, which is not an address` };
  const other = notPublic(address);
  return other ? { url, failure: `answered ${address}, which is ${other}` } : { url, address };
}

/**
 * The address that enough services agree on, one of each kind: a service can be reached by IPv4 or by IPv6 and
 * sees only that one. `undecided` while those still to answer could add to it.
 */
export function countVotes(
  answers: LookupAnswer[],
  { quorum, outstanding }: { quorum: number; outstanding: number },
): { agreed: string[] } | { undecided: true } | { disagreed: string } {
  const votes = new Map<string, number>();
  for (const answer of answers)
    if ('address' in answer) votes.set(answer.address, (votes.get(answer.address) ?? 0) + 1);
  const agreed: string[] = [];
  for (const isOfKind of [isIPv4, isIPv6]) {
    const ofKind = [...votes].filter(([address]) => isOfKind(address));
    const winner = ofKind.find(([, count]) => count >= quorum);
    if (winner) agreed.push(winner[0]);
    else if (Math.max(0, ...ofKind.map(([, count]) => count)) + outstanding >= quorum)
      return { undecided: true };
  }
  if (agreed.length > 0) return { agreed };
  return {
    disagreed: answers
      .map((answer) => `${answer.url}: ${'address' in answer ? answer.address : answer.failure}`)
      .join('; '),
  };
}

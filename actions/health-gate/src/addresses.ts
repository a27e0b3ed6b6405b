import { isIPv6 } from 'node:net';
import { noRoute, type Observation } from '@lockkeeper/probe';

/** One address of a host, and how it fared. */
export interface AddressRow {
  /** `192.0.2.1:443`, `[2001:db8::1]:443`. */
  address: string;
  family: 'IPv4' | 'IPv6';
  answered: number;
  good: number;
  /** Attempts to connect that led nowhere, so that another address was asked. */
  refused: number;
  /** The system's code for the last of them. */
  code?: string;
}

/** What each address did, in the order of first sight. A name's addresses are asked in turn. Pure. */
export function addressRows(observations: readonly Observation[]): AddressRow[] {
  const rows = new Map<string, AddressRow>();
  const row = (address: string) => {
    const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    const known = rows.get(address) ?? {
      address,
      family: isIPv6(host) ? 'IPv6' : 'IPv4',
      answered: 0,
      good: 0,
      refused: 0,
    };
    rows.set(address, known);
    return known;
  };
  for (const { address, outcome, passedOver = [] } of observations) {
    for (const { address: other, code } of passedOver) {
      const refusing = row(other);
      refusing.refused++;
      refusing.code = code;
    }
    if (!address) continue;
    const asked = row(address);
    if (outcome !== 'no-answer') asked.answered++;
    if (outcome === 'good') asked.good++;
  }
  return [...rows.values()];
}

/** Whether the machine that asks cannot reach this kind of address, which tells nothing of the app. */
export const outOfReach = ({ family, answered, code }: AddressRow): boolean =>
  family === 'IPv6' && answered === 0 && code !== undefined && noRoute.includes(code);

/**
 * Addresses that some users are given and that lead nowhere, though the name as a whole answers. A loopback
 * address that nothing listens on is usual, and leads no user astray. Pure.
 */
export function deadAddresses(rows: readonly AddressRow[]): AddressRow[] {
  const alive = rows.some(({ answered }) => answered > 0);
  return rows.filter(
    (row) =>
      alive &&
      row.answered === 0 &&
      row.refused > 0 &&
      !outOfReach(row) &&
      !/^(127\.|\[::1\])/.test(row.address),
  );
}

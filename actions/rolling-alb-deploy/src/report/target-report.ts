import { type HostRecord, leftOut } from '../roll/roll.ts';
import type { Phase, Timeline } from '../roll/timeline.ts';

/** One element of the output `targets`. */
export interface TargetReport {
  id: string;
  address: string;
  /** In the target group, at the last look; `not registered` when it is in none. */
  state: string;
  release: string;
  /** `deployed`, `unchanged`, `untouched`, `rolled back`, `failed`, `left out`, `left`. */
  result: string;
  seconds: Partial<Record<Phase, number>>;
  /** Connections that were still open when its drains ended; left out when there were none. */
  cut?: number;
  failure?: string;
}

export interface ReleaseNames {
  release: string;
  /** By instance id; missing where nothing of ours served. */
  previous: ReadonlyMap<string, string>;
}

export function targetReports(
  hosts: readonly HostRecord[],
  {
    addresses,
    states,
    names,
    timeline,
  }: {
    addresses: ReadonlyMap<string, string>;
    /** States by instance id, of every place. */
    states: ReadonlyMap<string, string>;
    names: ReleaseNames;
    /** Missing where nothing was timed. */
    timeline?: Timeline;
  },
): TargetReport[] {
  return hosts.map((host) => ({
    id: host.id,
    address: addresses.get(host.id) ?? '',
    state: states.get(host.id) ?? 'not registered',
    release: servedBy(host, names),
    result: wordOf(host),
    seconds: timeline?.seconds(host.id) ?? {},
    ...(host.cut > 0 && { cut: host.cut }),
    ...(host.failure && { failure: host.failure }),
  }));
}

function servedBy(host: HostRecord, { release, previous }: ReleaseNames): string {
  if (host.left) return '';
  if (host.release === 'new' && !host.skipped) return release;
  if (host.skipped) return previous.get(host.id) ?? release;
  if (host.release === 'old') return previous.get(host.id) ?? '';
  return '';
}

function wordOf(host: HostRecord): string {
  if (host.left) return 'left';
  if (leftOut([host]).length > 0) return 'left out';
  if (host.skipped) return 'unchanged';
  if (host.release === 'new' && !host.failure) return host.finished ? 'deployed' : 'not finished';
  if (host.release === 'old') return host.changed ? 'rolled back' : host.failure ? 'failed' : 'untouched';
  return 'failed';
}

/** Releases that serve now, each once; several when hosts differ. */
export function servingReleases(hosts: readonly HostRecord[], names: ReleaseNames): string {
  return [...new Set(hosts.map((host) => servedBy(host, names)).filter(Boolean))].join(',');
}

import type { SingletonRole } from '@lockkeeper/compose';
import { roleOnWayBack } from '@lockkeeper/compose';
import type { HostRecord } from '../roll/roll.ts';

/** A host that could run the singleton services. */
export interface Candidate {
  id: string;
  healthy: boolean;
  /** Those that run there now; undefined where we have never deployed and cannot tell. */
  runs: readonly string[] | undefined;
}

/** `holder` runs them all from now on; '' where it is none of these hosts. */
export type Holding = { holder: string; problem?: undefined } | { holder?: undefined; problem: string };

/**
 * Which host runs the singleton services: the one that runs most of them already, so that nothing moves without need;
 * where nobody does, a healthy one, the same for every run. Of a fleet that is not `whole` (the input `targets` names
 * some of it) another host may run them that is not asked, and then they are only kept, never begun. Pure.
 */
export function holderOf(
  candidates: readonly Candidate[],
  services: readonly string[],
  { whole }: { whole: boolean },
): Holding {
  if (services.length === 0) return { holder: '' };
  const running = ({ runs = [] }: Candidate) => services.filter((service) => runs.includes(service));
  const [best] = [...candidates].sort(
    (a, b) =>
      running(b).length - running(a).length ||
      Number(b.healthy) - Number(a.healthy) ||
      (a.id < b.id ? -1 : 1),
  );
  if (!best) return { holder: '' };
  const all = running(best).length === services.length;
  if (whole || all) return { holder: best.id };
  const some = candidates.find((one) => running(one).length > 0);
  const unknown = candidates.find(({ runs }) => runs === undefined);
  if (!some && !unknown) return { holder: '' };
  const why = some
    ? `${some.id} runs ${running(some).join(', ')}, and not all of ${services.join(', ')}`
    : `nothing was deployed to ${unknown!.id} by us yet, so it cannot be told whether it runs ${services.join(', ')}`;
  return {
    problem: `singleton-services: targets names a part of the fleet, and ${why}; deploy to the whole fleet first, without targets`,
  };
}

/** What a host does with them when it goes back, by where the roll is now. Pure. */
export function wayBackOf(id: string, holder: string, hosts: readonly HostRecord[]): SingletonRole {
  const holds = hosts.find((host) => host.id === holder);
  const stays = holds && !holds.left && holds.release === 'new' && holds.goal === 'new';
  return roleOnWayBack(id === holder, stays);
}

/** Whether the host that was to run them is no longer there. Pure. */
export function hasLost(holder: string, hosts: readonly HostRecord[]): boolean {
  return holder !== '' && !hosts.some(({ id, left }) => id === holder && !left);
}

/** The roll goes on with this host alone: it has the release already, and gets it once more, with them. Pure. */
export function takesOver(heir: string, hosts: readonly HostRecord[]): HostRecord[] {
  const batch = Math.max(-1, ...hosts.map((host) => host.batch)) + 1;
  return hosts.map((host) =>
    host.id === heir
      ? { ...host, release: 'old', goal: 'new', finished: false, skipped: false, batch }
      : host,
  );
}

/** For the plan; '' where there are none. Pure. */
export function singletonNote(services: readonly string[], holder: string): string {
  if (services.length === 0) return '';
  return holder
    ? `${services.join(', ')} ${services.length === 1 ? 'runs' : 'run'} on ${holder} alone`
    : `${services.join(', ')} ${services.length === 1 ? 'is' : 'are'} left to hosts that targets does not name`;
}

import { names } from '../roll/place.ts';
import { type HostRecord, inStandby, leftOut } from '../roll/roll.ts';
import type { Minimum } from '../roll/roll-context.ts';
import type { RollState } from '../state.ts';
import { leftovers } from './result-line.ts';
import { type ReleaseNames, servingReleases } from './target-report.ts';

/** Where post brought what main had left. */
export interface Ended {
  /** What main wrote down last. */
  state: RollState;
  hosts: HostRecord[];
  states: ReadonlyMap<string, string>;
  /** Auto Scaling groups whose minimum size is still lowered, and what it was. */
  minimums: readonly Minimum[];
}

/** Whether everything is as it was: in rotation, proven, and counted by its Auto Scaling group. */
export const isRight = ({ hosts, minimums }: Ended) =>
  leftOut(hosts).length + unproven(hosts).length + inStandby(hosts).length + minimums.length === 0;

/** In service with what nobody proved: the load balancer's check decides on traffic. */
const unproven = (hosts: readonly HostRecord[]) =>
  hosts.filter(({ release, rotation }) => release === 'unfit' || rotation === 'registered');

/** That the roll was interrupted, in what, what post did, and what serves now: in sentences. */
export function interruptionLine({ state, hosts, states, minimums }: Ended, releases: ReleaseNames): string {
  const busy = state.hosts.filter(({ finished, touched, changed }) => !finished && (touched || changed));
  const after = (ids: readonly HostRecord[]) => hosts.filter(({ id }) => ids.some((one) => one.id === id));
  const out = leftOut(hosts);
  const unfit = unproven(hosts).filter((host) => !out.includes(host));
  const back = after(busy).filter((host) => !out.includes(host) && !unfit.includes(host));
  const onNew = hosts.filter(({ release, skipped }) => release === 'new' && !skipped);
  const total = hosts.length || states.size;
  const healthy = [...states.values()].filter((text) => text === 'healthy').length;
  const serving = servingReleases(hosts, releases);
  const them = (some: readonly HostRecord[]) =>
    some.length === busy.length && some.length === 1 ? 'It' : names(some);
  const are = (some: readonly unknown[]) => (some.length === 1 ? 'is' : 'are');
  return [
    `The roll was interrupted ${momentOf(state.hosts, busy)}.`,
    ...leftovers(hosts, minimums),
    ...(unfit.length > 0
      ? [
          `Not proven: ${unfit.map(({ id, failure }) => `${id} (${states.get(id) ?? 'not registered'}${failure ? `; ${failure}` : ''})`).join(', ')}. The load balancer's check decides whether ${unfit.length === 1 ? 'it gets' : 'they get'} requests.`,
        ]
      : []),
    ...(back.length > 0 ? [`${them(back)} ${are(back)} back in rotation;`] : []),
    healthy > 0
      ? `${healthy} of ${total} ${total === 1 ? 'target is healthy and serves' : 'targets are healthy and serve'} ${serving || 'what ran before'}.`
      : `None of ${total} ${total === 1 ? 'target' : 'targets'} is healthy.`,
    ...(onNew.length > 0 && onNew.length < hosts.length
      ? [
          `${names(onNew)} ${onNew.length === 1 ? 'runs' : 'run'} ${releases.release}, the others what they ran before; the next deploy makes them one again, and so does rollback-to: previous.`,
        ]
      : []),
  ].join(' ');
}

/** What was being done to the hosts when main stopped. */
function momentOf(hosts: readonly HostRecord[], busy: readonly HostRecord[]): string {
  if (busy.length === 0)
    return hosts.some(({ touched }) => touched)
      ? `with no host under way`
      : 'before the first target was taken out of rotation';
  const doing = new Map<string, HostRecord[]>();
  for (const host of busy) {
    const what = workOn(host);
    doing.set(what, [...(doing.get(what) ?? []), host]);
  }
  const parts = [...doing].map(
    ([what, those]) => `${names(those)} ${those.length === 1 ? 'was' : 'were'} ${what}`,
  );
  return `while ${parts.join(' and ')}`;
}

function workOn({ rotation, release }: HostRecord): string {
  if (release === 'switching') return 'being switched to the new release';
  if (release === 'reverting') return 'being brought back to the release before';
  switch (rotation) {
    case 'leaving':
      return 'being taken out of rotation';
    case 'draining':
      return 'draining';
    case 'out':
      return 'out of rotation';
    case 'joining':
      return 'being put back in rotation';
    case 'watched':
      return 'returning from standby';
    case 'registered':
      return 'becoming healthy in its target group';
    default:
      return 'being watched in service';
  }
}

import { formatDuration } from '@lockkeeper/wait';
import { names, ofHost } from '../roll/place.ts';
import { type HostRecord, inStandby, leftOut, type RollResult } from '../roll/roll.ts';
import type { Minimum } from '../roll/roll-context.ts';
import { type ReleaseNames, servingReleases } from './target-report.ts';

/** One line for people who were not there. */
export function resultLine(
  result: RollResult,
  all: readonly HostRecord[],
  releases: ReleaseNames,
  took: number,
): string {
  const hosts = all.filter(({ left }) => !left);
  const targets = `${hosts.length} ${hosts.length === 1 ? 'target' : 'targets'}`;
  const serving = servingReleases(hosts, releases);
  switch (result) {
    case 'deployed':
      return `Deployed ${releases.release} to ${targets} in ${formatDuration(took)}, one batch after another.${leftLine(all)}`;
    case 'unchanged':
      return `${targets}, all run ${releases.release} already and are healthy; nothing was changed.`;
    case 'rolled-back':
      return `Rolled back: ${targets} serve what they served before${serving ? ` (${serving})` : ''}. ${failureLine(hosts)}`;
    case 'rollback-failed':
      return `The release failed and not everything could be brought back. ${failureLine(hosts)}`;
    default:
      return `Failed. ${failureLine(hosts)}${serving ? ` Serving now: ${serving}.` : ''}`;
  }
}

function leftLine(hosts: readonly HostRecord[]): string {
  const left = hosts.filter((host) => host.left);
  return left.length === 0
    ? ''
    : ` ${names(left)} left meanwhile: Auto Scaling ended ${left.length === 1 ? 'it' : 'them'}.`;
}

/** What could not be put right, in sentences: who is out, who is in standby, and what is lowered. */
export function leftovers(hosts: readonly HostRecord[], minimums: readonly Minimum[]): string[] {
  const out = leftOut(hosts);
  const standby = inStandby(hosts).filter((host) => !out.includes(host));
  return [
    ...(out.length > 0 ? [`Still out of rotation: ${names(out)}.`] : []),
    ...standby.map(({ id, scaling }) => `${id} is in service, but still in standby in ${scaling}.`),
    ...minimums.map(
      ({ group, minSize }) => `The minimum size of ${group} is still lowered; it was ${minSize}.`,
    ),
  ];
}

/** The first failure, which is why the others went back. */
export function failureLine(hosts: readonly HostRecord[]): string {
  const first = firstFailure(hosts);
  return first ? ofHost(first.id, first.failure) : '';
}

/** Of the host that was changed first of those that failed, else of any. */
export function firstFailure(hosts: readonly HostRecord[]): HostRecord | undefined {
  const failed = hosts.filter(({ failure }) => failure !== '');
  return failed.find(({ changed }) => changed) ?? failed[0];
}

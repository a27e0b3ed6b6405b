import { Cancelled, type Log, messageOf, UserError } from '@lockkeeper/action';
import { Locked } from '@lockkeeper/compose';
import { formatDuration } from '@lockkeeper/wait';
import { describeCommand, names, ofHost, registerCommands } from '../roll/place.ts';
import { type HostRecord, leftOut, type OnFailure, type RollResult, resultOf } from '../roll/roll.ts';
import type { Phase, Timeline } from '../roll/timeline.ts';
import type { RollState } from '../state.ts';
import { rollSummary } from './summary.ts';

/** The page of the run. */
export interface Page {
  output(name: string, value: string | number | object): void;
  summary(markdown: string): Promise<void>;
  log: Log;
  /** What runs the workflow again. */
  rerun: string;
}

/** How a deploy ended: with a plan only (`dry-run`), or with every host somewhere. */
export type Deployed =
  | { kind: 'planned'; releases: ReleaseNames; lines: string[] }
  | {
      kind: 'rolled';
      releases: ReleaseNames;
      hosts: HostRecord[];
      onFailure: OnFailure;
      /** By instance id, as the two below. */
      addresses: ReadonlyMap<string, string>;
      states: ReadonlyMap<string, string>;
      evidence: Evidence;
      timeline: Timeline;
    };

/** What failures hold beyond their one line, by instance id. */
export type Evidence = Map<string, Pick<UserError, 'details' | 'next'>>;

/** Where post brought what main had left. */
export interface Ended {
  /** What main wrote down last. */
  state: RollState;
  hosts: HostRecord[];
  states: ReadonlyMap<string, string>;
}

const title = 'Rolling deploy';

export function reportReleases(page: Page, { release, previous }: ReleaseNames): void {
  page.output('release', release);
  page.output('previous-release', [...new Set(previous.values())].join(','));
}

/** Outputs and summary of a deploy that came to its end; throws what makes the step red when that is not a good one. */
export async function reportDeployed(page: Page, deployed: Deployed, took: number): Promise<void> {
  const { releases } = deployed;
  page.output('duration-ms', Math.round(took));
  if (deployed.kind === 'planned') {
    page.log.info('dry-run: nothing was changed');
    page.output('result', 'unchanged');
    page.output('reason', '');
    page.output('serving-release', [...new Set(releases.previous.values())].join(','));
    await page.summary([`## ${title}: the plan`, '', '```', ...deployed.lines, '```', ''].join('\n'));
    return;
  }
  const { hosts, timeline, evidence } = deployed;
  const result = resultOf(hosts, deployed.onFailure);
  const good = result === 'deployed' || result === 'unchanged';
  const line = resultLine(result, hosts, releases, took);
  const reports = targetReports(hosts, { ...deployed, names: releases });
  page.output('result', result);
  page.output('reason', good ? '' : failureLine(hosts));
  page.output('serving-release', servingReleases(hosts, releases));
  page.output('targets', reports);
  await page.summary(rollSummary(title, good, line, reports, timeline.spans, evidence));
  if (good) {
    page.log.info(line);
    return;
  }
  const out = leftOut(hosts);
  throw new UserError(out.length > 0 ? `${line} Still out of rotation: ${names(out)}.` : line, {
    next: nextAfter(hosts, evidence),
  });
}

/** What kept a deploy from its end. */
export async function reportFailure(page: Page, error: unknown, took: number): Promise<void> {
  const why = messageOf(error).split('\n')[0]!;
  page.output('result', error instanceof Locked ? 'locked' : 'failed');
  page.output('reason', why);
  page.output('duration-ms', Math.round(took));
  if (!(error instanceof Cancelled)) await page.summary(rollSummary(title, false, why, [], []));
}

/** What post found and did: one annotation, and an error to end with when a target is not as it should be. */
export async function reportInterruption(page: Page, ended: Ended): Promise<void> {
  const { state, hosts, states } = ended;
  const releases: ReleaseNames = {
    release: state.release,
    previous: new Map(Object.entries(state.previous)),
  };
  const out = leftOut(hosts);
  const unfit = unproven(hosts);
  const message = interruptionLine(ended, releases);
  const reports = targetReports(hosts, {
    addresses: new Map(state.addresses.map(({ id, host }) => [id, host])),
    states,
    names: releases,
  });
  await page.summary(
    rollSummary(`${title}: after the interruption`, out.length + unfit.length === 0, message, reports, []),
  );
  const next =
    out.length > 0
      ? out.flatMap(registerCommands).join('\n')
      : unfit.length > 0
        ? state.groups.map(describeCommand).join('\n')
        : page.rerun;
  if (out.length + unfit.length > 0) throw new UserError(message, { next });
  page.log.warning(`${message}\nNext: ${next}`);
}

/** In service with what nobody proved: the load balancer's check decides on traffic. */
const unproven = (hosts: readonly HostRecord[]) =>
  hosts.filter(({ release, rotation }) => release === 'unfit' || rotation === 'registered');

/** That the roll was interrupted, in what, what post did, and what serves now: in sentences. */
export function interruptionLine({ state, hosts, states }: Ended, releases: ReleaseNames): string {
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
    ...(out.length > 0 ? [`${names(out)} could not be registered again.`] : []),
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
    case 'registered':
      return 'becoming healthy in its target group';
    default:
      return 'being watched in service';
  }
}

/** What to type after a roll that failed: back with who is out, else what shows why the first one failed. */
function nextAfter(hosts: readonly HostRecord[], evidence: Evidence): string {
  const commands = leftOut(hosts).flatMap(registerCommands);
  if (commands.length > 0) return commands.join('\n');
  const first = firstFailure(hosts);
  const told = first && evidence.get(first.id)?.next;
  return (
    told ||
    [...new Set(hosts.flatMap(({ memberships }) => memberships.map((m) => m.group)))]
      .map(describeCommand)
      .join('\n')
  );
}

/** One element of the output `targets`. */
export interface TargetReport {
  id: string;
  address: string;
  /** In the target group, at the last look; `not registered` when it is in none. */
  state: string;
  release: string;
  /** `deployed`, `unchanged`, `untouched`, `rolled back`, `failed`. */
  result: string;
  seconds: Partial<Record<Phase, number>>;
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
    ...(host.failure && { failure: host.failure }),
  }));
}

function servedBy(host: HostRecord, { release, previous }: ReleaseNames): string {
  if (host.release === 'new' && !host.skipped) return release;
  if (host.skipped) return previous.get(host.id) ?? release;
  if (host.release === 'old') return previous.get(host.id) ?? '';
  return '';
}

function wordOf(host: HostRecord): string {
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

/** One line for people who were not there. */
export function resultLine(
  result: RollResult,
  hosts: readonly HostRecord[],
  names: ReleaseNames,
  took: number,
): string {
  const all = `${hosts.length} ${hosts.length === 1 ? 'target' : 'targets'}`;
  const serving = servingReleases(hosts, names);
  switch (result) {
    case 'deployed':
      return `Deployed ${names.release} to ${all} in ${formatDuration(took)}, one batch after another.`;
    case 'unchanged':
      return `${all}, all run ${names.release} already and are healthy; nothing was changed.`;
    case 'rolled-back':
      return `Rolled back: ${all} serve what they served before${serving ? ` (${serving})` : ''}. ${failureLine(hosts)}`;
    case 'rollback-failed':
      return `The release failed and not everything could be brought back. ${failureLine(hosts)}`;
    default:
      return `Failed. ${failureLine(hosts)}${serving ? ` Serving now: ${serving}.` : ''}`;
  }
}

/** The first failure, which is why the others went back. */
export function failureLine(hosts: readonly HostRecord[]): string {
  const first = firstFailure(hosts);
  return first ? ofHost(first.id, first.failure) : '';
}

function firstFailure(hosts: readonly HostRecord[]): HostRecord | undefined {
  const failed = hosts.filter(({ failure }) => failure !== '');
  return failed.find(({ changed }) => changed) ?? failed[0];
}

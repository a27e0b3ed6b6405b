import { Cancelled, codeBlock, type Log, messageOf, UserError } from '@lockkeeper/action';
import { Locked } from '@lockkeeper/compose';
import { describeCommand, exitStandbyCommands, registerCommands } from '../roll/place.ts';
import { type HostRecord, inStandby, leftOut, type OnFailure, resultOf } from '../roll/roll.ts';
import type { Minimum } from '../roll/roll-context.ts';
import type { Timeline } from '../roll/timeline.ts';
import { type Ended, interruptionLine, isRight } from './interruption-line.ts';
import { failureLine, firstFailure, leftovers, resultLine } from './result-line.ts';
import { rollSummary } from './summary.ts';
import { type ReleaseNames, servingReleases, targetReports } from './target-report.ts';

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
      /** Why who joined meanwhile does not run the release; '' when nobody did, or they do. */
      unrolled: string;
      /** Auto Scaling groups whose minimum size is still lowered, and what it was. */
      minimums: readonly Minimum[];
      /** By id, as the two below. */
      addresses: ReadonlyMap<string, string>;
      states: ReadonlyMap<string, string>;
      evidence: Evidence;
      timeline: Timeline;
    };

/** What failures hold beyond their one line, by instance id. */
export type Evidence = Map<string, Pick<UserError, 'details' | 'next'>>;

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
    await page.summary(`## ${title}: the plan\n\n${codeBlock(deployed.lines.join('\n'))}\n`);
    return;
  }
  const { hosts, timeline, evidence, unrolled } = deployed;
  const rolled = resultOf(hosts, deployed.onFailure);
  const result = unrolled && (rolled === 'deployed' || rolled === 'unchanged') ? 'failed' : rolled;
  const good = result === 'deployed' || result === 'unchanged';
  const line = [resultLine(rolled, hosts, releases, took), unrolled, ...leftovers(hosts, deployed.minimums)]
    .filter(Boolean)
    .join(' ');
  const reports = targetReports(hosts, { ...deployed, names: releases });
  page.output('result', result);
  page.output('reason', good ? '' : failureLine(hosts) || unrolled);
  page.output('serving-release', servingReleases(hosts, releases));
  page.output('targets', reports);
  await page.summary(rollSummary(title, good, line, reports, timeline.spans, evidence));
  if (!good) throw new UserError(line, { next: nextAfter(hosts, evidence) });
  page.log.info(line);
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
  const message = interruptionLine(ended, releases);
  const reports = targetReports(hosts, {
    addresses: new Map(state.addresses.map(({ id, host }) => [id, host])),
    states,
    names: releases,
  });
  const good = isRight(ended);
  await page.summary(rollSummary(`${title}: after the interruption`, good, message, reports, []));
  const commands = [...leftOut(hosts).flatMap(registerCommands), ...exitStandbyCommands(inStandby(hosts))];
  const next = good
    ? page.rerun
    : (commands.length > 0 ? commands : state.groups.map(describeCommand)).join('\n');
  if (!good) throw new UserError(message, { next });
  page.log.warning(`${message}\nNext: ${next}`);
}

/** What to type after a roll that failed: back with who is out, else what shows why the first one failed. */
function nextAfter(hosts: readonly HostRecord[], evidence: Evidence): string {
  const commands = [...leftOut(hosts).flatMap(registerCommands), ...exitStandbyCommands(inStandby(hosts))];
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

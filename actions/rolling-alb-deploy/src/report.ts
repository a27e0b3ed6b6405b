import { code, codeBlock, details, escapeMarkdown, table } from '@lockkeeper/action';
import type { TargetGroup } from '@lockkeeper/aws';
import { formatDuration } from '@lockkeeper/wait';
import type { FleetMember, GroupFacts, Plan } from './plan.ts';
import { type HostRecord, leftOut, type RollResult } from './roll.ts';
import type { Phase, Span, Timeline } from './timeline.ts';

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
    timeline: Timeline;
  },
): TargetReport[] {
  return hosts.map((host) => ({
    id: host.id,
    address: addresses.get(host.id) ?? '',
    state: states.get(host.id) ?? 'not registered',
    release: servedBy(host, names),
    result: wordOf(host),
    seconds: timeline.seconds(host.id),
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
  const failed = hosts.filter(({ failure }) => failure !== '');
  const first = failed.find(({ changed }) => changed) ?? failed[0];
  return first ? `${first.id}: ${first.failure}` : '';
}

/** The section of the job summary. */
export function rollSummary(
  title: string,
  good: boolean,
  line: string,
  reports: readonly TargetReport[],
  spans: readonly Span[],
  /** What failing hosts' containers said, by instance id. */
  evidence: ReadonlyMap<string, string> = new Map(),
): string {
  const shown = (seconds: number | undefined) => (seconds === undefined ? '' : `${seconds} s`);
  const headings = ['Target', 'Result', 'State', 'Release', 'Drain', 'Deploy', 'Healthy', 'Bake', 'Rollback'];
  const rows = reports.map((one) => [
    `${code(one.id)} ${escapeMarkdown(one.address)}`,
    one.result,
    escapeMarkdown(one.state),
    one.release ? code(one.release) : '',
    shown(one.seconds.drain),
    shown(one.seconds.deploy),
    shown(one.seconds.health),
    shown(one.seconds.bake),
    shown(one.seconds.rollback),
  ]);
  return [
    `## ${title}`,
    '',
    `${good ? '✅' : '❌'} ${escapeMarkdown(line)}`,
    '',
    table(headings, rows),
    '',
    picture(spans),
    '',
    ...[...evidence].map(([id, text]) => details(`What the containers of ${id} said`, codeBlock(text))),
    '',
  ]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}

const most = 200;

/** The roll over time as a Mermaid Gantt chart, one section a host; '' when nothing happened. */
export function picture(spans: readonly Span[]): string {
  if (spans.length === 0) return '';
  const start = Math.min(...spans.map(({ from }) => from));
  const hosts = [...new Set(spans.map(({ host }) => host))];
  const mark: Record<Phase, string> = {
    drain: '',
    deploy: 'active, ',
    health: 'done, ',
    bake: 'done, ',
    rollback: 'crit, ',
  };
  const lines = hosts.flatMap((host) => [
    `  section ${host}`,
    ...spans
      .filter((span) => span.host === host)
      .map(
        ({ phase, from, to }) =>
          // Mermaid counts in whole units; a bar of no width would not show.
          `  ${phase} :${mark[phase]}${Math.round(from - start)}, ${Math.max(Math.round(to - start), Math.round(from - start) + 1)}`,
      ),
  ]);
  return ['```mermaid', 'gantt', '  dateFormat x', '  axisFormat %M:%S', ...lines.slice(0, most), '```'].join(
    '\n',
  );
}

/** The plan, for the log and the summary of a dry run. */
export function planLines(
  plan: Plan,
  members: readonly FleetMember[],
  groups: readonly GroupFacts[],
  changes: ReadonlyMap<string, string>,
): string[] {
  const member = (id: string) => members.find((one) => one.id === id)!;
  const line = (id: string) => {
    const { address, memberships, state, missing } = member(id);
    const ports = [...new Set(memberships.map(({ port }) => port))].join(', ');
    const change = changes.get(id);
    return `    ${id}:${ports} at ${address.host}, ${missing ? 'out of rotation since an interrupted run' : state}${change ? `: ${change}` : ''}`;
  };
  return [
    ...groups.map(({ group }) => groupLine(group, plan)),
    ...plan.batches.flatMap((batch, index) => [`  batch ${index + 1}:`, ...batch.map(line)]),
    ...(plan.skipped.length > 0
      ? ['  left alone, because it runs this release already and is healthy:', ...plan.skipped.map(line)]
      : []),
    plan.batches.length > 0
      ? `  about ${formatDuration(plan.estimate.least)}, and at most some ${formatDuration(plan.estimate.most)} when connections stay open`
      : '  nothing to do',
    ...plan.notes.map((note) => `  note: ${note}`),
  ];
}

function groupLine(group: TargetGroup, plan: Plan): string {
  const required = plan.required.get(group.arn)!;
  return `${group.name} (${group.protocol}, deregistration delay ${formatDuration(group.deregistrationDelay)}, check of ${group.healthCheck.path} every ${formatDuration(group.healthCheck.interval)}): at least ${required.count} must keep serving (${required.because})`;
}

import { code, codeBlock, details, escapeMarkdown, table } from '@lockkeeper/action';
import type { TargetGroup } from '@lockkeeper/aws';
import { formatDuration } from '@lockkeeper/wait';
import type { FleetMember, GroupFacts, Plan } from '../plan/plan.ts';
import type { Phase, Span } from '../roll/timeline.ts';
import type { TargetReport } from './report.ts';

/** The section of the job summary. */
export function rollSummary(
  title: string,
  good: boolean,
  line: string,
  reports: readonly TargetReport[],
  spans: readonly Span[],
  /** What failing hosts' containers said, by instance id. */
  evidence: ReadonlyMap<string, { details?: string }> = new Map(),
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
    ...[...evidence].flatMap(([id, one]) =>
      one.details ? [details(`What the containers of ${id} said`, codeBlock(one.details))] : [],
    ),
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

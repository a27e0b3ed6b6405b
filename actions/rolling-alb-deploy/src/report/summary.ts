import { code, codeBlock, details, escapeMarkdown, table } from '@lockkeeper/action';
import { type Phase, phases, type Span } from '../roll/timeline.ts';
import { picture } from './picture.ts';
import type { TargetReport } from './target-report.ts';

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
  const timed = phases.filter((phase) => reports.some(({ seconds }) => seconds[phase] !== undefined));
  const cut = reports.some((one) => one.cut !== undefined);
  const rows = reports.map((one) => [
    `${code(one.id)} ${escapeMarkdown(one.address)}`,
    one.result,
    escapeMarkdown(one.state),
    one.release ? code(one.release) : '',
    ...timed.map((phase) => (one.seconds[phase] === undefined ? '' : `${one.seconds[phase]} s`)),
    ...(cut ? [one.cut === undefined ? '' : String(one.cut)] : []),
  ]);
  const headings = [
    'Target',
    'Result',
    'State',
    'Release',
    ...timed.map((phase) => heading[phase]),
    ...(cut ? ['Cut'] : []),
  ];
  return [
    `## ${title}`,
    '',
    `${good ? '✅' : '❌'} ${escapeMarkdown(line)}`,
    '',
    ...(rows.length > 0 ? [table(headings, rows)] : []),
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

const heading: Record<Phase, string> = {
  drain: 'Drain',
  deploy: 'Deploy',
  health: 'Healthy',
  bake: 'Bake',
  rejoin: 'Rejoin',
  rollback: 'Rollback',
};

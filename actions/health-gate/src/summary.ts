import { code, details, escapeMarkdown, table } from '@lockkeeper/action';
import { percentile } from '@lockkeeper/probe';
import { formatDuration } from '@lockkeeper/wait';
import { addressRows, outOfReach } from './addresses.ts';
import { latencyChart } from './chart.ts';
import {
  type GateReport,
  observationsOf,
  samplesOf,
  servedBy,
  timesOf,
  type UrlReport,
  versionsOf,
} from './report.ts';

const stateMark = { held: '✅', broken: '❌', open: 'open: it ended early' };
const mark = { healthy: '✅', unhealthy: '❌', inconclusive: '❔' };

/** The section that the job's page shows. */
export function summaryOf(report: GateReport): string {
  const { verdict, reason, urls } = report;
  return [
    `### ${mark[verdict]} Health gate: ${verdict}`,
    escapeMarkdown(reason),
    table(['URL', 'Verdict', 'Good', 'p50', 'p95', 'max', 'Versions', 'Why'], urls.map(urlRow)),
    ...urls.flatMap((url) => sectionsOf(url, urls.length > 1)),
  ]
    .join('\n\n')
    .concat('\n');
}

function urlRow(report: UrlReport): string[] {
  const { url, verdict, reason, tally, soak } = report;
  const times = timesOf(report).toSorted((a, b) => a - b);
  const ms = (value: number | undefined) => (value === undefined ? '—' : `${Math.round(value)} ms`);
  return [
    escapeMarkdown(url),
    `${mark[verdict]} ${verdict}`,
    `${tally.good + (soak?.tally.good ?? 0)} of ${samplesOf(report)}`,
    ...(times.length > 0
      ? [ms(percentile(times, 50)), ms(percentile(times, 95)), ms(times.at(-1))]
      : [ms(undefined), ms(undefined), ms(undefined)]),
    versionsOf(report).map(code).join(', ') || '—',
    escapeMarkdown(reason),
  ];
}

/** What there is to show of one URL besides its row: limits, chart, who served, addresses. */
function sectionsOf(report: UrlReport, named: boolean): string[] {
  const { url, soak, hold } = report;
  const of = named ? ` of ${escapeMarkdown(url)}` : '';
  const points = (soak ?? report).observations.filter(({ outcome }) => outcome === 'good');
  const chart = latencyChart(points, soak?.maxP95);
  return [
    ...(soak ? [`**Soak${of}**, ${formatDuration(soak.ms)}`, limitTable(soak)] : []),
    ...(hold
      ? [
          `**Held open${of}**: ${formatDuration(hold.ms)} of ${formatDuration(hold.wanted)} ${mark[hold.verdict]}`,
        ]
      : []),
    ...(chart ? [`**Times of good answers${of}**`, chart] : []),
    ...servedByTable(report),
    ...addressTable(report, of),
  ];
}

const limitTable = ({ limits }: NonNullable<UrlReport['soak']>) =>
  table(
    ['Limit', 'Allowed', 'Measured', ''],
    limits.map(({ name, allowed, measured, state }) => [name, allowed, measured, stateMark[state]]),
  );

function servedByTable(report: UrlReport): string[] {
  const rows = servedBy(report);
  const total = rows.reduce((sum, [, answers]) => sum + answers, 0);
  if (total === 0) return [];
  return [
    table(
      ['Served by', 'Answers', 'Share'],
      rows.map(([name, answers]) => [
        code(name),
        String(answers),
        `${((100 * answers) / total).toFixed(1)} %`,
      ]),
    ),
  ];
}

/** Only where there is a choice, or a hole: one address that answers is no news. */
function addressTable(report: UrlReport, of: string): string[] {
  const rows = addressRows(observationsOf(report));
  if (rows.length < 2 && rows.every(({ refused }) => refused === 0)) return [];
  return [
    details(
      `Addresses${of}`,
      table(
        ['Address', 'Family', 'Answered', 'Good', 'Took no connection'],
        rows.map((row) => [
          code(row.address),
          row.family,
          String(row.answered),
          String(row.good),
          outOfReach(row)
            ? `not asked: this runner has no route to IPv6`
            : row.refused === 0
              ? ''
              : `${row.refused}, ${code(row.code ?? '')}`,
        ]),
      ),
    ),
  ];
}

import { escapeMarkdown, table } from '@lockkeeper/action';
import type { GateReport } from './gate.ts';

const mark = { healthy: '✅', unhealthy: '❌', inconclusive: '❔' };

/** The section that the job's page shows. */
export function summaryOf(report: GateReport): string {
  const rows = report.urls.map(({ url, verdict, reason, tally, observations }) => [
    escapeMarkdown(url),
    `${mark[verdict]} ${verdict}`,
    `${tally.good} of ${observations.length}`,
    tally.versionsSeen.map(escapeMarkdown).join(', ') || '—',
    escapeMarkdown(reason),
  ]);
  return [
    `### ${mark[report.verdict]} Health gate: ${report.verdict}`,
    escapeMarkdown(report.reason),
    table(['URL', 'Verdict', 'Good', 'Versions', 'Why'], rows),
    `Answer times over ${report.samples} probes: p50 ${report.p50} ms, p95 ${report.p95} ms.`,
    '',
  ].join('\n\n');
}

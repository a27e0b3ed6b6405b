import { code, codeBlock, details, escapeMarkdown, table } from '@lockkeeper/action';
import { formatDuration } from '@lockkeeper/wait';
import type { DeployReport } from './deploy.ts';

const signs: Record<string, string> = { deployed: '✅', unchanged: '✅', ran: '✅', 'rolled-back': '⏪' };

/** The section of the job summary: a result line, a table, what failed. Pure. */
export function summarise(report: DeployReport, release: string): string {
  const parts = [
    `### ${signs[report.result] ?? '❌'} compose-deploy: ${report.result}`,
    escapeMarkdown(report.message || `Release ${release}`),
    table(
      ['host', 'result', 'serves', 'before', 'changed', 'without service', 'time'],
      report.hosts.map((host) => [
        code(host.host),
        host.result,
        host.serving ? code(host.serving) : '—',
        host.previous ? code(host.previous) : '—',
        host.services
          .filter(({ change }) => change !== 'unchanged')
          .map(({ service, change }) => `${escapeMarkdown(service)} (${change})`)
          .join('<br>') || '—',
        host.downtime > 0 ? formatDuration(host.downtime) : '—',
        formatDuration(host.duration),
      ]),
    ),
  ];
  if (report.next) parts.push(`Next: ${code(report.next)}`);
  if (report.details)
    parts.push(details('Last checks and log lines', codeBlock(report.details.slice(0, 20_000))));
  return `${parts.join('\n\n')}\n`;
}

import type { Phase, Span } from '../roll/timeline.ts';

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
    rejoin: 'done, ',
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

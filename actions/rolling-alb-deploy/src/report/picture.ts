import type { Phase, Span } from '../roll/timeline.ts';

/** Rows that still make a picture; GitHub also limits what a diagram may be. */
const mostHosts = 60;
/** Pixels: of the time axis in a summary on GitHub, and of a letter with what surrounds a word. */
const axisWidth = 680;
const letterWidth = 6.5;
const around = 8;

/** How Mermaid colours a phase. */
const mark: Record<Phase, string> = {
  drain: '',
  deploy: 'active, ',
  health: 'done, ',
  bake: 'done, ',
  rejoin: 'done, ',
  rollback: 'crit, ',
};

/** The roll over time as a Mermaid Gantt chart, one row a host; '' when nothing happened. */
export function picture(spans: readonly Span[]): string {
  if (spans.length === 0) return '';
  const start = Math.min(...spans.map(({ from }) => from));
  const length = Math.max(1, Math.max(...spans.map(({ to }) => to)) - start);
  const hosts = [...new Set(spans.map(({ host }) => host))];
  const bar = ({ phase, from, to }: Span) => {
    // A word that does not fit would stand over the next bar; Mermaid wants one that is not empty.
    const fits = ((to - from) / length) * axisWidth > phase.length * letterWidth + around;
    const [begins, ends] = [Math.round(from - start), Math.round(to - start)];
    return `  ${fits ? phase : '\u200b'} :${mark[phase]}${clock(begins)}, ${clock(Math.max(ends, begins + 1))}`;
  };
  const left = hosts.length - mostHosts;
  return [
    '```mermaid',
    '---',
    'displayMode: compact',
    'config:',
    '  gantt:',
    '    leftPadding: 140',
    '---',
    'gantt',
    '  dateFormat HH:mm:ss.SSS',
    `  axisFormat ${length < 3_600_000 ? '%M:%S' : '%H:%M:%S'}`,
    ...hosts
      .slice(0, mostHosts)
      .flatMap((host) => [`  section ${host}`, ...spans.filter((span) => span.host === host).map(bar)]),
    '```',
    '',
    `Each row is a host: drain, deploy, then grey until it is back for good; red is a rollback.${left > 0 ? ` ${left} more hosts are left out.` : ''}`,
  ].join('\n');
}

/** Since the start, as a time of day: an instant would be shown in each reader's own time zone. */
function clock(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}

import { percentile } from '@lockkeeper/probe';

/** Answer times in one span of the watch, in milliseconds. */
export interface Span {
  p50: number;
  p95: number;
  max: number;
}

interface Point {
  at: number;
  ms: number;
}

const mostSpans = 40;
/** Below this, a span takes fewer than five points rather than the curve fewer spans. */
const fewSpans = 10;
/** Fewer points than this make no curve. */
const leastPoints = 3;

/**
 * Answer times in at most 40 spans of equal length; a span without an answer repeats the one before, because a
 * line cannot have holes. Pure.
 */
export function spansOf(points: readonly Point[]): Span[] {
  if (points.length === 0) return [];
  const { from, to } = extent(points);
  const spans: number[][] = Array.from({ length: spanCount(points.length) }, () => []);
  for (const { at, ms } of points) {
    const place = to === from ? 0 : Math.floor(((at - from) / (to - from)) * spans.length);
    spans[Math.min(spans.length - 1, place)]!.push(ms);
  }
  let before = { p50: 0, p95: 0, max: 0 };
  return spans.map((times) => {
    const sorted = times.sort((a, b) => a - b);
    if (sorted.length > 0)
      before = { p50: percentile(sorted, 50), p95: percentile(sorted, 95), max: sorted.at(-1)! };
    return before;
  });
}

/**
 * The times as a Mermaid chart, which GitHub's summary draws, with the limit (ms) as a line; '' when there is
 * too little to draw. A longest answer far above the rest is drawn at the edge, not to flatten the others. Pure.
 */
export function latencyChart(points: readonly Point[], limit?: number): string {
  if (points.length < leastPoints) return '';
  const spans = spansOf(points);
  const { from, to } = extent(points);
  const peak = Math.max(...spans.map(({ max }) => max));
  const sorted = points.map(({ ms }) => ms).sort((a, b) => a - b);
  const tallest = Math.max(1, limit ?? 0, percentile(sorted, 95));
  const top = Math.ceil(peak > tallest ? Math.min(peak, 2 * tallest) : 1.1 * tallest);
  const line = (name: string, values: number[]) =>
    `  line "${name}" [${values.map((ms) => Math.min(top, Math.round(ms))).join(', ')}]`;
  const caption = [
    'Blue: p50',
    'orange: p95',
    `grey: max${peak > top ? ` (up to ${Math.round(peak)} ms, beyond the edge)` : ''}`,
    ...(limit === undefined ? [] : [`red: the limit of p95, ${limit} ms`]),
  ];
  return [
    '```mermaid',
    '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#8c959f, #bc4c00, #0969da, #cf222e"}}, "xyChart": {"height": 300}}}%%',
    'xychart-beta',
    `  x-axis "seconds" 0 --> ${Math.max(1, Math.round((to - from) / 1000))}`,
    `  y-axis "ms" 0 --> ${top}`,
    line(
      'max',
      spans.map(({ max }) => max),
    ),
    line(
      'p95',
      spans.map(({ p95 }) => p95),
    ),
    line(
      'p50',
      spans.map(({ p50 }) => p50),
    ),
    ...(limit === undefined
      ? []
      : [
          line(
            'limit',
            spans.map(() => limit),
          ),
        ]),
    '```',
    '',
    `${caption.join(', ')}.`,
  ].join('\n');
}

const spanCount = (points: number) =>
  Math.min(mostSpans, Math.max(Math.min(points, fewSpans), Math.floor(points / 5)));

function extent(points: readonly Point[]): { from: number; to: number } {
  const times = points.map(({ at }) => at);
  return { from: Math.min(...times), to: Math.max(...times) };
}

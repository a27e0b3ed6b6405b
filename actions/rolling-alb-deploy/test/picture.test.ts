import { expect, it } from '@jest/globals';
import { picture } from '../src/report/picture.ts';
import type { Span } from '../src/roll/timeline.ts';

const span = (phase: Span['phase'], from: number, to: number, host = 'i-a'): Span => ({
  host,
  phase,
  from,
  to,
});

it('has one row a host, counted from the first drain, in no time zone', () => {
  const text = picture([
    span('drain', 1_000_000, 1_060_000),
    span('deploy', 1_060_000, 1_080_500),
    span('drain', 1_080_500, 1_140_500, 'i-b'),
    span('rollback', 1_140_500, 1_160_500, 'i-b'),
  ]);
  expect(text).toContain(
    [
      '  axisFormat %M:%S',
      '  section i-a',
      '  drain :00:00:00.000, 00:01:00.000',
      '  deploy :active, 00:01:00.000, 00:01:20.500',
      '  section i-b',
      '  drain :00:01:20.500, 00:02:20.500',
      '  rollback :crit, 00:02:20.500, 00:02:40.500',
    ].join('\n'),
  );
});

it('writes no word over a bar that is too short for it, and lets no bar vanish', () => {
  const text = picture([span('drain', 0, 60_000), span('health', 60_000, 60_000)]);
  expect(text).toContain('  \u200b :done, 00:01:00.000, 00:01:00.001');
});

it('shows hours where there are some, and as many hosts as a page takes', () => {
  const text = picture(
    Array.from({ length: 100 }, (_, n) => span('drain', n * 60_000, n * 60_000 + 50_000, `i-${n}`)),
  );
  expect(text).toContain('axisFormat %H:%M:%S');
  expect(text.match(/section/g)).toHaveLength(60);
  expect(text).toContain('40 more hosts are left out');
});

it('is nothing where nothing happened', () => expect(picture([])).toBe(''));

import { expect, it } from '@jest/globals';
import { pictureOf } from '../src/picture.ts';

const linesOf = (svg: string) => [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, text]) => text!);

it('shows what was typed, and the report line by line', () => {
  const svg = pictureOf(
    'Guarantees\n  ✓ Nothing left open: a <b> & c\n  ✗ Nothing dropped: 3\n',
    'pnpm rehearse',
  );
  expect(linesOf(svg)).toEqual([
    '$ pnpm rehearse',
    '',
    'Guarantees',
    '  ✓ Nothing left open: a &lt;b&gt; &amp; c',
    '  ✗ Nothing dropped: 3',
  ]);
  expect(svg).toMatch(/class="good">.*left open/);
  expect(svg).toMatch(/class="bad">.*dropped/);
});

it('goes on below where a line does not fit', () => {
  const long = `  a ${'word '.repeat(60)}`.trimEnd();
  const lines = linesOf(pictureOf(long, 'x')).slice(2);
  expect(lines.length).toBeGreaterThan(2);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(112);
  expect(lines.slice(1).every((line) => line.startsWith('    word'))).toBe(true);
  expect(lines.join(' ').replace(/\s+/g, ' ').trim()).toBe(long.replace(/\s+/g, ' ').trim());
});

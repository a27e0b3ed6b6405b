import { describe, expect, it } from '@jest/globals';
import {
  code,
  codeBlock,
  escapeMarkdown,
  messageOf,
  sanitiseLines,
  sanitiseOwn,
  table,
} from '../src/index.ts';

describe('text of a host', () => {
  it.each([
    ['ok ##[set-output name=x]y', ['ok ## [set-output name=x]y']],
    ['a\r::add-mask::e\rb', ['a', '::add-mask::e', 'b']],
    ['\u001b[31mred\u001b[0m\u0000', ['red']],
    ['zero\u200bwidth #\u200b#[error]', ['zerowidth ## [error]']],
    ['\u001b]0;title\u0007text', ['text']],
  ])('%j is shown as data', (text, lines) => expect(sanitiseLines(text)).toEqual(lines));

  it('is cut when a line is too long', () =>
    expect(sanitiseLines('x'.repeat(5000))[0]).toMatch(/^x{2000}… \(5000 characters\)$/));
});

it('never lets a line of ours start like a workflow command', () =>
  expect(sanitiseOwn('said:\n  ::error::x')).toEqual(['said:', '> ::error::x']));

describe('the summary', () => {
  it('shows text as it stands', () =>
    expect(escapeMarkdown('<img src=x> [a](b) | *c*\n@team')).toBe(
      '&lt;img src=x&gt; \\[a\\]\\(b\\) \\| \\*c\\* @\u200bteam',
    ));
  it('fences what contains fences', () => expect(codeBlock('a\n```\nb')).toBe('````\na\n```\nb\n````'));
  it('keeps a table a table', () =>
    expect(table(['a', 'b'], [['1', '2\n3']])).toBe('| a | b |\n| --- | --- |\n| 1 | 2<br>3 |'));
  it('keeps code on one line', () => expect(code('a|b\n`c`')).toBe('`` a\\|b `c` ``'));
});

it('tells the causes of an error', () =>
  expect(messageOf(new Error('fetch failed', { cause: new Error('connect ECONNREFUSED') }))).toBe(
    'fetch failed: connect ECONNREFUSED',
  ));

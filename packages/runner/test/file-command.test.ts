import { describe, expect, it } from '@jest/globals';
import { addPath, keyValues, pathEntries } from '../src/file-command.ts';

/** What takes effect, and the complaint that ends the reading. */
function read(text: string): { pairs: [string, string][]; error?: string } {
  const pairs: [string, string][] = [];
  try {
    for (const pair of keyValues(text)) pairs.push(pair);
  } catch (error) {
    return { pairs, error: (error as Error).message };
  }
  return { pairs };
}

describe('the grammar of a file command', () => {
  const vectors: [text: string, pairs: [string, string][]][] = [
    [
      'A=1\n\nB==x\nC=<<y',
      [
        ['A', '1'],
        ['B', '=x'],
        ['C', '<<y'],
      ],
    ],
    ['A<<=E\nv\n=E', [['A', 'v']]],
    ['A<<E\nx\n E\nE', [['A', 'x\n E']]],
    ['A<<E\nE', [['A', '']]],
    ['A<<E\n\nE', [['A', '']]],
    ['A<<E\n\n\nE\n', [['A', '\n']]],
    ['A<<E\r\nx\r\nE\r\n', [['A', 'x\r']]],
    ['A=v\r\n', [['A', 'v\r']]],
    ['\uFEFFA=1', [['A', '1']]],
    ['A=', [['A', '']]],
    ['=v', [['', 'v']]],
    ['A<<E<<F\nx\nE<<F\n', [['A', 'x']]],
    ['  A = b ', [['  A ', ' b ']]],
    [
      'A<<E\nx\nE\nB=2\n',
      [
        ['A', 'x'],
        ['B', '2'],
      ],
    ],
    ['', []],
    ['\n\n', []],
  ];
  it.each(vectors)('reads %j', (text, pairs) => {
    expect(read(text)).toEqual({ pairs });
  });

  const refused: [text: string, pairs: [string, string][], error: string][] = [
    ['A<<E\nx\nE ', [], 'Invalid value. EOF marker missing new line.'],
    ['A<<E\nx\n', [], "Invalid value. Matching delimiter not found 'E'"],
    ['A<<E', [], "Invalid value. Matching delimiter not found 'E'"],
    ['A=1\nbroken\nB=2', [['A', '1']], "Invalid format 'broken'"],
    ['<<E\nx\nE', [], "Invalid format '<<E'. Name must not be empty and delimiter must not be empty"],
    ['A<<\nx\n', [], "Invalid format 'A<<'. Name must not be empty and delimiter must not be empty"],
  ];
  it.each(refused)('refuses %j, what came before it holds', (text, pairs, error) => {
    expect(read(text)).toEqual({ pairs, error });
  });
});

describe('GITHUB_PATH', () => {
  it('has one directory a line, whatever the line end', () => {
    expect(pathEntries('\uFEFF/a\n\n/b c\r\n/d\r')).toEqual(['/a', '/b c', '/d']);
  });

  it('moves a directory that is added again to the end, where it is searched first', () => {
    expect(addPath(['/a', '/b'], '/a')).toEqual(['/b', '/a']);
  });
});

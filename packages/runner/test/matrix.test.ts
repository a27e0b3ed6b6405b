import { describe, expect, it } from '@jest/globals';
import { expandMatrix, type Leg, legLabel, type Matrix, matrixFrom } from '../src/matrix.ts';

const fruits: Leg[] = [
  { fruit: 'apple', animal: 'cat' },
  { fruit: 'apple', animal: 'dog' },
  { fruit: 'pear', animal: 'cat' },
  { fruit: 'pear', animal: 'dog' },
];
const axes = { fruit: ['apple', 'pear'], animal: ['cat', 'dog'] };

describe('the legs of a matrix', () => {
  it.each<[string, Partial<Matrix>, Leg[]]>([
    ['nothing', {}, []],
    ['two axes: the first varies slowest', { axes }, fruits],
    // The example of GitHub's documentation, "Expanding or adding matrix configurations".
    [
      'include that extends, overwrites what an include added, and adds legs',
      {
        axes,
        include: [
          { color: 'green' },
          { color: 'pink', animal: 'cat' },
          { fruit: 'apple', shape: 'circle' },
          { fruit: 'banana' },
          { fruit: 'banana', animal: 'cat' },
        ],
      },
      [
        { fruit: 'apple', animal: 'cat', color: 'pink', shape: 'circle' },
        { fruit: 'apple', animal: 'dog', color: 'green', shape: 'circle' },
        { fruit: 'pear', animal: 'cat', color: 'pink' },
        { fruit: 'pear', animal: 'dog', color: 'green' },
        { fruit: 'banana' },
        { fruit: 'banana', animal: 'cat' },
      ],
    ],
    ['include alone', { include: [{ site: 'a' }, { site: 'b' }] }, [{ site: 'a' }, { site: 'b' }]],
    [
      'exclude by a part of the leg',
      { axes, exclude: [{ fruit: 'apple' }, { fruit: 'pear', animal: 'dog' }] },
      [{ fruit: 'pear', animal: 'cat' }],
    ],
    [
      'exclude before include, so that an include can bring a leg back',
      { axes: { os: ['a', 'b'] }, exclude: [{ os: 'b' }], include: [{ os: 'b', extra: true }] },
      [{ os: 'a' }, { os: 'b', extra: true }],
    ],
    [
      'exclude of an unknown key takes nothing',
      { axes: { os: ['a'] }, exclude: [{ zone: 1 }] },
      [{ os: 'a' }],
    ],
    [
      'maps as values, excluded by a part',
      {
        axes: {
          os: [
            { name: 'a', v: 1 },
            { name: 'b', v: 2 },
          ],
        },
        exclude: [{ os: { name: 'a' } }],
      },
      [{ os: { name: 'b', v: 2 } }],
    ],
    ['1 and "1" are different', { axes: { v: [1] }, exclude: [{ v: '1' }] }, [{ v: 1 }]],
  ])('%s', (_, matrix, legs) => {
    expect(expandMatrix({ axes: {}, include: [], exclude: [], ...matrix })).toEqual(legs);
  });

  it('are labelled by their values', () => {
    expect(legLabel({ os: 'linux', node: 24, deep: { a: [true] }, none: null })).toBe('(linux, 24, true)');
    expect(legLabel({})).toBe('');
  });

  it.each<[unknown, RegExp]>([
    ['a', /not a map/],
    [[1], /not a map/],
    [{ os: 'linux' }, /axis "os" is not a list/],
    [{ os: [] }, /axis "os" has no values/],
    [{ include: {} }, /"include" of the matrix is not a list of maps/],
    [{ exclude: [1] }, /"exclude" of the matrix is not a list of maps/],
  ])('%j is refused', (value, reason) => {
    expect(matrixFrom(value)).toMatch(reason);
  });
});

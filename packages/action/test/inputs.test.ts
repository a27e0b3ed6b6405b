import { describe, expect, it } from '@jest/globals';
import { type InputError, type Inputs, inputsOf, secretParts } from '../src/index.ts';

const problemsOf = (inputs: Inputs): string[] => {
  try {
    inputs.done();
    return [];
  } catch (error) {
    return (error as InputError).problems;
  }
};

it('takes the default of action.yml for an input that is empty or blank', () => {
  const inputs = inputsOf({ port: ' ', mode: '' }, { port: '22', mode: 'open' });
  expect([inputs.integer('port'), inputs.choice('mode', ['open', 'close'])]).toEqual([22, 'open']);
});

it('tells every problem at once, in the order of reading', () => {
  const inputs = inputsOf({
    port: '22-80',
    ttl: '2',
    mode: 'shut',
    batch: '0',
    strict: 'yes',
    tags: 'a=1\nb',
  });
  inputs.required('group', 'sg-…');
  inputs.integer('port', { min: 1, max: 65_535 });
  inputs.duration('ttl');
  inputs.choice('mode', ['open', 'close']);
  inputs.countOrPercent('batch', { min: 1 });
  inputs.boolean('strict');
  inputs.pairs('tags');
  expect(problemsOf(inputs)).toEqual([
    'group: is required; expected sg-…',
    'port: "22-80" is not valid; expected a whole number from 1 to 65535',
    'ttl: "2" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'mode: "shut" is not valid; expected open, close',
    'batch: "0" is not valid; expected a whole number from 1 or a percentage, such as 2 or 30%',
    'strict: "yes" is not valid; expected true or false',
    'tags: "b" is not valid; expected name=value, one a line',
  ]);
});

it('says nothing when everything is right', () => {
  const inputs = inputsOf({ port: '22' });
  inputs.integer('port');
  expect(problemsOf(inputs)).toEqual([]);
});

describe('reading', () => {
  it.each([
    ['a\nb', ['a', 'b']],
    ['a, b ,,c', ['a', 'b', 'c']],
    ['', []],
    ['a\r\n\r\nb', ['a', 'b']],
  ])('reads the list %j', (given, list) => expect(inputsOf({ x: given }).list('x')).toEqual(list));

  it.each([
    ['1', { count: 1 }],
    ['30%', { percent: 30 }],
    ['100%', { percent: 100 }],
  ])('reads the amount %s', (given, amount) =>
    expect(inputsOf({ x: given }).countOrPercent('x')).toEqual(amount),
  );

  it('keeps what stands behind the first separator', () =>
    expect(inputsOf({ x: 'A=b=c\nEMPTY=' }).pairs('x')).toEqual([
      ['A', 'b=c'],
      ['EMPTY', ''],
    ]));

  it('keeps white space of a raw input', () => expect(inputsOf({ x: 'A=1\n\n' }).raw('x')).toBe('A=1\n\n'));
});

it('refuses an input that is declared but not built yet, when it is set', () => {
  const inputs = inputsOf({ strategy: 'blue-green', files: 'host' }, { strategy: 'recreate', files: 'host' });
  inputs.notYet('strategy');
  inputs.notYet('files');
  expect(problemsOf(inputs)).toEqual(['strategy: is not supported by this version yet; leave it out']);
});

describe('masking', () => {
  it('masks a secret whole, by line, and as its base64 decodes', () => {
    const key = '-----BEGIN KEY-----\nabcdefghijkl\nshort\n-----END KEY-----\n';
    const inputs = inputsOf({ plain: key, coded: Buffer.from('user:password-1').toString('base64') });
    inputs.secret('plain');
    inputs.secret('coded');
    expect(inputs.masked).toEqual([
      key.trim(),
      '-----BEGIN KEY-----',
      'abcdefghijkl',
      '-----END KEY-----',
      'dXNlcjpwYXNzd29yZC0x',
      'user:password-1',
    ]);
  });

  it('masks nothing for an empty secret', () => expect(secretParts(' \n')).toEqual([]));

  it('splits a key whose line ends came as \\n', () =>
    expect(secretParts('first-line-x\\nsecond-line-y')).toContain('second-line-y'));
});

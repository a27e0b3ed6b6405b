import { expect, it } from '@jest/globals';
import { unreadVariables } from '../src/variables.ts';

const both = ['SERVER_HOST', 'TARGET_GROUP_ARN'];

it.each<[string, string[], string[], string]>([
  ['accepts what is read', both, ['TARGET_GROUP_ARN'], ''],
  [
    'refuses what is not, and names what is',
    both,
    ['TARGET_GROUP', 'SERVER_HOST'],
    '--var: roll.yml does not read vars.TARGET_GROUP; it reads SERVER_HOST, TARGET_GROUP_ARN',
  ],
  ['says where nothing is read', [], ['A'], '--var: roll.yml does not read vars.A; it reads no variable'],
])('%s', (_, variablesUsed, given, told) =>
  expect(unreadVariables({ file: 'roll.yml', variablesUsed }, given)).toBe(told),
);

import { expect, it } from '@jest/globals';
import { unreadVariables, variablesIn } from '../src/variables.ts';

const text = "host: ${{ vars.SERVER_HOST }}\nif: vars.target_group_arn != '' || vars.SERVER_HOST";

it('finds each variable that a workflow reads, once', () =>
  expect(variablesIn(text)).toEqual(['SERVER_HOST', 'TARGET_GROUP_ARN']));

it.each<[string, string, string[], string]>([
  ['accepts what is read', text, ['TARGET_GROUP_ARN'], ''],
  [
    'refuses what is not, and names what is',
    text,
    ['TARGET_GROUP', 'SERVER_HOST'],
    '--var: roll.yml does not read vars.TARGET_GROUP; it reads SERVER_HOST, TARGET_GROUP_ARN',
  ],
  [
    'says where nothing is read',
    'on: push',
    ['A'],
    '--var: roll.yml does not read vars.A; it reads no variable',
  ],
])('%s', (_, workflow, given, told) => expect(unreadVariables('roll.yml', workflow, given)).toBe(told));

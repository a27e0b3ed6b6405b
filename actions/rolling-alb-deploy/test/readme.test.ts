import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

it('the README shows the policy that the account is held to in the tests', () =>
  expect(read('README.md')).toContain(`\`\`\`json\n${read('iam-policy.json')}\`\`\``));

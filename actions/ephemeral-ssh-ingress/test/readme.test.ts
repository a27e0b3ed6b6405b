import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

it.each(['iam-policy.json', 'oidc-trust-policy.json'])('the README shows %s as it is', (name) =>
  expect(read('README.md')).toContain(`\`\`\`json\n${read(name)}\`\`\``),
);

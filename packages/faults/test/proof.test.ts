import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import type { Proof } from '../src/report.ts';
import { table } from '../src/table.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

describe('what was recorded for the README', () => {
  const proof = JSON.parse(readFileSync(join(root, 'docs/proof/faults.json'), 'utf8')) as Proof;

  it('names every case of the table, in the words of today', () =>
    expect(proof.cases.map(({ id, what }) => `${id} ${what}`)).toEqual(
      table.map(({ id, what }) => `${id} ${what}`),
    ));

  it('tried all that is played', () => {
    const played = table.filter(({ runs = [] }) => runs.length > 0).map(({ id }) => id);
    expect(proof.cases.filter(({ tried }) => tried > 0).map(({ id }) => id)).toEqual(played);
  });
});

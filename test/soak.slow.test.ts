import { expect, it } from '@jest/globals';
import { soak } from './soak/soak.ts';

it('three deploys in a row leave nothing open, out, lost or over', async () => {
  const told: string[] = [];
  const { broken, table } = await soak(3, 7, (line) => told.push(line));
  expect({ broken, told: broken > 0 ? told : [] }).toEqual({ broken: 0, told: [] });
  expect(table).toMatch(/^in all +3 /m);
}, 300_000);

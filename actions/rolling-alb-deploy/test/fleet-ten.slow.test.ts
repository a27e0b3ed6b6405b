import { expect, it } from '@jest/globals';
import { succeeded } from './fleet-stage.ts';
import { quick, underLoad } from './users.ts';

const roll = underLoad({ ...quick, hosts: 10 }, async (stage) =>
  stage.main({ ...(await stage.image('v2')), 'batch-size': '1', drain: 'full' }),
);

it('ten targets, one after another, the whole delay: no request is lost, and credentials are renewed', async () => {
  const seen = await roll();
  succeeded(seen.done);
  expect(seen.failures).toEqual([]);
  for (const { requests } of Object.values(seen.byKind)) expect(requests).toBeGreaterThan(5);
  expect(seen.before).toHaveLength(10);
  expect(seen.after).toEqual(seen.before);
  expect(seen.versions).toEqual(['v2']);
  // A session of an hour is a minute and a half here: it was taken anew.
  expect(seen.done.log.match(/taken until/g)!.length).toBeGreaterThan(1);
}, 600_000);

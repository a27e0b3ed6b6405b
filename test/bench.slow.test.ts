import { expect, it } from '@jest/globals';
import { missing } from './bench/missing.ts';
import { measure, theirs } from './bench/stage.ts';

// The scripts that ours are measured against have to work, else the comparison is none. measure() throws where they do
// not end on the new release everywhere.

const where = (...programs: Array<[string, string]>) =>
  programs.some(([program, probe]) => missing(program, probe)) ? it.skip : it;

where(['ssh', '-V'], ['aws', '--version'])(
  'a team of two rolls its two hosts over with its own script',
  async () => {
    const { out } = await measure(
      { hosts: 2, scale: 20, deregistrationDelay: 20, healthInterval: 10 },
      10,
      theirs('their-roll.sh'),
    );
    expect(out).toHaveLength(2);
    expect(Math.min(...out)).toBeGreaterThan(20);
  },
  300_000,
);

where(['ssh', '-V'], ['curl', '--version'])(
  'a team of one server deploys with its own script, and the restart is felt',
  async () => {
    const { requests, lost } = await measure({ hosts: 1, balanced: false }, 20, theirs('their-server.sh'));
    expect(requests).toBeGreaterThan(100);
    expect(lost).toBeGreaterThan(0);
  },
  120_000,
);

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { root } from '../tools/manifest.ts';
import { rehearse, report } from './rehearsed.ts';

// A workflow that was copied, with one thing wrong in it: the rehearsal has to meet the mistake and tell of it.

const directory = mkdtempSync(join(tmpdir(), 'lockkeeper-mistakes-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it.each([
  [
    'a newcomer whose key nobody pinned, where reconcile.yml does not read it from the console',
    { from: /^ +host-keys: ec2-console\n/m, to: '' },
    /no host key is pinned for .*i-\w+/,
  ],
  [
    'a misspelt input of reconcile.yml',
    { from: /host-keys: ec2-console/, to: 'host-keys: console' },
    /host-keys: "console" is not valid; expected inputs, ec2-console/,
  ],
])(
  'meets %s, and Slack says so',
  async (_what, { from, to }, reason) => {
    cpSync(join(root, 'workflows-examples'), directory, { recursive: true });
    const copy = join(directory, 'reconcile.yml');
    writeFileSync(copy, readFileSync(copy, 'utf8').replace(from, to));
    const run = await rehearse([copy]);
    expect(run.code).toBe(1);
    expect(report(run)).toMatch(new RegExp(`✗ Bring along who serves something else: .*${reason.source}`));
    expect(report(run)).toMatch(new RegExp(`▌ .*${reason.source}`));
    expect(report(run)).toContain('✓ Nothing left open: no rule, no port');
  },
  300_000,
);

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { root } from '../tools/manifest.ts';
import { rehearse, report } from './rehearsed.ts';

// A workflow that was copied, with one thing wrong in it: the rehearsal has to meet the mistake and tell of it.

const directory = mkdtempSync(join(tmpdir(), 'lockkeeper-mistakes-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('meets a newcomer whose key nobody pinned, where reconcile.yml does not read it from the console', async () => {
  cpSync(join(root, 'workflows-examples'), directory, { recursive: true });
  const copy = join(directory, 'reconcile.yml');
  writeFileSync(copy, readFileSync(copy, 'utf8').replace(/^ +host-keys: ec2-console\n/m, ''));
  const run = await rehearse([copy]);
  expect(run.code).toBe(1);
  expect(report(run)).toMatch(/✗ Bring along who serves something else: .*no host key is pinned for .*i-\w+/);
  expect(report(run)).toMatch(/▌ no host key is pinned for/);
  expect(report(run)).toContain('✓ Nothing left open: no rule, no port');
}, 300_000);

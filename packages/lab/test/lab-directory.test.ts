import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { labDirectoryPrefix, sweepLabDirectories } from '../src/lab-directory.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'lockkeeper-sweep-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

it('takes what a killed lab left empty, and nothing else', () => {
  const { pid: dead } = spawnSync(process.execPath, ['-e', 'process.kill(process.pid, "SIGKILL")']);
  const names = {
    ended: `lockkeeper-lab-${dead}-aaaaaa`,
    full: `lockkeeper-lab-${dead}-bbbbbb`,
    running: `${labDirectoryPrefix()}cccccc`,
    foreign: `other-${dead}-dddddd`,
  };
  for (const name of Object.values(names)) mkdirSync(join(parent, name));
  writeFileSync(join(parent, names.full, 'host-1.log'), '');
  sweepLabDirectories(parent);
  expect(readdirSync(parent).sort()).toEqual([names.full, names.running, names.foreign].sort());
});

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodePath } from '@lockkeeper/runner';
import { actions } from '../../tools/manifest.ts';
import { median, type Section } from './figures.ts';

/** Tells on descriptor 3, at the end of a process, the most memory that it had: kilobytes. */
const tellPeak = `data:text/javascript,${encodeURIComponent(
  "import { writeSync } from 'node:fs'; process.on('exit', () => writeSync(3, String(process.resourceUsage().maxRSS)));",
)}`;

/** Starts a script in an empty environment and waits for its end: milliseconds, and megabytes at the peak. */
function startOf(script: string): Promise<{ ms: number; mb: number }> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const child = spawn(nodePath, ['--import', tellPeak, script], {
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    let peak = '';
    child.stdio[3]!.on('data', (data: Buffer) => {
      peak += data;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (!/^\d+$/.test(peak) || (code !== 0 && code !== 1))
        reject(new Error(`${script} ended with ${code} and told "${peak}" of its memory`));
      else resolve({ ms: performance.now() - began, mb: Number(peak) / 1024 });
    });
  });
}

/** Start-up and peak memory of each bundle beside a Node process that does nothing, interleaved. */
export async function startSection(rounds = 11): Promise<Section> {
  const temp = mkdtempSync(join(tmpdir(), 'lockkeeper-bench-'));
  try {
    const empty = join(temp, 'empty.mjs');
    writeFileSync(empty, '');
    const scripts = [
      { name: 'an empty Node process', script: empty },
      ...actions().map(({ name, directory }) => ({ name, script: join(directory, 'dist/main.js') })),
    ];
    const seen = new Map(scripts.map(({ name }) => [name, [] as Array<{ ms: number; mb: number }>]));
    for (let round = 0; round < rounds; round++)
      for (const { name, script } of scripts) seen.get(name)!.push(await startOf(script));
    const of = (name: string, what: 'ms' | 'mb') => median(seen.get(name)!.map((one) => one[what]));
    const nothing = scripts[0]!.name;
    return {
      name: 'start',
      title: 'Start-up and peak memory of the bundles',
      columns: [
        { key: 'name', heading: 'bundle' },
        { key: 'ms', heading: 'start (ms)' },
        { key: 'msRatio', heading: '× empty', digits: 2 },
        { key: 'mb', heading: 'peak (MB)' },
        { key: 'mbRatio', heading: '× empty', digits: 2 },
      ],
      rows: scripts.map(({ name }) => ({
        name,
        ms: of(name, 'ms'),
        msRatio: of(name, 'ms') / of(nothing, 'ms'),
        mb: of(name, 'mb'),
        mbRatio: of(name, 'mb') / of(nothing, 'mb'),
      })),
      notes: [
        `Until it has judged its inputs, which are empty, and ended. Median of ${rounds}, interleaved.`,
      ],
    };
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

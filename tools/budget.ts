// What the bundles may weigh and how long they may take to start: budget.json. Without an argument it states there
// what is now; with --check it fails when a bundle has outgrown it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { actions, root } from './manifest.ts';

export interface Cost {
  /** All files of dist/ together. */
  bytes: number;
  /** Processor time that Node takes to load the bundle, as a multiple of that for an empty script. */
  startUp: number;
}

/** By the name of the action. */
export type Budget = Record<string, Cost>;

/** A bundle that grows by more has to say so. */
const allowedGrowth = 0.1;
/** The ratio of two short processes wavers on a busy machine; an SDK that is loaded too early more than doubles it. */
const allowedStartUp = 2;
const file = 'budget.json';

/** What does not keep to the budget, a sentence each, with what to do about it. Pure. */
export function overruns(budget: Budget, now: Budget): string[] {
  const state = `state it: pnpm budget, then commit ${file}`;
  const names = [...new Set([...Object.keys(budget), ...Object.keys(now)])].sort();
  return names.flatMap((name) => {
    const dist = `actions/${name}/dist`;
    const [before, after] = [budget[name], now[name]];
    if (!before) return [`${dist} is not in ${file}. Next: ${state}`];
    if (!after) return [`${file} has ${dist}, which is not there. Next: ${state}`];
    const grown = (after.bytes - before.bytes) / before.bytes;
    return [
      ...(grown > allowedGrowth
        ? [
            `${dist} has ${after.bytes} bytes, ${file} says ${before.bytes}: ${(grown * 100).toFixed(1)} % more, ` +
              `${allowedGrowth * 100} % are free. Next: find out what came into the bundle, or ${state}`,
          ]
        : []),
      ...(after.startUp > before.startUp * allowedStartUp
        ? [
            `${dist} takes ${after.startUp.toFixed(1)} times the processor time of an empty script to load, ${file} says ` +
              `${before.startUp.toFixed(1)}. Next: find out what is loaded before it is needed, or ${state}`,
          ]
        : []),
    ];
  });
}

function bytesIn(directory: string): number {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }) as string[];
  return names
    .map((name) => statSync(join(directory, name)))
    .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0);
}

// Imports what it is given, and says how much processor time the process has used by then.
const load = `await import(process.argv[1]);
const { user, system } = process.cpuUsage();
process.stdout.write(String(user + system));
process.exit();`;

function loadingTime(script: string): number {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', load, pathToFileURL(script).href],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${script} does not load: ${stderr}`);
  return Number(stdout);
}

/**
 * What the committed bundles cost. Processor time, which others on the machine hardly blur, and of several loads the
 * cheapest: what disturbs a process only makes it dearer.
 */
function measure(): Budget {
  const scratch = mkdtempSync(join(tmpdir(), 'lockkeeper-budget-'));
  try {
    const empty = join(scratch, 'empty.mjs');
    writeFileSync(empty, '');
    const bundles = actions().map(({ name, directory }) => ({ name, dist: join(directory, 'dist') }));
    const cheapest = new Map<string, number>();
    const scripts = [empty, ...bundles.map(({ dist }) => join(dist, 'index.js'))];
    for (let round = 0; round < 7; round++)
      for (const script of scripts)
        cheapest.set(script, Math.min(cheapest.get(script) ?? Infinity, loadingTime(script)));
    return Object.fromEntries(
      bundles.map(({ name, dist }) => {
        const ratio = cheapest.get(join(dist, 'index.js'))! / cheapest.get(empty)!;
        return [name, { bytes: bytesIn(dist), startUp: Number(ratio.toFixed(1)) }];
      }),
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = join(root, file);
  if (process.argv.includes('--check')) {
    const budget = JSON.parse(readFileSync(path, 'utf8')) as Budget;
    const now = measure();
    for (const [name, { bytes, startUp }] of Object.entries(now))
      console.log(`actions/${name}/dist: ${bytes} bytes, ${startUp} × an empty script`);
    const problems = overruns(budget, now);
    for (const problem of problems) console.error(problem);
    process.exitCode = problems.length > 0 ? 1 : 0;
  } else writeFileSync(path, `${JSON.stringify(measure(), null, 2)}\n`);
}

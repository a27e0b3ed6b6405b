// Everything that must hold before a change lands: `pnpm test`. Ends with a line `N passed, N failed`.
// With --slow it also runs *.slow.test.ts, rehearses the faults that the tests leave out, and plays the whole of
// `pnpm faults`; with --real also the tests on real hosts (test/real), which need root on Debian. Other arguments go
// to jest.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failuresOf, type JestReport } from './jest-report.ts';
import { root } from './manifest.ts';

interface Check {
  name: string;
  command: string[];
  /** Shown while it runs; otherwise its output is shown when it fails. */
  live?: boolean;
}

const node = process.execPath;
const given = process.argv.slice(2);
const slow = given.includes('--slow');
const real = given.includes('--real');
const results = mkdtempSync(join(tmpdir(), 'lockkeeper-check-'));
const toJson = (name: string) => ['--json', `--outputFile=${join(results, `${name}.json`)}`];

const still: Check[] = [
  { name: 'lint and format', command: [join(root, 'node_modules/.bin/biome'), 'check', '.'] },
  { name: 'types', command: [node, 'node_modules/typescript/bin/tsc', '--project', 'tsconfig.json'] },
  { name: 'READMEs hold what action.yml and docs/ make', command: [node, 'tools/docs.ts', '--check'] },
  { name: 'dist/ is what the sources make', command: [node, 'tools/build.ts', '--check'] },
  { name: 'bundles keep to budget.json', command: [node, 'tools/budget.ts', '--check'] },
];
const jest = (name: string, workers: number, ...more: string[]): Check => ({
  name,
  live: true,
  command: [
    node,
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    `--maxWorkers=${workers}`,
    ...toJson(name),
    ...more,
    ...given.filter((argument) => !['--slow', '--real'].includes(argument)),
  ],
});
// Most of the longer tests wait for a lab's clock, not for a processor.
const tests = jest('tests', 4);
// A fleet under load needs a processor.
const slowTests = jest('slow tests', 2, '--passWithNoTests');
const realTests: Check = {
  name: 'real hosts',
  live: true,
  command: [
    node,
    '--disable-warning=ExperimentalWarning',
    'test/real/run.ts',
    '--required',
    ...toJson('real hosts'),
  ],
};
const rehearsals: Check[] = ['bad-image', 'no-database', 'drop-ssh', 'deny'].map((fault) => ({
  name: `rehearsal with ${fault}`,
  command: [node, 'packages/rehearsal/src/main.ts', '--plain', '--fail', fault],
}));

const faults: Check = {
  name: 'every fault and threat that can be played',
  command: [node, '--disable-warning=ExperimentalWarning', 'packages/faults/src/main.ts'],
};

let passed = 0;
let failed = 0;
/** What failed, told once more at the end: a log of half an hour is read from there. */
const failures: string[] = [];

function hold({ name, command: [program, ...args], live }: Check): Promise<boolean> {
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program!, args, {
      cwd: root,
      env: { ...process.env, LOCKKEEPER_SLOW: name === slowTests.name ? '1' : '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => output.push(data));
    // Jest writes its progress to stderr and, with --json, its results to stdout and the file.
    child.stderr.on('data', (data: Buffer) => (live ? process.stderr.write(data) : output.push(data)));
    child.on('close', (code) => {
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(`${code === 0 ? '✓' : '✗'} ${name} (${seconds} s)`);
      if (code !== 0 && !live) console.log(Buffer.concat(output).toString());
      resolve(code === 0);
    });
  });
}

async function count(checks: Check[]): Promise<void> {
  for (const check of checks) {
    if (await hold(check)) passed += 1;
    else {
      failed += 1;
      failures.push(check.name);
    }
  }
}

async function runTests(check: Check): Promise<void> {
  const ok = await hold(check);
  try {
    const report = JSON.parse(readFileSync(join(results, `${check.name}.json`), 'utf8')) as JestReport;
    passed += report.numPassedTests;
    failed += report.numFailedTests + report.numRuntimeErrorTestSuites;
    failures.push(...failuresOf(report, root));
    if (ok || report.numFailedTestSuites > 0) return;
    failures.push(`${check.name}: every test passed, and yet it ended as failed`);
  } catch (error) {
    failures.push(`${check.name} left no report: ${String(error)}`);
  }
  failed += 1;
}

try {
  await count(still);
  await runTests(tests);
  if (slow) {
    await runTests(slowTests);
    await count([...rehearsals, faults]);
  }
  if (real) await runTests(realTests);
} finally {
  rmSync(results, { recursive: true, force: true });
}
for (const failure of failures) console.log(`✗ ${failure}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

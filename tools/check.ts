// Everything that must hold before a change lands: `pnpm test`. Ends with a line `N passed, N failed`.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './manifest.ts';

interface Check {
  name: string;
  command: string[];
}

const node = process.execPath;
const results = mkdtempSync(join(tmpdir(), 'lockkeeper-check-'));
const jestResults = join(results, 'jest.json');

const checks: Check[] = [
  { name: 'lint and format', command: [join(root, 'node_modules/.bin/biome'), 'check', '.'] },
  {
    name: 'types',
    command: [node, join(root, 'node_modules/typescript/bin/tsc'), '--project', 'tsconfig.json'],
  },
  { name: 'tables in the READMEs are those of action.yml', command: [node, 'tools/docs.ts', '--check'] },
  { name: 'dist/ is what the sources make', command: [node, 'tools/build.ts', '--check'] },
];
const tests: Check = {
  name: 'tests',
  command: [
    node,
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--json',
    `--outputFile=${jestResults}`,
    ...process.argv.slice(2),
  ],
};

let passed = 0;
let failed = 0;

function runCheck({ name, command: [program, ...args] }: Check): Promise<boolean> {
  const began = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program!, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    // Jest writes its progress to stderr and, with --json, its results to a file.
    child.stdout.on('data', (data: Buffer) => output.push(data));
    child.stderr.on('data', (data: Buffer) =>
      isTests(name) ? process.stderr.write(data) : output.push(data),
    );
    child.on('close', (code) => {
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(`${code === 0 ? '✓' : '✗'} ${name} (${seconds} s)`);
      if (code !== 0 && !isTests(name)) console.log(Buffer.concat(output).toString());
      resolve(code === 0);
    });
  });
}

const isTests = (name: string) => name === tests.name;

async function runTests(): Promise<void> {
  const ok = await runCheck(tests);
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites, numRuntimeErrorTestSuites } = JSON.parse(
      readFileSync(jestResults, 'utf8'),
    ) as Record<string, number>;
    passed += numPassedTests!;
    failed += numFailedTests! + numRuntimeErrorTestSuites!;
    if (!ok && numFailedTests === 0 && numFailedTestSuites === 0) failed += 1;
  } catch {
    failed += 1;
  }
}

async function runOthers(): Promise<void> {
  for (const check of checks) {
    if (await runCheck(check)) passed += 1;
    else failed += 1;
  }
}

try {
  await runOthers();
  await runTests();
} finally {
  rmSync(results, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

// `pnpm test:real`: the tests against real hosts. Arguments go to jest, but for --required: then a machine that
// cannot be several hosts is a failure, as it is on a CI machine; otherwise it is told why nothing was run.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { prepareMachine } from './network/prerequisites.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const given = process.argv.slice(2);
const required = given.includes('--required') || !['', 'false', undefined].includes(process.env.CI);

const unfit = await prepareMachine();
if (unfit) {
  console.error(`the real tier ${required ? 'cannot run, and must' : 'is skipped'}: ${unfit}`);
  process.exitCode = required ? 1 : 0;
} else {
  const jest = spawn(
    process.execPath,
    [
      ...[
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        'node_modules/jest/bin/jest.js',
      ],
      ...['--config', 'jest.real.config.mjs'],
      ...given.filter((argument) => argument !== '--required'),
    ],
    { cwd: root, stdio: 'inherit' },
  );
  jest.once('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

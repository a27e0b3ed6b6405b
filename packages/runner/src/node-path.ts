import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * Absolute path of the Node 24 that GitHub's runner gives to `using: node24`: the binary of this package's
 * `node` dependency, whatever Node the user has.
 */
export const nodePath: string = join(
  dirname(createRequire(import.meta.url).resolve('node/package.json')),
  'bin',
  'node',
);

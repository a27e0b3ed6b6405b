// Bundles the action in the working directory: ncc derives module ids from it, so that a bundle built from
// anywhere else would differ. Prints every file of dist/ as JSON, for the caller to write or compare.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const ncc = require('@vercel/ncc') as (
  entry: string,
  options: object,
) => Promise<{ code: string; assets: Record<string, { source: string | Buffer }> }>;

const { code, assets } = await ncc(join(process.cwd(), 'src/main.ts'), {
  cache: false,
  quiet: true,
  transpileOnly: true,
  license: 'licenses.txt',
});

const files: Record<string, string> = { 'index.js': code };
for (const [name, { source }] of Object.entries(assets)) files[name] = source.toString();
process.send?.(files, () => process.exit(0));

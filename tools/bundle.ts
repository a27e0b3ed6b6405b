// Bundles the action in the working directory: ncc derives module ids from it, so that a bundle built from
// anywhere else would differ. Prints every file of dist/ as JSON, for the caller to write or compare.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { licenceFile, packagesOf } from './licences.ts';

/** The parts of a webpack module that are read here; a concatenated one holds those that it was made of. */
interface Module {
  resource?: string;
  modules?: Iterable<Module>;
}

const require = createRequire(import.meta.url);
const ncc = require('@vercel/ncc') as (
  entry: string,
  options: object,
) => Promise<{
  code: string;
  assets: Record<string, { source: string | Buffer }>;
  stats: { compilation: { modules: Iterable<Module> } };
}>;

const { code, assets, stats } = await ncc(join(process.cwd(), 'src/main.ts'), {
  cache: false,
  quiet: true,
  transpileOnly: true,
});

const filesOf = (modules: Iterable<Module>): string[] =>
  [...modules].flatMap(({ resource, modules: parts }) => [
    ...(resource ? [resource] : []),
    ...(parts ? filesOf(parts) : []),
  ]);

// ncc's own list is written anew for each chunk, over the one before: a bundle that loads its SDK late named the
// packages of its last chunk alone.
const files: Record<string, string> = {
  'index.js': code,
  'licenses.txt': licenceFile(packagesOf(filesOf(stats.compilation.modules))),
};
for (const [name, { source }] of Object.entries(assets)) files[name] = source.toString();
process.send?.(files, () => process.exit(0));

// Writes actions/*/dist. With --check it writes nothing and fails when anything there differs, new files included.
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Action, actions, contractOf } from './manifest.ts';

/** The files of an action's dist/, made afresh. */
export async function buildAction(action: Action): Promise<Map<string, string>> {
  const files = new Map(Object.entries(await bundle(action.directory)));
  files.set('package.json', '{"type":"module"}\n');
  files.set('action.json', `${JSON.stringify(contractOf(action), null, 2)}\n`);
  for (const phase of ['main', 'post'])
    if (action.manifest.runs[phase])
      files.set(
        `${phase}.js`,
        "import contract from './action.json' with { type: 'json' };\n" +
          `import { run } from './index.js';\n\nawait run('${phase}', contract);\n`,
      );
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function bundle(directory: string): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('./bundle.ts', import.meta.url)), {
      cwd: directory,
      execArgv: ['--disable-warning=DEP0187'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let files: Record<string, string> | undefined;
    child.on('message', (message) => {
      files = message as Record<string, string>;
    });
    child.on('exit', (code) =>
      files ? resolve(files) : reject(new Error(`bundling ${directory} failed (${code})`)),
    );
  });
}

/** What of dist/ is not as the sources make it: `changed`, `missing` and `unexpected` files. */
export function differences(directory: string, files: Map<string, string>): string[] {
  const dist = join(directory, 'dist');
  const present = existsSync(dist)
    ? (readdirSync(dist, { recursive: true, withFileTypes: true }) as import('node:fs').Dirent[])
    : [];
  const names = present
    .filter((e) => e.isFile())
    .map((e) => join(e.parentPath, e.name).slice(dist.length + 1));
  return [
    ...[...files].flatMap(([name, content]) => {
      if (!names.includes(name)) return [`dist/${name} is missing`];
      return readFileSync(join(dist, name), 'utf8') === content ? [] : [`dist/${name} is stale`];
    }),
    ...names.filter((name) => !files.has(name)).map((name) => `dist/${name} should not be there`),
  ];
}

function write({ name, directory }: Action, files: Map<string, string>): void {
  rmSync(join(directory, 'dist'), { recursive: true, force: true });
  for (const [file, content] of files) {
    const path = join(directory, 'dist', file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  const bytes = [...files.values()].reduce((sum, content) => sum + Buffer.byteLength(content), 0);
  console.log(`actions/${name}/dist: ${files.size} files, ${(bytes / 1e6).toFixed(2)} MB`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check');
  const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
  const chosen = actions().filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  const waiting = [...chosen];
  let stale = 0;
  const buildNext = async (): Promise<void> => {
    const action = waiting.shift();
    if (!action) return;
    const files = await buildAction(action);
    const found = differences(action.directory, files);
    if (check) for (const difference of found) console.error(`actions/${action.name}/${difference}`);
    else if (found.length > 0) write(action, files);
    stale += check ? found.length : 0;
    return buildNext();
  };
  await Promise.all([buildNext(), buildNext()]);
  if (stale > 0) {
    console.error(
      'The committed bundles are not what the sources make. Next: pnpm build, then commit dist/.',
    );
    process.exitCode = 1;
  }
}

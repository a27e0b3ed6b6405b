import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { root } from './manifest.ts';

// What a test cannot have on Windows, and on macOS only with loopback addresses added by hand: signals and POSIX
// shells in processes that it starts, a lab, a runner.
const bound = /^(node:child_process|@lockkeeper\/(lab|runner|rehearsal)\b)/;
const boundRooms = ['lab', 'runner', 'rehearsal'].map((room) => join(root, 'packages', room) + sep);

/** Whether a test, or what it imports of its neighbours, starts processes; what only its sources import does not count. */
function startsProcesses(file: string, seen: Set<string>): boolean {
  if (seen.has(file) || !existsSync(file)) return false;
  seen.add(file);
  if (boundRooms.some((room) => file.startsWith(room))) return true;
  if (file.includes(`${sep}src${sep}`)) return false;
  const imported = readFileSync(file, 'utf8').matchAll(
    /^(?:import|export)\s(?!type)[^;'"]*?from\s*'([^']+)'/gm,
  );
  return [...imported].some(([, from]) =>
    from!.startsWith('.') ? startsProcesses(resolve(dirname(file), from!), seen) : bound.test(from!),
  );
}

/**
 * The quick tests that need no more than Node, on whatever system: those of single files, and the contract between each
 * action.yml and its code. What the others in test/ judge is the same text on every system. Named from the root, with `/`.
 */
export function portableTests(): string[] {
  return globSync(['actions/*/test/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'test/contract.test.ts'], {
    cwd: root,
  })
    .filter((name) => !name.endsWith('.slow.test.ts') && !startsProcesses(join(root, name), new Set()))
    .map((name) => name.replaceAll(sep, '/'))
    .sort();
}

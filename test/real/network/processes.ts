import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface RunningProcess {
  /** As this process sees it. */
  pid: number;
  argv: string[];
  /** The arguments, separated by spaces. */
  command: string;
}

/** All processes in the process namespace of `first` and in those below it: a host's containers share its own. */
export function processesOf(first: number): RunningProcess[] {
  const own = namespace(first);
  return own === undefined ? [] : allProcesses().filter(({ pid }) => pid === first || below(pid, own));
}

/** Every process of the machine, with its arguments. One that ends meanwhile is left out. */
export function allProcesses(): RunningProcess[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const argv = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replace(/\0$/, '').split('\0');
      return [{ pid: Number(entry), argv, command: argv.join(' ') }];
    } catch {
      return [];
    }
  });
}

function namespace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

/** A container has a namespace of its own, but its ancestors end at the host's first process. */
function below(pid: number, own: string): boolean {
  for (let at = pid; at > 1; ) {
    if (namespace(at) === own) return true;
    try {
      at = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${at}/status`, 'utf8'))?.[1] ?? 0);
    } catch {
      return false;
    }
  }
  return false;
}

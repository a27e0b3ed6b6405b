export interface FaultsArguments {
  /** Part of a name as the table shows it: a case, words of it, `(post)`. */
  pattern: string;
  seed: number;
  /** A few instead of all. */
  quick: boolean;
  /** Where to write everything as JSON. */
  json?: string;
  /** Writes docs/proof/faults.json. */
  record: boolean;
  /** Shows every line of the logs. */
  verbose: boolean;
  /** Labs side by side. */
  parallel: number;
}

/** A mistake of who typed the command: one line and exit status 2. */
export class UsageError extends Error {}

export const usage = `Usage: pnpm faults [pattern] [--seed N] [--quick] [--json FILE] [--record] [--parallel N] [--verbose]

Plays every case of the failure model (F01-F30) and of the threat model (T01-T25) that can be played here: the
committed bundles, run as the runner runs them, over real SSH and HTTP, in a lab of its own for each. A fault strikes
main or post; then comes the re-run. After each run the lab is looked at from outside, and the five guarantees judged.

  pattern       only those whose name holds it: F16, "throttled", "(post)"
  --seed N      the same seed gives the same ids and the same load (default 1)
  --quick       a few of them
  --json FILE   everything that was seen, as JSON
  --record      write docs/proof/faults.json, of which the README's table is made (whole table only)
  --parallel N  labs side by side (default 3)
  --verbose     every line of every log

Exit status: 0 when every guarantee held in every trial; 1 when one was broken; 2 for a mistake of yours.`;

/** Reads the command line; undefined asks for the usage. Throws UsageError. */
export function parseArguments(argv: readonly string[]): FaultsArguments | undefined {
  const result: FaultsArguments = {
    pattern: '',
    seed: 1,
    quick: false,
    record: false,
    verbose: false,
    parallel: 3,
  };
  const rest = argv.filter((argument) => argument !== '--');
  for (let i = 0; i < rest.length; i++) {
    const [name, inline] = rest[i]!.split(/=(.*)/s, 2) as [string, string | undefined];
    const value = () => inline ?? rest[++i] ?? '';
    const number = (least: number) => {
      const given = value();
      if (!/^\d{1,9}$/.test(given) || Number(given) < least)
        throw new UsageError(`${name}: "${given}" is not a whole number of ${least} or more`);
      return Number(given);
    };
    if (name === '--help' || name === '-h') return undefined;
    if (name === '--quick') result.quick = true;
    else if (name === '--record') result.record = true;
    else if (name === '--verbose') result.verbose = true;
    else if (name === '--seed') result.seed = number(0);
    else if (name === '--parallel') result.parallel = number(1);
    else if (name === '--json') {
      result.json = value();
      if (!result.json) throw new UsageError('--json: a file is missing');
    } else if (name.startsWith('-')) throw new UsageError(`${name} is not an option; see pnpm faults --help`);
    else if (result.pattern)
      throw new UsageError(`one pattern at a time: "${result.pattern}" or "${rest[i]}"`);
    else result.pattern = rest[i]!;
  }
  if (result.record && (result.pattern || result.quick))
    throw new UsageError('--record: the proof is of the whole table, without a pattern and without --quick');
  return result;
}

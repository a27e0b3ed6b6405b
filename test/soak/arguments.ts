export interface SoakArguments {
  deploys: number;
  seed: number;
}

/** A mistake of who typed the command: one line and exit status 2. */
export class UsageError extends Error {}

export const usage = `Usage: pnpm soak [--deploys N] [--seed N]

Deploys so often in a row (default 100) to hosts that stay: one server, and two behind a load balancer under load; good
and sick releases in turn, with faults by chance. After each, nothing may be open, out of rotation, lost or left over.

  --deploys N   how many (default 100)
  --seed N      the same seed gives the same releases and faults in the same order (default 1)

Exit status: 0 when all held; 1 with what was broken and the command that does it again; 2 for a mistake of yours.`;

/** Reads the command line; undefined asks for the usage. Throws UsageError. */
export function parseArguments(argv: readonly string[]): SoakArguments | undefined {
  const result: SoakArguments = { deploys: 100, seed: 1 };
  const rest = argv.filter((argument) => argument !== '--');
  for (let i = 0; i < rest.length; i++) {
    const [name, inline] = rest[i]!.split(/=(.*)/s, 2) as [string, string | undefined];
    const number = () => {
      const text = inline ?? rest[++i] ?? '';
      if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`${name}: "${text}" is not a number from 1 on`);
      return Number(text);
    };
    if (name === '--help' || name === '-h') return undefined;
    if (name === '--deploys') result.deploys = number();
    else if (name === '--seed') result.seed = number();
    else throw new UsageError(`${name} is not an option; see pnpm soak --help`);
  }
  return result;
}

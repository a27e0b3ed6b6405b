export const sectionNames = ['deploy', 'server', 'start', 'ssh', 'cost'] as const;
export type SectionName = (typeof sectionNames)[number];

export interface BenchArguments {
  only: readonly SectionName[];
  /** Of each side of what takes minutes. */
  runs: number;
  /** Deregistration delays of the whole deploy, in seconds. */
  delays: readonly number[];
  /** Where the figures go as JSON besides. */
  json?: string;
  /** Keep them for the README. */
  record: boolean;
}

/** A mistake of who typed the command: one line and exit status 2. */
export class UsageError extends Error {}

export const usage = `Usage: pnpm bench [--only ${sectionNames.join(',')}] [--runs N] [--delays S,S] [--json FILE] [--record]

Measures Lockkeeper beside what it replaces, in turn on this computer: medians and ratios (ours / theirs).

  --only A,B     some of: deploy (two hosts behind a load balancer), server (one server), start (start-up and
                 memory of the bundles), ssh (our client and OpenSSH's), cost (calls and seconds, simulated)
  --runs N       how often each side of deploy and server is measured (default 1)
  --delays S,S   deregistration delays of deploy, in seconds (default 6,60; AWS's own is 300)
  --json FILE    write the figures there as well
  --record       keep them in docs/proof/bench.json, for the README: pnpm run docs`;

/** Reads the command line; undefined asks for the usage. Throws UsageError. */
export function parseArguments(argv: readonly string[]): BenchArguments | undefined {
  const result: BenchArguments = { only: sectionNames, runs: 1, delays: [6, 60], record: false };
  const rest = argv.filter((argument) => argument !== '--');
  for (let i = 0; i < rest.length; i++) {
    const [name, inline] = rest[i]!.split(/=(.*)/s, 2) as [string, string | undefined];
    const value = () => inline ?? rest[++i] ?? '';
    const list = () => value().split(',');
    if (name === '--help' || name === '-h') return undefined;
    if (name === '--record') result.record = true;
    else if (name === '--json') {
      result.json = value();
      if (!result.json) throw new UsageError('--json needs the name of a file');
    } else if (name === '--only') {
      result.only = list().map((given) => {
        const found = sectionNames.find((one) => one === given);
        if (!found)
          throw new UsageError(`--only: "${given}" is not measured; expected ${sectionNames.join(', ')}`);
        return found;
      });
    } else if (name === '--runs') result.runs = whole(name, value(), 1, 99);
    else if (name === '--delays') result.delays = list().map((given) => whole(name, given, 0, 3600));
    else throw new UsageError(`${name} is not an option; see pnpm bench --help`);
  }
  return result;
}

function whole(name: string, text: string, from: number, to: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < from || value > to)
    throw new UsageError(`${name}: "${text}" is not a whole number from ${from} to ${to}`);
  return value;
}

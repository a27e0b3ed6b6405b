import { type FaultName, faults } from './fault.ts';

export interface RehearsalArguments {
  /** As the user typed it, or the reference workflow. */
  workflow: string;
  realTime: boolean;
  fail?: FaultName;
  seed: number;
  /** Inputs of a start by hand; where any is given, that is what starts the workflow. */
  inputs: Record<string, string>;
  /** The repository's variables, where they differ from the lab's. */
  vars: Record<string, string>;
  /** One line an event instead of a live picture. */
  plain: boolean;
  /** A file for the report as a picture. */
  picture?: string;
}

/** A mistake of who typed the command: one line and exit status 2. */
export class UsageError extends Error {}

export const usage = `Usage: pnpm rehearse [workflow] [--real-time] [--fail ${Object.keys(faults).join('|')}] [--input NAME=VALUE] [--var NAME=VALUE] [--seed N] [--plain] [--picture FILE]

Runs a workflow file on this computer, in a stand-in AWS account under load, and tells what users would have seen.
The default is workflows-examples/rolling-alb.yml.

  --real-time   AWS's own durations at their real pace (a deregistration delay takes 300 s)
  --fail NAME   what goes wrong:
${Object.entries(faults)
  .map(([name, { what }]) => `                  ${name.padEnd(13)} ${what}`)
  .join('\n')}
  --input N=V   start the workflow by hand (workflow_dispatch) with this input; may be given several times
  --var N=V     set a variable of the repository (vars.NAME) otherwise than the lab does; TARGET_GROUP_ARN= sets the stage
                of one server without a load balancer; may be given several times
  --seed N      the same seed gives the same ids and the same load (default 1)
  --plain       lines instead of the live picture
  --picture F   write the report as a picture, too (SVG)

Exit status: 0 when every guarantee held, also when the deploy was made to fail; 1 when one was broken; 2 for a mistake of yours.`;

/** Reads the command line; undefined asks for the usage. Throws UsageError. */
export function parseArguments(argv: readonly string[]): RehearsalArguments | undefined {
  const result: RehearsalArguments = {
    workflow: '',
    realTime: false,
    seed: 1,
    inputs: {},
    vars: {},
    plain: false,
  };
  const rest = argv.filter((argument) => argument !== '--');
  for (let i = 0; i < rest.length; i++) {
    const [name, inline] = rest[i]!.split(/=(.*)/s, 2) as [string, string | undefined];
    const value = () => inline ?? rest[++i] ?? '';
    if (name === '--help' || name === '-h') return undefined;
    if (name === '--real-time') result.realTime = true;
    else if (name === '--plain') result.plain = true;
    else if (name === '--fail') {
      const fault = value();
      if (!Object.hasOwn(faults, fault))
        throw new UsageError(`--fail: "${fault}" is not a fault; expected ${Object.keys(faults).join(', ')}`);
      result.fail = fault as FaultName;
    } else if (name === '--input') {
      const [input, text] = pairOf(name, value(), 'tag=v1.2.2');
      result.inputs[input] = text;
    } else if (name === '--var') {
      const [variable, text] = pairOf(name, value(), 'DRAIN=false');
      result.vars[variable.toUpperCase()] = text;
    } else if (name === '--picture') {
      result.picture = value();
      if (!result.picture) throw new UsageError('--picture: which file?');
    } else if (name === '--seed') {
      const seed = value();
      if (!/^\d{1,9}$/.test(seed)) throw new UsageError(`--seed: "${seed}" is not a whole number`);
      result.seed = Number(seed);
    } else if (name.startsWith('-'))
      throw new UsageError(`${name} is not an option; see pnpm rehearse --help`);
    else if (result.workflow)
      throw new UsageError(`one workflow at a time: "${result.workflow}" or "${rest[i]}"`);
    else result.workflow = rest[i]!;
  }
  result.workflow ||= 'workflows-examples/rolling-alb.yml';
  return result;
}

/** NAME=VALUE; the value may be empty and hold more `=`. */
function pairOf(option: string, given: string, example: string): [name: string, value: string] {
  const [name, value] = given.split(/=(.*)/s, 2) as [string, string | undefined];
  if (!name || value === undefined)
    throw new UsageError(`${option}: "${given}" is not NAME=VALUE, such as ${example}`);
  return [name, value];
}

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { arch, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FaultsArguments, parseArguments, UsageError, usage } from './arguments.ts';
import { held } from './judgement.ts';
import { nameOf, type Turn, turnsOf } from './plan.ts';
import { play, type Trial } from './play.ts';
import { byCase, byGuarantee, headings, type Proof, renderEnd, renderTrial } from './report.ts';
import { table } from './table.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const proofFile = join(root, 'docs/proof/faults.json');

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    console.error(`${signal}: the labs are taken down`);
    stop.abort();
  });

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  try {
    const given = parseArguments(argv);
    if (!given) {
      console.log(usage);
      return 0;
    }
    const turns = turnsOf(table, given);
    if (turns.length === 0)
      throw new UsageError(
        `no case that is played here is called "${given.pattern}"; see packages/faults/src/table.ts`,
      );
    const commit = execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: root, encoding: 'utf8' });
    const trials = await tryAll(turns, given);
    if (stop.signal.aborted) return 1;
    console.log(renderEnd(table, trials, !given.pattern && !given.quick));
    const proof: Proof = {
      date: new Date().toISOString().slice(0, 10),
      commit: commit.trim(),
      machine: `${cpus().length} × ${cpus()[0]?.model.trim() || arch()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release().split('-')[0]}, Node ${process.version}`,
      seed: given.seed,
      guarantees: byGuarantee(trials),
      cases: byCase(table, trials),
    };
    if (given.json) writeFileSync(given.json, `${JSON.stringify({ ...proof, trials }, null, 2)}\n`);
    if (given.record) writeFileSync(proofFile, `${JSON.stringify(proof, null, 2)}\n`);
    return trials.every(held) ? 0 : 1;
  } catch (error) {
    const mistake = error instanceof UsageError;
    console.error(mistake ? error.message : error instanceof Error ? error.stack : error);
    return mistake ? 2 : 1;
  }
}

/** Plays the turns, so many labs side by side, and tells each as it ends. */
async function tryAll(
  turns: readonly Turn[],
  { seed, parallel, verbose }: FaultsArguments,
): Promise<Trial[]> {
  console.log(headings);
  const waiting = [...turns];
  const done = new Map<Turn, Trial[]>();
  const lane = async () => {
    for (let turn = waiting.shift(); turn; turn = waiting.shift()) {
      const name = nameOf(turn);
      const onLine = verbose ? (line: string) => console.log(`${name} | ${line}`) : undefined;
      const trials = await play(turn.id, turn.disturbance, turn.phase, {
        seed,
        actions: join(root, 'actions'),
        signal: stop.signal,
        ...(onLine ? { onLine } : {}),
      });
      if (stop.signal.aborted) return;
      done.set(turn, trials);
      for (const trial of trials) console.log(renderTrial(trial, seed));
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  return turns.flatMap((turn) => done.get(turn) ?? []);
}

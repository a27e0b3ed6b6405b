import type { FaultCase } from './case.ts';
import { held } from './judgement.ts';
import type { Trial } from './play.ts';

/** What is known of one case. */
export interface CaseRecord {
  id: string;
  what: string;
  tried: number;
  broken: number;
  /** Tests that hold it besides, or instead: `file › title`. */
  heldBy: string[];
  /** Why it is not ours. */
  because?: string;
}

/** What a whole run of the table showed; kept in docs/proof/faults.json. */
export interface Proof {
  date: string;
  commit: string;
  machine: string;
  seed: number;
  guarantees: Array<{ name: string; tried: number; broken: number }>;
  cases: CaseRecord[];
}

/** By guarantee: in how many trials it was judged, and in how many it was broken. */
export function byGuarantee(trials: readonly Trial[]): Proof['guarantees'] {
  const names = [...new Set(trials.flatMap(({ guarantees }) => guarantees.map(({ name }) => name)))];
  return names.map((name) => {
    const judged = trials.flatMap(({ guarantees }) => guarantees.filter((one) => one.name === name));
    return { name, tried: judged.length, broken: judged.filter((one) => !one.held).length };
  });
}

export const byCase = (table: readonly FaultCase[], trials: readonly Trial[]): CaseRecord[] =>
  table.map(({ id, what, heldBy = [], because }) => {
    const own = trials.filter((trial) => trial.id === id);
    return {
      id,
      what,
      tried: own.length,
      broken: own.filter((trial) => !held(trial)).length,
      heldBy: [...heldBy],
      ...(because ? { because } : {}),
    };
  });

/** The command that plays a trial again. */
export const reproduce = ({ id, what, phase }: Pick<Trial, 'id' | 'what' | 'phase'>, seed: number): string =>
  `pnpm faults "${id} ${what} (${phase})" --seed ${seed}`;

/** A trial on one line, and below it what is wrong with it. */
export function renderTrial(trial: Trial, seed: number): string {
  const list = (some: readonly string[]) => (some.length === 0 ? '–' : String(some.length));
  const judged = trial.guarantees.length > 0 || trial.problems.length > 0;
  const cells = [
    (held(trial) ? (judged ? '✓' : '·') : '✗').padEnd(1),
    trial.id.padEnd(4),
    trial.phase.padEnd(5),
    trial.run.padEnd(7),
    `${trial.conclusion}, ${trial.serves}`.padEnd(18),
    list(trial.open).padStart(5),
    list(trial.out).padStart(4),
    (trial.lost === 0 ? '–' : String(trial.lost)).padStart(5),
    list(trial.leaked).padStart(7),
    `${(trial.ms / 1000).toFixed(0)} s`.padStart(6),
    ` ${trial.what}`,
  ];
  const wrong = [
    ...trial.guarantees.filter((one) => !one.held).map(({ name, seen }) => `${name}: ${seen}`),
    ...trial.problems,
  ];
  return [
    cells.join(' '),
    ...wrong.map((line) => `    ${line}`),
    ...(wrong.length > 0 && trial.explanation ? [`    It said: ${trial.explanation}`] : []),
    ...(wrong.length > 0 ? [`    Again: ${reproduce(trial, seed)}`] : []),
  ].join('\n');
}

/** The headings above the trials. */
export const headings = `  ${'case'.padEnd(4)} ${'in'.padEnd(5)} ${'run'.padEnd(7)} ${'outcome, serves'.padEnd(18)} ${'open'.padStart(5)} ${'out'.padStart(4)} ${'lost'.padStart(5)} ${'leaked'.padStart(7)}`;

/** What it ends with: cases that are held elsewhere, the guarantees, and one line of result. */
export function renderEnd(table: readonly FaultCase[], trials: readonly Trial[], whole: boolean): string {
  const elsewhere = byCase(table, trials).filter(({ tried }) => tried === 0);
  const broken = trials.filter((trial) => !held(trial));
  return [
    ...(whole
      ? [
          '',
          'Not played here:',
          ...elsewhere.map(
            ({ id, what, heldBy, because }) => `  ${id} ${what}: ${because ?? heldBy.join('; ')}`,
          ),
        ]
      : []),
    '',
    'By guarantee, trials and how many broke it:',
    ...byGuarantee(trials).map(
      ({ name, tried, broken: count }) =>
        `  ${count === 0 ? '✓' : '✗'} ${name.padEnd(20)} ${tried} tried, ${count} broken`,
    ),
    '',
    `${trials.length} trials, ${broken.length} broken.`,
    '',
  ].join('\n');
}

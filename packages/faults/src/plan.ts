import type { Disturbance, FaultCase, PhaseOfFault } from './case.ts';

/** One lab: a disturbance in one phase, and the re-run after it. */
export interface Turn {
  id: string;
  disturbance: Disturbance;
  phase: PhaseOfFault;
}

/** How a turn is called, and found: `F16 registering is throttled (post)`. */
export const nameOf = ({ id, disturbance, phase }: Turn): string => `${id} ${disturbance.what} (${phase})`;

/** One of each kind of harm, for those who have a minute: the first turn of these cases. */
const few = ['F03', 'F12', 'F17', 'F27', 'T05'];

const phasesOf = ({ only }: Disturbance): readonly PhaseOfFault[] => (only ? [only.phase] : ['main', 'post']);

/** What of a table is to be tried: all, those whose name holds the pattern, or a few. */
export function turnsOf(
  table: readonly FaultCase[],
  { pattern = '', quick = false }: { pattern?: string; quick?: boolean } = {},
): Turn[] {
  const all = table.flatMap(({ id, runs = [] }) =>
    runs.flatMap((disturbance) => phasesOf(disturbance).map((phase) => ({ id, disturbance, phase }))),
  );
  const chosen = all.filter((turn) => nameOf(turn).toLowerCase().includes(pattern.toLowerCase()));
  return quick ? few.flatMap((id) => chosen.find((turn) => turn.id === id) ?? []) : chosen;
}

/** One leg of a matrix: the `matrix` context of one job. */
export type Leg = Record<string, unknown>;

export interface Matrix {
  axes: Record<string, unknown[]>;
  include: Leg[];
  exclude: Leg[];
}

/** What GitHub allows in one job (docs: "A matrix will generate a maximum of 256 jobs per workflow run"). */
export const mostLegs = 256;

/**
 * All legs of a matrix, in GitHub's order: the first axis varies slowest. `exclude` takes away every
 * combination it matches in part; then each `include` extends all original combinations whose axis values it
 * does not change, and becomes a leg of its own when there is none.
 */
export function expandMatrix({ axes, include, exclude }: Matrix): Leg[] {
  let originals: Leg[] = Object.keys(axes).length > 0 ? [{}] : [];
  for (const [name, values] of Object.entries(axes)) {
    originals = originals.flatMap((leg) => values.map((value) => ({ ...leg, [name]: value })));
  }
  originals = originals.filter((leg) => !exclude.some((pattern) => matches(leg, pattern)));

  const legs = originals.map((original) => ({ original, leg: { ...original } }));
  const alone: Leg[] = [];
  for (const extra of include) {
    const fits = legs.filter(({ original }) =>
      Object.entries(extra).every(([name, value]) => !(name in original) || same(original[name], value)),
    );
    for (const { leg } of fits) Object.assign(leg, extra);
    if (fits.length === 0) alone.push({ ...extra });
  }
  return [...legs.map(({ leg }) => leg), ...alone];
}

/** The values of a leg as GitHub shows them after the job's name: `(linux, 18)`; '' when there are none. */
export function legLabel(leg: Leg): string {
  const shown = Object.values(leg).flatMap(leaves);
  return shown.length === 0 ? '' : `(${shown.join(', ')})`;
}

function leaves(value: unknown): string[] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'object') return Object.values(value).flatMap(leaves);
  return [String(value)];
}

function matches(leg: Leg, pattern: Leg): boolean {
  return Object.entries(pattern).every(([name, value]) => name in leg && contains(leg[name], value));
}

/** A map in `exclude` need not name every key of the map it matches. */
function contains(whole: unknown, part: unknown): boolean {
  if (!isMap(whole) || !isMap(part)) return same(whole, part);
  return Object.entries(part).every(([name, value]) => name in whole && contains(whole[name], value));
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads an evaluated `matrix:`; a text says what is wrong with it. */
export function matrixFrom(value: unknown): Matrix | string {
  if (!isMap(value)) return 'the matrix is not a map of names to lists';
  const { include = [], exclude = [], ...axes } = value;
  for (const [name, values] of Object.entries(axes)) {
    if (!Array.isArray(values)) return `the matrix axis "${name}" is not a list`;
    if (values.length === 0) return `the matrix axis "${name}" has no values`;
  }
  for (const [name, list] of Object.entries({ include, exclude })) {
    if (!Array.isArray(list) || !list.every(isMap)) return `"${name}" of the matrix is not a list of maps`;
  }
  return { axes: axes as Matrix['axes'], include: include as Leg[], exclude: exclude as Leg[] };
}

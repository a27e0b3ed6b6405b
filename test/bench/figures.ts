/** One thing that is measured side by side: a table. */
export interface Section {
  name: string;
  title: string;
  columns: Column[];
  rows: Row[];
  /** What a reader has to know to believe it, and what was left out and why. */
  notes: string[];
}

export interface Column {
  key: string;
  heading: string;
  /** Places after the point, where it holds numbers. */
  digits?: number;
}

export type Row = Record<string, number | string>;

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('nothing was measured: no median');
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** What a cell shows; `–` where a row has nothing to say. */
export function cell(value: number | string | undefined, { digits = 0 }: Pick<Column, 'digits'>): string {
  if (value === undefined) return '–';
  return typeof value === 'number' ? value.toFixed(digits) : value;
}

const cells = ({ columns, rows }: Section): string[][] =>
  rows.map((row) => columns.map((column) => cell(row[column.key], column)));

/** For a terminal: numbers to the right, the notes below. */
export function renderText(section: Section): string {
  const { title, columns, notes } = section;
  const body = cells(section);
  const widths = columns.map(({ heading }, at) =>
    Math.max(heading.length, ...body.map((line) => line[at]!.length)),
  );
  const line = (texts: string[]) =>
    `  ${texts.map((text, at) => (at === 0 ? text.padEnd(widths[at]!) : text.padStart(widths[at]!))).join('  ')}`.trimEnd();
  return [
    title,
    ...(body.length > 0 ? [line(columns.map(({ heading }) => heading)), ...body.map(line)] : []),
    ...notes.map((note) => `  ${note}`),
    '',
  ].join('\n');
}

/** For a document. */
export function renderMarkdown(section: Section): string {
  const { title, columns, notes } = section;
  const line = (texts: string[]) => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  const body = cells(section);
  const table =
    body.length > 0
      ? [
          line(columns.map(({ heading }) => heading)),
          line(columns.map((_, at) => (at === 0 ? '---' : '---:'))),
          ...body.map(line),
          '',
        ]
      : [];
  return [`**${title}**`, '', ...table, ...(notes.length > 0 ? [notes.join(' '), ''] : [])].join('\n');
}

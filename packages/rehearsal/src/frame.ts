/** What the live view knows at one moment. Times in milliseconds. */
export interface Scene {
  elapsed: number;
  jobs: { done: number; all: number };
  /** Where the workflow stands: `deploy › Roll the release`. */
  place?: string;
  load?: { requests: number; failed: number; perSecond: Array<{ requests: number; failed: number }> };
  targets: Array<{ id: string; address: string; state: string; version?: string; since: number }>;
  steps: string[];
  log: string[];
}

const colours = { green: 32, yellow: 33, red: 31, grey: 90, bold: 1 } as const;
const paint = (colour: keyof typeof colours, text: string) => `\u001b[${colours[colour]}m${text}\u001b[0m`;

const stateColour: Record<string, keyof typeof colours> = {
  healthy: 'green',
  draining: 'yellow',
  initial: 'yellow',
};
const stateSign: Record<string, string> = { healthy: '●', draining: '◌', initial: '◔' };

/** The picture, line by line, as wide and as high as the terminal. */
export function frame(scene: Scene, { columns, rows }: { columns: number; rows: number }): string[] {
  const { jobs, load } = scene;
  const bar = '█'.repeat(jobs.done * 4) + '░'.repeat(Math.max(0, jobs.all - jobs.done) * 4);
  const top = [
    paint(
      'bold',
      cut(
        `Lockkeeper rehearsal  ${seconds(scene.elapsed)}  ${bar} ${jobs.done} of ${jobs.all} jobs  ${scene.place ?? ''}`,
        columns,
      ),
    ),
    ...(load ? [loadLine(load, columns)] : []),
    ...scene.targets.map((target) => targetLine(target, columns)),
    '',
    ...scene.steps.slice(-6).map((line) => cut(line, columns)),
    '',
  ];
  const room = Math.max(0, Math.min(14, rows - top.length - 1));
  return [
    ...top,
    ...(room > 0 ? scene.log.slice(-room) : []).map((line) => paint('grey', cut(line, columns))),
  ];
}

function loadLine({ requests, failed, perSecond }: NonNullable<Scene['load']>, columns: number): string {
  const rate = perSecond.at(-2)?.requests ?? 0;
  const text = `Users  ${requests} requests, ${failed} failed, ${rate}/s  `;
  const width = Math.max(0, Math.min(60, columns - text.length - 2));
  const recent = width > 0 ? perSecond.slice(0, -1).slice(-width) : [];
  const highest = Math.max(1, ...recent.map((second) => second.requests));
  const spark = recent.map((second) =>
    second.failed > 0 ? paint('red', '!') : '▁▂▃▄▅▆▇█'[Math.round((second.requests / highest) * 7)]!,
  );
  return `${failed > 0 ? paint('red', text) : text}${spark.join('')}`;
}

function targetLine({ id, address, state, version, since }: Scene['targets'][0], columns: number): string {
  const name = state.split(' ')[0]!;
  const left = `${stateSign[name] ?? '○'} ${id}  ${address.padEnd(13)} `;
  const text = cut(
    `${left}${state}, ${seconds(since)}, ${version ? `serves ${short(version)}` : 'nothing runs'}`,
    columns,
  );
  return paint(stateColour[name] ?? 'red', text);
}

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
const cut = (line: string, columns: number) => [...line].slice(0, columns - 1).join('');

/** A commit hash as people write it, in whatever text. */
export const short = (text: string) => text.replace(/\b([0-9a-f]{7})[0-9a-f]{33}\b/g, '$1');

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { root } from '../../tools/manifest.ts';
import { renderMarkdown, type Section } from './figures.ts';

/** What `pnpm bench --record` keeps, and the README shows. */
export interface BenchRecord {
  /** Of the start, such as `2026-11-26`. */
  date: string;
  commit: string;
  machine: string;
  /** The command that makes it again. */
  command: string;
  sections: Section[];
}

export const recordPath = join(root, 'docs/proof/bench.json');

/** Where and from what the figures come. A tree with changes is no commit, and says so. */
export function circumstances(): Pick<BenchRecord, 'date' | 'commit' | 'machine'> {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const changed = git('status', '--porcelain') === '' ? '' : ' with changes';
  const [first, ...others] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: `${git('rev-parse', '--short=10', 'HEAD')}${changed}`,
    machine: `${others.length + 1} cores (${first?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}, load ${loadavg()[0]!.toFixed(1)} at the start`,
  };
}

/** How the figures came about, in a line. */
const madeBy = ({ date, commit, machine, command }: BenchRecord) =>
  `Measured on ${date} at ${commit} by \`${command}\`: ${machine}.`;

const notRecorded = 'Not recorded yet: `pnpm bench --record`.';

function recorded(path: string): BenchRecord | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as BenchRecord) : undefined;
}

/** What the READMEs show of what was recorded: whole deploys, without the notes. */
export function benchSummary(path = recordPath): string {
  const record = recorded(path);
  if (!record) return notRecorded;
  const deploys = record.sections.filter(({ name }) => name === 'deploy' || name === 'server');
  return [madeBy(record), '', ...deploys.map((section) => renderMarkdown({ ...section, notes: [] }))]
    .join('\n')
    .trimEnd();
}

/** All that was recorded, as a document of its own. */
export function benchDocument(path = recordPath): string {
  const record = recorded(path);
  return [
    '# Measured beside what it replaces',
    '',
    'Written by `pnpm run docs` from bench.json, which `pnpm bench --record` writes.',
    '',
    ...(record ? [madeBy(record), '', ...record.sections.map(renderMarkdown)] : [notRecorded]),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

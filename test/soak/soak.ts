import { broken, type Outcome } from './outcome.ts';
import { inWords, planSoak, type Site, sites, type Turn } from './plan.ts';
import { openSite, type SoakSite } from './stage.ts';

/** What a soak found: how many deploys broke a guarantee, and a table of all. */
export interface Soak {
  broken: number;
  table: string;
}

interface Done {
  turn: Turn;
  outcome: Outcome;
  faults: string[];
}

/** So many deploys in a row; a line for each. The log of what broke a guarantee is told as it comes; `signal` ends it after a deploy. */
export async function soak(
  deploys: number,
  seed: number,
  tell: (line: string) => void,
  signal?: AbortSignal,
): Promise<Soak> {
  const opened = new Map<Site, SoakSite>();
  try {
    for (const site of sites) opened.set(site, await openSite(site, seed));
    const done: Done[] = [];
    for (const turn of planSoak(deploys, seed)) {
      if (signal?.aborted) break;
      const { log, seconds, ...outcome } = await opened.get(turn.site)!.take(turn);
      const faults = broken(turn, outcome);
      done.push({ turn, outcome, faults });
      tell(lineOf(turn, outcome, faults, seconds));
      if (faults.length > 0) tell(log.map((line) => `    | ${line}`).join('\n'));
    }
    const kept: string[] = [];
    for (const [name, site] of opened) {
      const { releases, images } = site.kept();
      kept.push(`${name}: ${releases} releases and ${images} images on a host at the end`);
    }
    return {
      broken: done.filter(({ faults }) => faults.length > 0).length,
      table: [tableOf(done), ...kept].join('\n'),
    };
  } finally {
    for (const site of opened.values()) await site.close();
  }
}

function lineOf(turn: Turn, outcome: Outcome, faults: readonly string[], seconds: number): string {
  const mishap = inWords(turn.mishap);
  return [
    faults.length === 0 ? '✓' : '✗',
    `${turn.number}`.padStart(3),
    turn.site.padEnd(6),
    `${turn.version}${turn.sick ? ` (${turn.sick})` : ''}`.padEnd(12),
    (mishap && `${mishap}${outcome.struck ? '' : ' (not met)'}`).padEnd(48),
    outcome.conclusion.padEnd(9),
    `serves ${[...new Set(outcome.versions)].join(' and ')}`.padEnd(18),
    `${seconds.toFixed(1)} s`,
    ...(faults.length > 0 ? [faults.join('; ')] : []),
  ].join('  ');
}

/** By what went wrong: how often, how it ended, and what broke. Pure. */
function tableOf(done: readonly Done[]): string {
  const kinds = [...new Set(done.map(({ turn, outcome }) => kindOf(turn, outcome)))].sort();
  const headings = [
    'what went wrong',
    'deploys',
    'succeeded',
    'failed',
    'cancelled',
    'requests',
    'lost',
    'broken',
  ];
  const rows = [...kinds, 'in all'].map((kind) => {
    const of = done.filter(({ turn, outcome }) => kind === 'in all' || kindOf(turn, outcome) === kind);
    const ended = (as: string) => of.filter(({ outcome }) => outcome.conclusion === as).length;
    const sum = (what: 'requests' | 'lost') => of.reduce((all, { outcome }) => all + outcome[what], 0);
    return [
      kind,
      of.length,
      ended('success'),
      ended('failure'),
      ended('cancelled'),
      sum('requests'),
      sum('lost'),
      of.filter(({ faults }) => faults.length > 0).length,
    ].map(String);
  });
  const widths = headings.map((heading, at) =>
    Math.max(heading.length, ...rows.map((row) => row[at]!.length)),
  );
  return [headings, ...rows]
    .map((row) =>
      row.map((text, at) => (at === 0 ? text.padEnd(widths[at]!) : text.padStart(widths[at]!))).join('  '),
    )
    .join('\n');
}

const kindOf = ({ mishap, sick }: Turn, { struck }: Outcome) =>
  [sick ? 'sick release' : 'good release', ...(struck ? [mishap.kind] : [])].join(', ');

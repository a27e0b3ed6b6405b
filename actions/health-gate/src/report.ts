import { count, type Observation, percentile, ranked, type Tally, type Verdict } from '@lockkeeper/probe';
import { addressRows } from './addresses.ts';
import type { HoldReport } from './hold.ts';
import type { Soaked } from './soak.ts';

/** What became of one URL. */
export interface UrlReport extends Verdict {
  url: string;
  /** Until it was settled. */
  observations: Observation[];
  tally: Tally;
  soak?: Soaked;
  hold?: HoldReport;
}

/** What became of the whole. Times in milliseconds; 0 where nothing was measured. */
export interface GateReport extends Verdict {
  from: number;
  to: number;
  urls: UrlReport[];
  liveVersion: string;
  /** In the order in which they came. */
  versionsSeen: string[];
  samples: number;
  /** From 0 to 1: of the answers in the soak where there was one, else of all probes. */
  errorRate: number;
  /** Over the good answers of the soak where there was one, else over all answers. */
  p50: number;
  p95: number;
  max: number;
}

const severity = ['healthy', 'inconclusive', 'unhealthy'] as const;

/** The worst of several verdicts, with every reason for it. Pure; the order only orders the reasons. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  const verdict = severity[Math.max(...verdicts.map((one) => severity.indexOf(one.verdict)))]!;
  const speaking = verdicts.filter((one) => one.verdict === verdict);
  return { verdict, reason: speaking.map(({ reason }) => reason).join('; ') };
}

/** One verdict for all URLs: the worst, whichever order they come in. Pure. */
export function combine(urls: UrlReport[], { from, to }: { from: number; to: number }): GateReport {
  const every = urls.flatMap(observationsOf);
  const times = urls.flatMap(timesOf).sort((a, b) => a - b);
  const versions = every
    .filter(({ version }) => version !== undefined)
    .sort((a, b) => a.at - b.at)
    .map(({ version }) => version!);
  const named = urls.map(({ url, verdict, reason }) => ({
    verdict,
    reason: urls.length > 1 ? `${url}: ${reason}` : reason,
  }));
  return {
    ...worst(named),
    from,
    to,
    urls,
    liveVersion: versions.at(-1) ?? '',
    versionsSeen: [...new Set([...versions, ...urls.flatMap(versionsOf)])],
    samples: urls.reduce((sum, url) => sum + samplesOf(url), 0),
    errorRate: errorRateOf(urls),
    p50: percentile(times, 50),
    p95: percentile(times, 95),
    max: times.at(-1) ?? 0,
  };
}

/** Every observation that was kept, oldest first. */
export const observationsOf = ({ observations, soak }: UrlReport): Observation[] => [
  ...observations,
  ...(soak?.observations ?? []),
];

/** Every version seen, those of which a long soak kept no probe included. */
export const versionsOf = ({ tally, soak }: UrlReport): string[] => [
  ...new Set([...tally.versionsSeen, ...(soak?.tally.versions.keys() ?? [])]),
];

/** Probes sent; a connection that was held open is none. */
export const samplesOf = ({ observations, soak }: UrlReport): number =>
  observations.length + (soak ? soak.observations.length + soak.leftOut : 0);

/** The answer times that count, in milliseconds: a soak's good ones, else those of every answer. */
export const timesOf = ({ observations, soak }: UrlReport): number[] =>
  soak ? soak.tally.times : observations.flatMap(({ outcome, ms }) => (outcome === 'no-answer' ? [] : [ms]));

function errorRateOf(urls: UrlReport[]): number {
  const soaks = urls.flatMap(({ soak }) => (soak ? [soak.tally] : []));
  const [failed, all] =
    soaks.length > 0
      ? [
          soaks.reduce((sum, { bad }) => sum + bad, 0),
          soaks.reduce((sum, { good, bad }) => sum + good + bad, 0),
        ]
      : [
          urls.flatMap(({ observations }) => observations).filter(({ outcome }) => outcome !== 'good').length,
          urls.flatMap(({ observations }) => observations).length,
        ];
  return all === 0 ? 0 : failed / all;
}

/** Who answered, and how often, the most frequent first; empty without `served-by`. */
export function servedBy({ observations, soak }: UrlReport): Array<[string, number]> {
  const counts = new Map(soak?.tally.servedBy);
  for (const { servedBy: name } of observations) if (name !== undefined) count(counts, name);
  return ranked(counts);
}

/** The report as other programs read it: kept stable, without what only the judging needs. Pure. */
export function reportFile(report: GateReport): object {
  const { verdict, reason, from, to, liveVersion, versionsSeen, samples, errorRate } = report;
  return {
    format: 1,
    verdict,
    reason,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    liveVersion,
    versionsSeen,
    samples,
    errorRate,
    ms: { p50: report.p50, p95: report.p95, max: report.max },
    urls: report.urls.map(urlFile),
  };
}

function urlFile(report: UrlReport): object {
  const { url, verdict, reason, tally, soak, hold } = report;
  const times = timesOf(report).toSorted((a, b) => a - b);
  return {
    url,
    verdict,
    reason,
    samples: samplesOf(report),
    good: tally.good + (soak?.tally.good ?? 0),
    ms: { p50: percentile(times, 50), p95: percentile(times, 95), max: times.at(-1) ?? 0 },
    versionsSeen: versionsOf(report),
    servedBy: Object.fromEntries(servedBy(report)),
    addresses: addressRows(observationsOf(report)),
    ...(soak ? { soak: { verdict: soak.verdict, ms: Math.round(soak.ms), limits: soak.limits } } : {}),
    ...(hold ? { hold } : {}),
    probes: observationsOf(report),
    probesLeftOut: soak?.leftOut ?? 0,
  };
}

import type { Log } from '@lockkeeper/action';
import {
  type Observation,
  observe,
  type Sample,
  type Tally,
  tallyOf,
  type Verdict,
  verdictOf,
} from '@lockkeeper/probe';
import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import type { GateInputs } from './inputs.ts';

/** Asks one URL once. */
export type Ask = (url: URL) => Promise<Sample>;

export interface UrlReport extends Verdict {
  url: string;
  observations: Observation[];
  tally: Tally;
}

export interface GateReport extends Verdict {
  urls: UrlReport[];
  liveVersion: string;
  versionsSeen: string[];
  samples: number;
  errorRate: number;
  /** Milliseconds over the answered probes; 0 when none was. */
  p50: number;
  p95: number;
}

/** Probes every URL side by side until each is judged or the time is up. */
export async function judge(
  inputs: GateInputs,
  { ask, clock, log, signal }: { ask: Ask; clock: Clock; log: Log; signal?: AbortSignal },
): Promise<GateReport> {
  const deadline = new Deadline(clock, inputs.timeout);
  const watch = async (url: URL): Promise<UrlReport> => {
    const observations: Observation[] = [];
    let said = '';
    for (;;) {
      const began = clock.now();
      const observation = observe(await ask(url), inputs.expectation);
      observations.push(observation);
      const line =
        observation.problem ?? `good${observation.version ? `, version ${observation.version}` : ''}`;
      if (line !== said) {
        log.info(
          `${url}: ${line} (${formatDuration(observation.ms)}, after ${formatDuration(deadline.elapsed())})`,
        );
        said = line;
      }
      const tally = tallyOf(observations);
      const verdict = verdictOf(tally, inputs.criteria, inputs.expectation, deadline.passed());
      if (verdict) return { url: url.href, observations, tally, ...verdict };
      await clock.sleep(
        Math.min(Math.max(0, inputs.interval - (clock.now() - began)), deadline.remaining()),
        signal,
      );
    }
  };
  return combine(await Promise.all(inputs.urls.map(watch)));
}

const severity = ['healthy', 'inconclusive', 'unhealthy'] as const;

/** One verdict for all URLs: the worst, whichever order they come in. */
export function combine(urls: UrlReport[]): GateReport {
  const observations = urls.flatMap((report) => report.observations);
  const times = observations
    .filter((o) => o.outcome !== 'no-answer')
    .map((o) => o.ms)
    .sort((a, b) => a - b);
  const worst = severity[Math.max(...urls.map(({ verdict }) => severity.indexOf(verdict)))]!;
  const speaking = urls.filter(({ verdict }) => verdict === worst);
  return {
    verdict: worst,
    reason: speaking.map(({ url, reason }) => (urls.length > 1 ? `${url}: ${reason}` : reason)).join('; '),
    urls,
    liveVersion: urls.findLast(({ tally }) => tally.lastVersion !== undefined)?.tally.lastVersion ?? '',
    versionsSeen: [...new Set(urls.flatMap(({ tally }) => tally.versionsSeen))],
    samples: observations.length,
    errorRate:
      observations.length === 0
        ? 0
        : observations.filter((o) => o.outcome !== 'good').length / observations.length,
    p50: percentile(times, 50),
    p95: percentile(times, 95),
  };
}

/** Nearest rank over sorted values; 0 when there are none. */
export function percentile(sorted: number[], p: number): number {
  return sorted.length === 0 ? 0 : Math.round(sorted[Math.ceil((p / 100) * sorted.length) - 1]!);
}

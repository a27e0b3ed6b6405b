import type { Log } from '@lockkeeper/action';
import type { Expectation, Verdict } from '@lockkeeper/probe';
import { type Clock, formatDuration } from '@lockkeeper/wait';
import { type Hold, holdOpen } from './hold.ts';
import { type GateInputs, isHttp, isWebSocket } from './inputs.ts';
import { combine, type GateReport, type UrlReport, worst } from './report.ts';
import { type Ask, sayPlan, settle, type Watch } from './settle.ts';
import { soakFor } from './soak.ts';

/** What the gate meets of the world. */
export interface Outside {
  ask: Ask;
  hold: Hold;
  clock: Clock;
  log: Log;
  /** Aborted when the run is cancelled. */
  signal?: AbortSignal;
  /** A URL as people may read it. */
  show: (url: URL) => string;
}

/**
 * Watches every URL side by side: until it is settled, then through soak and hold. The first that is unhealthy
 * ends the others: what is to be undone should not wait for them.
 */
export async function judge(inputs: GateInputs, outside: Outside): Promise<GateReport> {
  const { clock, signal: cancelled, show } = outside;
  const from = clock.now();
  const enough = new AbortController();
  const interrupted = () => {
    if (cancelled?.aborted) return 'the run was cancelled';
    return enough.signal.aborted ? `${enough.signal.reason} is unhealthy` : undefined;
  };
  const watchOne = async (url: URL): Promise<UrlReport> => {
    const report = await watchUrl(
      {
        ...outside,
        url,
        name: show(url),
        expectation: expectationFor(url, inputs.expectation),
        probeTimeout: inputs.probeTimeout,
        interrupted,
        signal: cancelled ? AbortSignal.any([cancelled, enough.signal]) : enough.signal,
        cancelled,
      },
      inputs,
    );
    if (report.verdict === 'unhealthy') enough.abort(show(url));
    return report;
  };
  const urls = await Promise.all(inputs.urls.map(watchOne));
  return combine(urls, { from, to: clock.now() });
}

async function watchUrl(watch: Watch & { hold: Hold }, inputs: GateInputs): Promise<UrlReport> {
  const { name, log } = watch;
  log.info(`${name}: ${sayPlan(inputs, watch.expectation)}`);
  const settled = await settle(watch, inputs);
  const hold = isWebSocket(watch.url) ? inputs.hold : 0;
  if (settled.verdict !== 'healthy' || inputs.dryRun || !(inputs.soak || hold > 0))
    return { url: name, ...settled };

  log.info(`${name}: ${settled.reason}; now ${sayStay(inputs, hold)}`);
  const failed = new AbortController();
  const staying = {
    ...watch,
    signal: AbortSignal.any([watch.signal, failed.signal]),
    interrupted: () =>
      watch.interrupted() ?? (failed.signal.aborted ? 'the rest of its watch failed' : undefined),
  };
  const orElse = async <T extends Verdict>(part: Promise<T>): Promise<T> => {
    const verdict = await part;
    if (verdict.verdict === 'unhealthy') failed.abort();
    return verdict;
  };
  const errors = settled.tally.connectionErrorsAfterGood;
  const [soaked, held] = await Promise.all([
    inputs.soak ? orElse(soakFor(inputs.soak, inputs, staying, errors)) : undefined,
    hold > 0 ? orElse(holdOpen(inputs, staying, errors)) : undefined,
  ]);
  return {
    url: name,
    ...settled,
    ...worst([settled, ...(soaked ? [soaked] : []), ...(held ? [held] : [])]),
    ...(soaked ? { soak: soaked } : {}),
    ...(held ? { hold: held } : {}),
  };
}

function sayStay({ soak }: GateInputs, hold: number): string {
  const parts = [
    ...(soak
      ? [`soaking ${formatDuration(soak.ms)}${soak.concurrency > 1 ? `, ${soak.concurrency} at a time` : ''}`]
      : []),
    ...(hold > 0 ? [`holding a connection open ${formatDuration(hold)}`] : []),
  ];
  return parts.join(' and ');
}

/** What an answer of this kind of URL can be held to: a TCP connect says nothing, a WebSocket has no body. Pure. */
export function expectationFor(url: URL, expectation: Expectation): Expectation {
  if (isHttp(url)) return expectation;
  const { version, versionFrom, servedBy } = expectation;
  if (!isWebSocket(url)) return { status: [] };
  return {
    status: [[101, 101]],
    ...(versionFrom?.kind === 'header' ? { versionFrom, ...(version === undefined ? {} : { version }) } : {}),
    ...(servedBy ? { servedBy } : {}),
  };
}

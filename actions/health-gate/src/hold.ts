import { observe, type Verdict } from '@lockkeeper/probe';
import type { Cut, Held } from '@lockkeeper/probe/websocket';
import { formatDuration } from '@lockkeeper/wait';
import type { GateInputs } from './inputs.ts';
import { unfinished, type Watch } from './settle.ts';

/** Holds one WebSocket open; throws nothing but the signal's reason. */
export type Hold = (url: URL, ms: number, signal?: AbortSignal) => Promise<Held>;

export interface HoldReport extends Verdict {
  /** Milliseconds that it was to stay open, and that it did. */
  wanted: number;
  ms: number;
  cut?: Cut;
  /** Attempts until one was open. */
  opened: number;
}

/** Opens a WebSocket and sees whether it stays open. Not to be reached counts towards the connection errors. */
export async function holdOpen(
  { hold: wanted, interval, criteria }: Pick<GateInputs, 'hold' | 'interval' | 'criteria'>,
  watch: Watch & { hold: Hold },
  connectionErrorsBefore: number,
): Promise<HoldReport> {
  const { url, name, expectation, clock, log, hold } = watch;
  const from = clock.now();
  for (let opened = 1; ; opened++) {
    const held = await hold(url, wanted, watch.signal).catch((error) => {
      if (watch.interrupted()) return undefined;
      throw error;
    });
    const seen = held && observe(held.opened, expectation);
    const report = { wanted, ms: held?.ms ?? 0, opened };
    const why = watch.interrupted();
    if (!held || !seen || (why && !held.cut))
      return { ...unfinished(why ?? 'it was stopped', clock.now() - from, seen), ...report };
    if (seen.outcome === 'good')
      return { ...judgeHeld(held, wanted), ...report, ...(held.cut ? { cut: held.cut } : {}) };
    log.info(`${name}: ${seen.problem}, when it was to be held open`);
    const errors = connectionErrorsBefore + opened;
    if (seen.outcome === 'bad' || errors > criteria.maxConnectionErrors)
      return { verdict: 'unhealthy', reason: `could not be opened to be held: ${seen.problem}`, ...report };
    await clock.sleep(interval, watch.signal).catch(() => {});
  }
}

/** Pure. */
export function judgeHeld({ ms, cut }: Pick<Held, 'ms' | 'cut'>, wanted: number): Verdict {
  if (!cut) return { verdict: 'healthy', reason: `stayed open ${formatDuration(wanted)}` };
  return {
    verdict: 'unhealthy',
    reason: `the WebSocket was cut after ${formatDuration(ms)} of ${formatDuration(wanted)} (${sayCut(cut)})`,
  };
}

/** RFC 6455, 7.4.1, and what commonly lies behind it. */
const codes: Record<number, string> = {
  1000: 'the app closed it',
  1001: 'the server goes away: was it restarted?',
  1005: 'the app closed it without a code',
  1006: "without a closing frame: a proxy's or load balancer's idle timeout, or a crash",
  1008: 'the app refuses it by policy',
  1009: 'a message was too long',
  1011: 'the app met an error',
  1012: 'the service restarts',
  1013: 'the service is overloaded',
};

export function sayCut({ code, reason }: Cut): string {
  const said = reason
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, 120);
  return [String(code), ...(codes[code] ? [codes[code]] : []), ...(said ? [`"${said}"`] : [])].join(', ');
}

import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { errorOf, explainRefusal, retryAfter } from './refusal.ts';

export type Delivery = { sent: true; note?: string } | { sent: false; reason: string };

/** What one try met. */
export type Try =
  | {
      kind: 'answered';
      status: number;
      /** Its beginning. */
      body: string;
      /** The headers, '' where there is none. */
      retryAfter: string;
      location: string;
    }
  | { kind: 'unanswered'; reason: string; again: boolean };

/** Posts the message once, in at most so many milliseconds. */
export type Post = (ms: number, signal?: AbortSignal) => Promise<Try>;

const mostTries = 4;

type Next = Delivery | { wait: number; because: string };

/** What a try means: delivered, not delivered, or wait so many milliseconds and try again. */
export function decideNext(met: Try, { tries, remainingMs }: { tries: number; remainingMs: number }): Next {
  const giveUp = (reason: string): Delivery => ({
    sent: false,
    reason: `${reason}${tries > 1 ? ` (${tries} tries)` : ''}`,
  });
  const again = (wait: number, because: string): Next =>
    tries >= mostTries
      ? giveUp(because)
      : wait >= remainingMs
        ? giveUp(`${because}; trying again in ${formatDuration(wait)} would be too late`)
        : { wait, because };
  const pause = 1_000 * 2 ** (tries - 1);

  if (met.kind === 'unanswered') return met.again ? again(pause, met.reason) : giveUp(met.reason);
  const { status, body } = met;
  const refusal = explainRefusal(status, body, met.location);
  if (status === 429) return again(retryAfter(body) ?? secondsOf(met.retryAfter) ?? pause, refusal);
  if (status >= 500) return again(pause, refusal);
  // Slack's other endpoints, and portals before them, answer 200 also when nothing was posted.
  if (status >= 300 || errorOf(body) !== undefined || body.trim().startsWith('<')) return giveUp(refusal);
  const said = body.trim().slice(0, 60);
  return said === 'ok'
    ? { sent: true }
    : { sent: true, note: `the service answered HTTP ${status} ${JSON.stringify(said)} rather than "ok"` };
}

const secondsOf = (header: string) => (/^\d+$/.test(header) ? Number(header) * 1_000 : undefined);

/**
 * Delivers the message within `totalMs`, tries included. Slack has no key against repetition: where an answer
 * is lost (a timeout, a cut connection) the message may appear twice, which is better than not at all.
 */
export async function deliver(
  post: Post,
  {
    clock,
    say,
    signal,
    tryMs = 10_000,
    totalMs = 42_000,
  }: { clock: Clock; say: (line: string) => void; signal?: AbortSignal; tryMs?: number; totalMs?: number },
): Promise<Delivery> {
  const deadline = new Deadline(clock, totalMs);
  for (let tries = 1; ; tries++) {
    const met = await post(Math.max(1, Math.min(tryMs, deadline.remaining())), signal);
    const next = decideNext(met, { tries, remainingMs: deadline.remaining() });
    if ('sent' in next && next.sent) return next;
    if (signal?.aborted) return cancelled;
    if ('sent' in next) return next;
    say(`Slack did not take the message (${next.because}); trying again in ${formatDuration(next.wait)}`);
    try {
      await clock.sleep(next.wait, signal);
    } catch {
      return cancelled;
    }
  }
}

const cancelled: Delivery = { sent: false, reason: 'the step was cancelled before Slack took it' };

import { type Clock, formatDuration } from '@lockkeeper/wait';
import type { Seen } from './connection.ts';
import { explainNoAnswer } from './no-answer.ts';
import type { Answered, Sample } from './sample.ts';

export interface Outside {
  clock: Clock;
  signal?: AbortSignal;
}

class ProbeTimeout extends Error {
  readonly code = 'ETIMEDOUT';
}

/**
 * Runs one attempt within its time (ms) and makes a sample of what came of it, good or bad. Throws nothing but
 * the reason of the caller's signal.
 */
export async function attempt(
  timeout: number,
  { clock, signal }: Outside,
  run: (seen: Seen, signal: AbortSignal) => Promise<Answered>,
): Promise<Sample> {
  signal?.throwIfAborted();
  const at = clock.now();
  const stop = new AbortController();
  const timer = setTimeout(
    () => stop.abort(new ProbeTimeout(`${seen.missing} within ${formatDuration(timeout)}${seen.hint}`)),
    timeout,
  );
  const cancel = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', cancel, { once: true });
  let connectMs: number | undefined;
  const seen: Seen = {
    address: '',
    passedOver: [],
    missing: 'no connection',
    hint: '',
    connected: () => {
      connectMs = clock.now() - at;
      seen.missing = 'connected, but no answer';
      seen.hint = '';
    },
  };
  const probed = () => ({
    at,
    ms: clock.now() - at,
    address: seen.address,
    ...(connectMs === undefined ? {} : { connectMs }),
    ...(seen.passedOver.length > 0 ? { passedOver: seen.passedOver } : {}),
  });
  try {
    const answered = await run(seen, stop.signal);
    return { answered: true, ...probed(), ...answered };
  } catch (error) {
    signal?.throwIfAborted();
    const cause = stop.signal.aborted ? stop.signal.reason : error;
    const explained =
      cause instanceof ProbeTimeout
        ? { kind: 'timeout' as const, code: cause.code, message: cause.message }
        : explainNoAnswer(cause);
    return { answered: false, ...probed(), ...explained };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

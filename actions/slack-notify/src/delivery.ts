import { type Clock, Deadline, formatDuration } from '@lockkeeper/wait';
import { IncomingWebhook, IncomingWebhookHTTPError, IncomingWebhookRequestError } from '@slack/webhook';
import type { Payload } from './message.ts';

export type Delivery = { sent: true; note?: string } | { sent: false; reason: string };

/** What one try met. */
export type Try =
  | { kind: 'ok'; body: string }
  | { kind: 'refused'; status: number; body: string }
  | { kind: 'unanswered'; reason: string; again: boolean };

const mostTries = 4;

/** What to do after a try: stop, or wait so long and try again. A 429 says itself how long. */
export function decideNext(
  met: Exclude<Try, { kind: 'ok' }>,
  { tries, remainingMs }: { tries: number; remainingMs: number },
): { wait: number } | 'give-up' {
  let wait = 1_000 * 2 ** (tries - 1);
  if (met.kind === 'refused') {
    if (met.status === 429) wait = retryAfter(met.body) ?? wait;
    else if (met.status < 500) return 'give-up';
  } else if (!met.again) return 'give-up';
  return tries >= mostTries || wait >= remainingMs ? 'give-up' : { wait };
}

/** Milliseconds from the body of a 429: `{"retry_after":1,"ok":false,"error":"rate_limited"}`. */
export function retryAfter(body: string): number | undefined {
  try {
    const seconds = (JSON.parse(body) as { retry_after?: unknown }).retry_after;
    return typeof seconds === 'number' && seconds >= 0 ? seconds * 1_000 : undefined;
  } catch {
    return undefined;
  }
}

const hints: Record<string, string> = {
  invalid_payload: 'Slack could not read the message',
  invalid_blocks: 'Slack does not take a block of the message; run with dry-run: true and report the payload',
  invalid_blocks_format:
    'Slack does not take a block of the message; run with dry-run: true and report the payload',
  msg_blocks_too_long: 'the message is too long; shorten reason and fields',
  no_service:
    'the webhook was revoked or never existed; make a new one in the Slack app and update the secret',
  no_service_id: 'the webhook URL is not complete; copy it again into the secret',
  no_team: "the webhook's workspace is unknown; copy the URL again into the secret",
  team_disabled: 'the Slack workspace is disabled',
  invalid_token: 'the webhook URL is not valid (any more); make a new one and update the secret',
  channel_not_found: 'the channel of this webhook is gone; make a webhook for another channel',
  channel_is_archived:
    'the channel of this webhook is archived; unarchive it or make a webhook for another channel',
  action_prohibited: "the workspace's administrators do not let this webhook post there",
  posting_to_general_channel_denied:
    'only some may post to the general channel; make a webhook for another channel',
  user_not_found: 'the person this webhook writes to is gone',
  rate_limited: 'too many messages at once through this webhook',
  rollup_error: "Slack's own fault; run the job again",
};

/** Slack's reason with what to do about it. */
export function explainRefusal(status: number, body: string): string {
  const text = body.trim().replace(/\s+/g, ' ').slice(0, 200);
  const reason = status === 429 ? 'rate_limited' : /^[a-z_]+$/.test(text) ? text : '';
  const said = reason || (text.startsWith('<') ? 'an HTML page' : text) || 'no reason';
  const hint =
    hints[reason] ??
    (text.startsWith('<')
      ? 'that is not what Slack says: is this the address of an incoming webhook?'
      : undefined);
  return `HTTP ${status}, ${said}${hint ? `: ${hint}` : ''}`;
}

/**
 * Delivers the message within `totalMs`, tries included. Slack has no key against repetition: where an answer
 * is lost (a timeout, a cut connection) the message may appear twice, which is better than not at all.
 */
export async function deliver(
  payload: Payload,
  webhook: URL,
  {
    clock,
    say,
    signal,
    tryMs = 10_000,
    totalMs = 50_000,
  }: { clock: Clock; say: (line: string) => void; signal?: AbortSignal; tryMs?: number; totalMs?: number },
): Promise<Delivery> {
  const deadline = new Deadline(clock, totalMs);
  const stop = AbortSignal.any([AbortSignal.timeout(totalMs), ...(signal ? [signal] : [])]);
  for (let tries = 1; ; tries++) {
    const met = await tryOnce(payload, webhook, Math.min(tryMs, deadline.remaining() || 1), stop);
    if (met.kind === 'ok') {
      if (met.body.trim().startsWith('<')) return { sent: false, reason: explainRefusal(200, met.body) };
      const other = met.body.trim() !== 'ok';
      return {
        sent: true,
        ...(other
          ? { note: `the service answered ${JSON.stringify(met.body.slice(0, 60))} rather than "ok"` }
          : {}),
      };
    }
    const reason = met.kind === 'refused' ? explainRefusal(met.status, met.body) : met.reason;
    const next = signal?.aborted ? 'give-up' : decideNext(met, { tries, remainingMs: deadline.remaining() });
    if (next === 'give-up')
      return {
        sent: false,
        reason: `${withoutSecret(reason, webhook)}${tries > 1 ? ` (${tries} tries)` : ''}`,
      };
    say(
      `Slack did not take the message (${withoutSecret(reason, webhook)}); trying again in ${formatDuration(next.wait)}`,
    );
    try {
      await clock.sleep(next.wait, signal);
    } catch {
      return { sent: false, reason: 'cancelled while waiting to try again' };
    }
  }
}

async function tryOnce(payload: Payload, webhook: URL, ms: number, stop: AbortSignal): Promise<Try> {
  const timeout = Math.ceil(ms);
  // The client wraps what fetch threw and may lose its cause; the cause is what tells a reset from a bad name.
  let thrown: unknown;
  const client = new IncomingWebhook(webhook.href, {
    timeout,
    retryConfig: { retries: 0 },
    fetch: async (url, init) => {
      try {
        return await fetch(url, {
          ...init,
          signal: init?.signal ? AbortSignal.any([init.signal, stop]) : stop,
        });
      } catch (error) {
        thrown = error;
        throw error;
      }
    },
  });
  try {
    return { kind: 'ok', body: (await client.send(payload)).text };
  } catch (error) {
    if (error instanceof IncomingWebhookHTTPError)
      return { kind: 'refused', status: error.statusCode, body: String(error.body ?? '') };
    if (error instanceof IncomingWebhookRequestError) return unanswered(thrown ?? error.original, timeout);
    throw error;
  }
}

interface Link {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  cause?: unknown;
}

/** What a failed fetch means. Its message is always `fetch failed`; the truth is among the causes. */
export function unanswered(error: unknown, timeout: number): Extract<Try, { kind: 'unanswered' }> {
  const links: Link[] = [];
  for (
    let at: unknown = error;
    typeof at === 'object' && at !== null && links.length < 8;
    at = (at as Link).cause
  )
    links.push(at as Link);
  const words = links.map(({ code, message }) =>
    [code, message].filter((part) => typeof part === 'string').join(' '),
  );
  const last = words.at(-1) || String(error);
  if (links.some(({ name }) => name === 'TimeoutError' || name === 'AbortError'))
    return { kind: 'unanswered', reason: `no answer within ${formatDuration(timeout)}`, again: true };
  if (words.some((text) => /redirect/i.test(text)))
    return {
      kind: 'unanswered',
      reason: 'it redirects elsewhere: this is not the address of an incoming webhook',
      again: false,
    };
  // Trying again mends no name and no certificate; a resolver that is late says EAI_AGAIN.
  const again = !words.some((text) =>
    /ENOTFOUND|CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|HPE_|bad port/.test(text),
  );
  return { kind: 'unanswered', reason: `it could not be reached: ${last}`, again };
}

function withoutSecret(text: string, webhook: URL): string {
  return text
    .replaceAll(webhook.href, '***')
    .replaceAll(webhook.pathname.length > 1 ? webhook.pathname : webhook.href, '***');
}

const hints: Record<string, string> = {
  invalid_payload: 'Slack could not read the message; run with dry-run: true and report the payload',
  invalid_blocks: 'Slack does not take a block of the message; run with dry-run: true and report the payload',
  invalid_blocks_format:
    'Slack does not take a block of the message; run with dry-run: true and report the payload',
  invalid_attachments: 'Slack does not take the message; run with dry-run: true and report the payload',
  msg_blocks_too_long: 'the message is too long; shorten reason and fields',
  no_service:
    'the webhook was revoked or never existed; make a new one in the Slack app and update the secret',
  no_service_id: 'the webhook URL is not complete; copy it again into the secret',
  no_team: "the webhook's workspace is unknown; copy the URL again into the secret",
  no_active_hooks: 'the webhook is disabled; make a new one in the Slack app and update the secret',
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

const elsewhere = 'is this the address of an incoming webhook?';

/** What an answer that is no success says, on one line, with what to do about it. */
export function explainRefusal(status: number, body: string, location = ''): string {
  const text = body.trim().replace(/\s+/g, ' ').slice(0, 200);
  if (status >= 300 && status < 400) {
    const host = URL.parse(location)?.host;
    return `HTTP ${status}, a redirect${host ? ` to ${host}` : ''}, which is not followed: ${elsewhere}`;
  }
  const html = text.startsWith('<');
  const reason = errorOf(body) ?? (/^[a-z_]+$/.test(text) ? text : status === 429 ? 'rate_limited' : '');
  const said = reason || (html ? 'an HTML page' : text) || 'no reason';
  const hint = hints[reason] ?? (html ? `that is not what Slack says; ${elsewhere}` : undefined);
  return `HTTP ${status}, ${said}${hint ? `: ${hint}` : ''}`;
}

/** `error` of a body such as `{"ok":false,"error":"rate_limited"}`. */
export function errorOf(body: string): string | undefined {
  const { ok, error } = parsed(body);
  return ok === false && typeof error === 'string' && /^\w{1,80}$/.test(error) ? error : undefined;
}

/** Milliseconds that a 429 asks for in its body, `{"retry_after":1,"ok":false,"error":"rate_limited"}`; a day at most. */
export function retryAfter(body: string): number | undefined {
  const { retry_after: seconds } = parsed(body);
  return typeof seconds === 'number' && seconds >= 0 ? Math.min(seconds, 86_400) * 1_000 : undefined;
}

function parsed(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

import { IncomingWebhook } from '@slack/webhook';
import type { Post, Try } from './delivery.ts';
import type { Payload } from './message.ts';
import { explainNoAnswer } from './no-answer.ts';
import { secretsOf, withoutSecrets } from './webhook-url.ts';

/** Of an answer no more than this is read: Slack's are a word, and a login page is known by its first bytes. */
const mostOfAnswer = 4_096;

/** The outside of delivery: one POST of the payload. Nothing that comes back from here holds the webhook's secret. */
export function postTo(webhook: URL, payload: Payload): Post {
  const secrets = secretsOf(webhook);
  const hide = (text: string) => withoutSecrets(text, secrets);
  return async (ms, signal) => {
    let answer: Extract<Try, { kind: 'answered' }> | undefined;
    let failure: Extract<Try, { kind: 'unanswered' }> | undefined;
    const client = new IncomingWebhook(webhook.href, {
      timeout: Math.ceil(ms),
      // The client does not wait for a 429, and an answer with a cut body is none to it: `deliver` decides.
      retryConfig: { retries: 0 },
      fetch: async (url, init) => {
        const limit = init?.signal;
        const stops = [limit, signal].filter((one) => one instanceof AbortSignal);
        try {
          const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.any(stops) });
          const { status, headers } = response;
          answer = {
            kind: 'answered',
            status,
            body: hide(await beginningOf(response)),
            retryAfter: headers.get('retry-after') ?? '',
            location: hide(headers.get('location') ?? ''),
          };
          return new Response(null, { status });
        } catch (error) {
          const { reason, again } = explainNoAnswer(error, limit?.aborted ? ms : undefined);
          failure = { kind: 'unanswered', reason: hide(reason), again };
          throw error;
        }
      },
    });
    try {
      await client.send(payload);
    } catch (error) {
      if (!answer && !failure) throw error;
    }
    return answer ?? failure!;
  };
}

/** The first bytes of a body, as far as they came: once there is a status, the message has its answer. */
async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= mostOfAnswer) break;
    }
  } catch {
    // Cut off, or the time was up.
  }
  return text.slice(0, mostOfAnswer);
}

import { formatDuration } from '@lockkeeper/wait';

interface Link {
  message?: unknown;
  code?: unknown;
  cause?: unknown;
}

// Trying again mends none of these. A name server that is late says EAI_AGAIN, and is asked again.
const lasting: Array<[pattern: RegExp, words: (text: string) => string]> = [
  [/Proxy response \((\d+)\)/, (text) => `the proxy refuses it with ${/\d+/.exec(text)?.[0]}`],
  [/ENOTFOUND/, () => 'its name does not resolve'],
  [/HTTPParserError|HPE_|does not match the HTTP|HEADERS_OVERFLOW/, () => 'no HTTP is spoken there'],
  [/ERR_SSL_|EPROTO/, () => 'no TLS is spoken there'],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS/,
    (text) => `its certificate is not trusted (${text}); name its authority in NODE_EXTRA_CA_CERTS`,
  ],
  [/bad port/, () => 'its port is one that fetch never opens'],
];

/**
 * What a failed fetch means, and whether it is worth another try. Its message is always `fetch failed`; the truth
 * is among the causes. `timedOutAfter` in milliseconds where the time was up.
 */
export function explainNoAnswer(
  error: unknown,
  timedOutAfter: number | undefined,
): { reason: string; again: boolean } {
  if (timedOutAfter !== undefined)
    return { reason: `no answer within ${formatDuration(timedOutAfter)}`, again: true };
  const words = textsOf(error);
  for (const [pattern, say] of lasting) {
    const text = words.find((one) => pattern.test(one));
    if (text) return { reason: `it could not be reached: ${say(text)}`, again: false };
  }
  return { reason: `it could not be reached: ${words.at(-1) ?? String(error)}`, again: true };
}

/** `CODE message` of an error and of what caused it, outermost first. */
function textsOf(error: unknown): string[] {
  const texts: string[] = [];
  for (
    let at: unknown = error;
    typeof at === 'object' && at !== null && texts.length < 8;
    at = (at as Link).cause
  ) {
    const { code, message } = at as Link;
    const text = [code, message].filter((part) => typeof part === 'string' && part).join(' ');
    texts.push(text || String(at));
  }
  return texts;
}

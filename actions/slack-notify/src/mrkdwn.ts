// Limits are in UTF-16 units after escaping, which is never less than what Slack counts.

/**
 * Text from outside, fit to be shown: well-formed Unicode, no colours of a terminal, no control characters,
 * nothing that turns the direction of what follows. Line ends stay.
 */
export function clean(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/\u001b\[[0-?]*[ -/]*[@-~]/g, '')
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/g, ' ');
}

export const oneLine = (text: string) => clean(text).replace(/\s+/g, ' ').trim();

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
// Slack has no escape for these: lookalikes, so that no text ends our bold or opens a code block.
const lookalikes: Record<string, string> = { '*': '\u2217', '~': '\u223c', '`': '\u02cb' };

const escaped = (point: string) => entities[point] ?? lookalikes[point] ?? point;
/** Inside a code span or block only the fence itself is live. */
const escapedCode = (point: string) => entities[point] ?? (point === '`' ? '\u02cb' : point);

/**
 * As much of the text as fits, cut between code points, an ellipsis at the cut; `shown` is applied to each
 * code point and its result is what is measured, so no entity is ever cut in half.
 */
function fit(text: string, limit: number, shown: (point: string) => string): string {
  let out = '';
  let lastFitting = '';
  for (const point of text) {
    const next = shown(point);
    if (out.length + next.length > limit) return `${lastFitting}…`;
    out += next;
    if (out.length <= limit - 1) lastFitting = out;
  }
  return out;
}

/** One line of untrusted text as mrkdwn that mentions, links and formats nothing. */
export const plain = (text: string, limit: number) =>
  // Slack takes `&gt;` where a line begins for a quotation, too.
  fit(
    oneLine(text).replace(/^(> ?)+/, (quote) => quote.replaceAll('>', '\u203a')),
    limit,
    escaped,
  );

/** As `plain`, for the top-level text, which has no `verbatim`: there Slack makes a link of any address. */
export const headline = (text: string, limit: number) =>
  plain(text.replaceAll('://', ':\u2044\u2044'), limit);

/** Untrusted text for a plain_text object, where nothing is live. */
export const bare = (text: string, limit: number) => fit(oneLine(text), limit, (point) => point);

/** Untrusted text for an attachment's fallback. It should be plain, but no documentation says that nothing in it is live. */
export const lifeless = (text: string, limit: number) =>
  bare(text.replaceAll('<', '\u2039').replaceAll('>', '\u203a'), limit);

/** `code`, on one line. Empty text gives '': two backticks alone are shown as such. */
export function codeSpan(text: string, limit: number): string {
  const inner = fit(oneLine(text), limit - 2, escapedCode);
  return inner ? `\`${inner}\`` : '';
}

/** A code block of several lines. */
export function codeFence(text: string, limit: number): string {
  const inner = fit(
    clean(text)
      .trimEnd()
      .replace(/^\s*\n/, ''),
    limit - 6,
    escapedCode,
  );
  return inner.trim() ? `\`\`\`${inner}\`\`\`` : '';
}

/** A link whose label is mrkdwn already; without a usable URL, or with one that is too long, the label alone. */
export function link(url: string, label: string, longest = 1_000): string {
  const parsed = /^https?:\/\//.test(url) ? URL.parse(url) : null;
  if (!parsed) return label;
  // `|` and `>` would end the URL; the parser has encoded spaces, quotes and angle brackets already.
  const href = parsed.href
    .replaceAll('|', '%7C')
    .replaceAll('>', '%3E')
    .replaceAll('<', '%3C')
    .replaceAll('&', '&amp;');
  return href.length > longest ? label : `<${href}|${label || 'link'}>`;
}

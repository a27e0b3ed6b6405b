/** Slack's limits, in UTF-16 units after escaping, which is never less than what Slack counts. */
export const limits = {
  /** Top-level text; Slack cuts at 40,000, and a notification shows far less. */
  text: 1_000,
  section: 3_000,
  field: 2_000,
  fieldsPerSection: 10,
  blocks: 50,
  plainText: 3_000,
  /** Undocumented: about 13,200 characters of blocks are refused as msg_blocks_too_long. */
  allBlocks: 12_000,
} as const;

/**
 * Text from outside, fit to be shown: well-formed Unicode, no control characters, nothing that turns the
 * direction of what follows. Line ends stay.
 */
export function clean(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, '\ufffd')
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
export const plain = (text: string, limit: number) => fit(oneLine(text), limit, escaped);

/** Untrusted text for a plain_text object, where nothing is live. */
export const bare = (text: string, limit: number) => fit(oneLine(text), limit, (point) => point);

/** `code`, on one line. Empty text gives '': two backticks alone are shown as such. */
export function codeSpan(text: string, limit: number): string {
  const inner = fit(oneLine(text), limit - 2, escapedCode);
  return inner ? `\`${inner}\`` : '';
}

/** A code block of several lines. */
export function codeFence(text: string, limit: number): string {
  const inner = fit(clean(text).replace(/\n+$/, ''), limit - 6, escapedCode);
  return inner.trim() ? `\`\`\`${inner}\`\`\`` : '';
}

/** A link whose label is mrkdwn already; without a usable URL the label alone. */
export function link(url: string, label: string): string {
  const parsed = /^https?:\/\//.test(url) ? URL.parse(url) : null;
  if (!parsed) return label;
  // `|` and `>` would end the URL; the parser has encoded spaces, quotes and angle brackets already.
  const href = parsed.href
    .replaceAll('|', '%7C')
    .replaceAll('>', '%3E')
    .replaceAll('<', '%3C')
    .replaceAll('&', '&amp;');
  return href.length > 1_000 ? label : `<${href}|${label || 'link'}>`;
}

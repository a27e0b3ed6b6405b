type Fields = Record<string, unknown>;

const emoji: Record<string, string> = {
  x: '❌',
  white_check_mark: '✅',
  heavy_check_mark: '✔',
  warning: '⚠',
  rocket: '🚀',
  no_entry: '⛔',
  no_entry_sign: '🚫',
  rewind: '⏪',
  fast_forward: '⏩',
  black_square_for_stop: '⏹',
  hourglass: '⌛',
  rotating_light: '🚨',
  tada: '🎉',
  lock: '🔒',
  unlock: '🔓',
};

/**
 * A message as lines of plain text, about as Slack would show it: links as `label (url)`, an attachment with a bar at
 * its side, which has the attachment's colour when `ansi` is set. Control characters of the message are left out.
 */
export function renderMessage(payload: unknown, { ansi = false }: { ansi?: boolean } = {}): string {
  const message = fields(payload);
  const blocks = list(message.blocks);
  // With blocks the text is only what a notification shows.
  const body = blocks.length > 0 ? blocks.flatMap(renderBlock) : renderMrkdwn(text(message.text)).split('\n');
  const attached = list(message.attachments).flatMap((attachment, index) => [
    ...(index === 0 && body.join('') === '' ? [] : ['']),
    ...renderAttachment(fields(attachment), ansi),
  ]);
  return [...(body.join('') === '' ? [] : body), ...attached].map((line) => line.trimEnd()).join('\n');
}

function renderAttachment(attachment: Fields, ansi: boolean): string[] {
  const blocks = list(attachment.blocks);
  const lines =
    blocks.length > 0
      ? blocks.flatMap(renderBlock)
      : [
          ...legacy(attachment.pretext),
          ...legacy(attachment.title),
          ...legacy(attachment.text),
          ...list(attachment.fields)
            .map(fields)
            .map((field) => `${plain(field.title)}: ${renderMrkdwn(text(field.value))}`),
          ...legacy(attachment.footer),
        ];
  const bar = coloured('▌', text(attachment.color), ansi);
  return lines.map((line) => `${bar} ${line}`);
}

function legacy(value: unknown): string[] {
  return text(value) === '' ? [] : renderMrkdwn(text(value)).split('\n');
}

function renderBlock(value: unknown): string[] {
  const block = fields(value);
  switch (block.type) {
    case 'divider':
      return ['────────'];
    case 'header':
    case 'section':
      return [
        ...(block.text === undefined ? [] : renderText(block.text)),
        ...list(block.fields).map(renderField),
      ];
    case 'context':
      return [list(block.elements).flatMap(renderElement).join('  ')];
    case 'actions':
      return [
        list(block.elements)
          .map(fields)
          .map((element) => `[${renderText(element.text).join(' ')}]`)
          .join(' '),
      ];
    case 'image':
      return [`[image: ${plain(block.alt_text)}]`];
    case 'markdown':
      return plain(block.text).split('\n');
    default:
      return [`[${plain(block.type) || 'block'}]`];
  }
}

function renderElement(value: unknown): string[] {
  const element = fields(value);
  return element.type === 'image' ? [`[image: ${plain(element.alt_text)}]`] : renderText(element);
}

/** A field whose first line is its bold name reads `Name: value`. */
function renderField(value: unknown): string {
  const [, name, rest] = /^\*([^*\n]+)\*\n([\s\S]*)$/.exec(text(fields(value).text)) ?? [];
  if (name === undefined || rest === undefined) return renderText(value).join(' ');
  return `${renderMrkdwn(name)}: ${renderMrkdwn(rest)}`;
}

function renderText(value: unknown): string[] {
  const { type, text: content, emoji: withEmoji } = fields(value);
  if (type === 'mrkdwn') return renderMrkdwn(text(content)).split('\n');
  const shown = plain(content);
  return (withEmoji === false ? shown : named(shown)).split('\n');
}

/** Slack's markup as plain text; what was escaped is only text in the end, never markup. */
function renderMrkdwn(source: string): string {
  const marked = plain(source)
    .replaceAll('```', '')
    .replace(/(^|[\s(])\*([^*\n]+)\*(?=$|[\s.,:;)])/gm, '$1$2')
    .replace(/<([^<>|]*)(?:\|([^<>]*))?>/g, (_whole, target: string, label?: string) => link(target, label));
  return named(marked).replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

function link(target: string, label: string | undefined): string {
  if (target.startsWith('!subteam^')) return label ?? `@${target.slice('!subteam^'.length)}`;
  if (target.startsWith('!')) return label ?? `@${target.slice(1)}`;
  if (target.startsWith('@')) return label === undefined ? target : `@${label}`;
  if (target.startsWith('#')) return label === undefined ? target : `#${label}`;
  // A link that is labelled with its own address is that address.
  if (label === undefined || label === target || `${label}/` === target) return label ?? target;
  return `${label} (${target})`;
}

function named(shown: string): string {
  return shown.replace(/:([a-z0-9_+-]+):/g, (whole, name: string) => emoji[name] ?? whole);
}

function coloured(bar: string, colour: string, ansi: boolean): string {
  const named: Record<string, string> = { good: '#2eb886', warning: '#daa038', danger: '#a30200' };
  const [, hex] = /^#([0-9a-f]{6})$/i.exec(named[colour] ?? colour) ?? [];
  if (!ansi || hex === undefined) return bar;
  const [red, green, blue] = [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return `\x1b[38;2;${red};${green};${blue}m${bar}\x1b[0m`;
}

/** Text without control characters: a message must not write to the terminal it is shown on. */
function plain(value: unknown): string {
  return text(value).replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, '');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

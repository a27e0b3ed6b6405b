// A Slack message as an SVG, about as a phone shows it: for READMEs. Needs no browser and no fonts, and the same
// message gives the same bytes. Only line breaks rest on measured text: within a line, whoever draws it sets the words.

/** The part of a Slack message that is drawn: headline, one attachment, sections and a context. */
export interface Message {
  text: string;
  attachments: Array<{ color?: string; blocks?: unknown[] }>;
}

interface Run {
  text: string;
  bold?: boolean;
  code?: boolean;
  link?: boolean;
  mention?: boolean;
}

interface Text {
  type: string;
  text: string;
}

interface Style {
  size: number;
  leading: number;
  /** Class that colours what is neither link nor code. */
  ink: 'ink' | 'dim';
}

const width = 440;
const margin = 16;
const body: Style = { size: 15, leading: 22, ink: 'ink' };
const small: Style = { size: 12.5, leading: 18, ink: 'dim' };
const fence: Style = { size: 12, leading: 17, ink: 'ink' };

const emoji: Record<string, string> = {
  white_check_mark: '✅',
  x: '❌',
  no_entry_sign: '🚫',
  fast_forward: '⏩',
};

/** What stands below one another in the attachment, without its places. */
type Piece =
  | { kind: 'paragraph'; lines: Run[][]; style: Style }
  | { kind: 'fence'; lines: Run[][] }
  /** Name over value, two in a row. */
  | { kind: 'fields'; fields: Run[][][] };

/** The message as an SVG document. Throws at a block or an emoji that it does not know, rather than leave it out. */
export function pictureOf(message: Message): string {
  const parts: string[] = [];
  const left = margin + 46;
  const x = left + 14;
  const room = width - x - margin;
  let y = margin + 20;
  const draw = (runs: Run[], style: Style, from: number, space: number) => {
    for (const line of wrap(runs, style.size, space)) {
      y += style.leading;
      parts.push(textElement(line, style, from, y - 6));
    }
  };
  const drawPiece = (piece: Piece) => {
    if (piece.kind === 'paragraph') for (const line of piece.lines) draw(line, piece.style, x, room);
    else if (piece.kind === 'fence') {
      const top = y + 2;
      const box = parts.push('') - 1;
      y += 8;
      for (const line of piece.lines) draw(line, fence, x + 8, room - 16);
      y += 6;
      const size = `x="${x + 0.5}" y="${top + 0.5}" width="${room - 1}" height="${y - top - 1}"`;
      parts[box] = `<rect class="fence" ${size} rx="4"/>`;
      y += 4;
    } else
      for (let at = 0; at < piece.fields.length; at += 2) {
        const row = piece.fields.slice(at, at + 2);
        const top = y;
        const ends = row.map((lines, column) => {
          y = top;
          for (const line of lines)
            draw(line, body, x + column * (room / 2), row.length === 1 ? room : room / 2 - 10);
          return y;
        });
        y = Math.max(...ends) + 2;
      }
  };

  draw(runsOf(message.text), body, left, width - left - margin);
  y += 8;
  const top = y;
  for (const piece of piecesOf(message)) {
    drawPiece(piece);
    y += 8;
  }
  const bar = `<rect x="${left}" y="${top}" width="4" height="${y - top - 4}" rx="2" fill="${message.attachments[0]?.color}"/>`;
  const height = y + margin - 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="words">`,
    `<title id="words">${escapeXml(wordsOf(message))}</title>`,
    styleSheet,
    `<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="10"/>`,
    `<rect class="app" x="${margin}" y="${margin}" width="36" height="36" rx="8"/>`,
    `<path class="mark" d="M${margin + 10} ${margin + 10}v16M${margin + 26} ${margin + 10}v16M${margin + 10} ${margin + 18}h16"/>`,
    `<text x="${left}" y="${margin + 14}" font-size="15" class="ink"><tspan font-weight="700">Lockkeeper</tspan><tspan dx="6" font-size="10" class="dim">APP</tspan></text>`,
    bar,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/** The words of the message, for who does not see the picture. */
export function wordsOf(message: Message): string {
  const lines = piecesOf(message).flatMap((piece) =>
    piece.kind === 'fields'
      ? piece.fields.map(([name, ...value]) => [...name!, { text: ': ' }, ...value.flat()])
      : piece.lines,
  );
  return [runsOf(message.text), ...lines].map((runs) => runs.map(({ text }) => text).join('')).join('. ');
}

function piecesOf({ attachments: [attachment] }: Message): Piece[] {
  return (attachment?.blocks ?? []).map((block): Piece => {
    const { type, text, fields, elements } = block as {
      type?: unknown;
      text?: Text;
      fields?: Text[];
      elements?: Text[];
    };
    if (type === 'context' && elements)
      return { kind: 'paragraph', style: small, lines: [elements.flatMap(elementRuns)] };
    if (type === 'section' && fields && !text)
      return { kind: 'fields', fields: fields.map((field) => linesOf(field.text)) };
    if (type !== 'section' || !text)
      throw new Error(`a picture knows no block ${JSON.stringify(block).slice(0, 80)}`);
    const code = /^```([\s\S]*)```$/.exec(text.text)?.[1];
    return code === undefined
      ? { kind: 'paragraph', style: body, lines: linesOf(text.text) }
      : { kind: 'fence', lines: code.split('\n').map((line) => [{ text: unescaped(line), code: true }]) };
  });
}

const linesOf = (mrkdwn: string) => mrkdwn.split('\n').map((line) => runsOf(line));

const styleSheet = `<style>
text { font-family: 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif; white-space: pre }
.mono { font-family: Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace }
.card { fill: #ffffff; stroke: #dddddd } .app { fill: #1264a3 } .mark { stroke: #ffffff; stroke-width: 3; fill: none }
.ink { fill: #1d1c1d } .dim { fill: #616061 } .link { fill: #1264a3 } .code { fill: #b3124a } .mention { fill: #1264a3 }
.fence { fill: #f6f6f6; stroke: #dddddd }
@media (prefers-color-scheme: dark) {
.card { fill: #1a1d21; stroke: #3a3d41 } .ink { fill: #d1d2d3 } .dim { fill: #9a9b9e } .link, .mention { fill: #3aa3e3 }
.code { fill: #e8912d } .fence { fill: #222529; stroke: #3a3d41 }
}
</style>`;

/** Of a context: mrkdwn, or words in which nothing is markup. */
const elementRuns = ({ type, text }: Text, at: number): Run[] => [
  ...(at > 0 ? [{ text: '  ' }] : []),
  ...(type === 'mrkdwn' ? runsOf(text) : [{ text }]),
];

/** One line of mrkdwn as runs of one look each. */
function runsOf(line: string, look: Omit<Run, 'text'> = {}): Run[] {
  const runs: Run[] = [];
  let rest = line;
  while (rest) {
    const [whole, code, link, bold, name] =
      /`([^`]+)`|<([^>]*)>|(?<![^\s(|])\*(.+?)\*(?![^\s.,:;)])|:([a-z_]+):/.exec(rest) ?? [];
    if (whole === undefined) break;
    const at = rest.indexOf(whole);
    if (at > 0) runs.push({ ...look, text: unescaped(rest.slice(0, at)) });
    rest = rest.slice(at + whole.length);
    if (code !== undefined) runs.push({ ...look, code: true, text: unescaped(code) });
    else if (link !== undefined) runs.push(...linkRuns(link, look));
    else if (bold !== undefined) runs.push(...runsOf(bold, { ...look, bold: true }));
    else if (emoji[name!]) runs.push({ ...look, text: emoji[name!]! });
    else throw new Error(`a picture knows no emoji ${whole}`);
  }
  return rest ? [...runs, { ...look, text: unescaped(rest) }] : runs;
}

function linkRuns(link: string, look: Omit<Run, 'text'>): Run[] {
  if (/^[!@]/.test(link))
    return [{ ...look, mention: true, text: `@${link.replace(/^[!@](subteam\^)?/, '')}` }];
  return runsOf(link.slice(link.indexOf('|') + 1), { ...look, link: true });
}

const unescaped = (text: string) =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

/** Runs broken into lines that fit, between words; a word that is longer than a line is cut. */
function wrap(runs: Run[], size: number, room: number): Run[][] {
  const lines: Run[][] = [[]];
  let used = 0;
  const put = (run: Run, text: string, needed: number) => {
    const line = lines.at(-1)!;
    const last = line.at(-1);
    if (last && sameLook(last, run)) last.text += text;
    else line.push({ ...run, text });
    used += needed;
  };
  const next = () => {
    lines.push([]);
    used = 0;
  };
  for (const run of runs) {
    for (const word of run.text.split(/(?<=\s)/)) {
      const needed = widthOf({ ...run, text: word }, size);
      if (used > 0 && used + widthOf({ ...run, text: word.trimEnd() }, size) > room) next();
      if (needed <= room) put(run, word, needed);
      else
        for (const point of word) {
          const one = widthOf({ ...run, text: point }, size);
          if (used + one > room) next();
          put(run, point, one);
        }
    }
  }
  return lines;
}

const sameLook = (a: Run, b: Run) =>
  a.bold === b.bold && a.code === b.code && a.link === b.link && a.mention === b.mention;

// Helvetica's advance widths in thousandths of the size, for the characters from space to ~ (Adobe's font metrics).
const advances = (
  '278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 ' +
  '556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556 ' +
  '1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 ' +
  '667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 ' +
  '333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 ' +
  '556 556 333 500 278 556 500 722 500 500 500 334 260 334 584'
)
  .split(' ')
  .map(Number);

function widthOf({ text, bold, code }: Run, size: number): number {
  let thousandths = 0;
  for (const point of text) {
    const place = point.codePointAt(0)! - 32;
    thousandths += /\p{Extended_Pictographic}/u.test(point)
      ? 1_300
      : code
        ? 602
        : (advances[place] ?? 1_000) * (bold ? 1.07 : 1);
  }
  // Some other font may be a little wider.
  return (thousandths / 1_000) * size * 1.03;
}

function textElement(line: Run[], { size, ink }: Style, x: number, y: number): string {
  const spans = line.map((run) => {
    const classes = [
      run.mention
        ? 'mention'
        : run.link
          ? 'link'
          : run.code && ink === 'ink' && size === body.size
            ? 'code'
            : ink,
      ...(run.code ? ['mono'] : []),
    ];
    const smaller = run.code && size !== fence.size ? ` font-size="${size * 0.85}"` : '';
    return `<tspan class="${classes.join(' ')}"${run.bold ? ' font-weight="700"' : ''}${smaller}>${escapeXml(run.text)}</tspan>`;
  });
  return `<text x="${x}" y="${y}" font-size="${size}">${spans.join('')}</text>`;
}

const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

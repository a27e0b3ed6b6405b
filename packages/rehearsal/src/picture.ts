/** Signs a line; a terminal of a laptop shows about as many. */
const columns = 112;
/** Pixels. */
const sign = 7.8;
const line = 18;
const margin = 20;

/** A report as a picture of a terminal, SVG; `command` is what was typed. Pure. */
export function pictureOf(report: string, command: string): string {
  const lines = [`$ ${command}`, '', ...report.trimEnd().split('\n').flatMap(wrapped)];
  const [width, height] = [columns * sign + 2 * margin, lines.length * line + 2 * margin];
  const rows = lines.map((text, row) => {
    const y = margin + (row + 0.75) * line;
    return `<text x="${margin}" y="${y}"${styleOf(text, row)}>${escaped(text)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(command)}</title>`,
    '<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre}.head{fill:#fff;font-weight:600}.good{fill:#7ee787}.bad{fill:#ff7b72}</style>',
    '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
    ...rows,
    '</svg>\n',
  ].join('\n');
}

/** A line in pieces that fit, the later ones below where its text begins. */
function wrapped(text: string): string[] {
  const [indent = ''] = /^\s*/.exec(text) ?? [];
  const pieces: string[] = [];
  let rest = text;
  while (rest.length > columns) {
    const space = rest.lastIndexOf(' ', columns);
    const at = space > indent.length + 4 ? space : columns;
    pieces.push(rest.slice(0, at));
    rest = `${indent}  ${rest.slice(at).trimStart()}`;
  }
  return [...pieces, rest];
}

function styleOf(text: string, row: number): string {
  if (row === 0 || /^\S/.test(text)) return ' class="head"';
  if (/^\s*✓/.test(text)) return ' class="good"';
  return /^\s*✗/.test(text) ? ' class="bad"' : '';
}

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const longestLine = 2000;

// Colours, cursor movement, window titles: what a terminal would obey.
const escapeSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
const controlCharacter =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Text from elsewhere as lines that cannot issue a workflow command: split where the runner splits (CR and
 * LF), `##[` broken because the legacy form is obeyed anywhere in a line, control characters and escape
 * sequences gone, length capped. Zero-width characters would be no protection: the runner compares by culture.
 */
export function sanitiseLines(text: string): string[] {
  return text
    .replace(escapeSequence, '')
    .split(/\r\n|\r|\n/)
    .map((line) => {
      const clean = line.replace(controlCharacter, '').replaceAll('##[', '## [');
      return clean.length > longestLine
        ? `${clean.slice(0, longestLine)}… (${clean.length} characters)`
        : clean;
    });
}

/** One of our own lines: as above, and never starting like a command. */
export function sanitiseOwn(text: string): string[] {
  return sanitiseLines(text).map((line) => (/^\s*::/.test(line) ? `> ${line.trimStart()}` : line));
}

import { codeBlock, escapeMarkdown } from '@lockkeeper/action';

/** What became of the message. */
export type Told =
  | { kind: 'sent'; headline: string }
  | { kind: 'printed'; headline: string }
  | { kind: 'skipped'; reason: string }
  | { kind: 'not-sent'; reason: string; headline: string };

/** The section of the job summary: a result line and, where nobody was told, what would have been said. */
export function summaryOf(told: Told): string {
  switch (told.kind) {
    case 'sent':
      return section('✅ Slack notify: sent', codeBlock(told.headline));
    case 'printed':
      return section('👀 Slack notify: dry run, nothing sent', codeBlock(told.headline));
    case 'skipped':
      return section('⏭️ Slack notify: skipped', escapeMarkdown(told.reason));
    case 'not-sent':
      return section('❌ Slack notify: not sent', escapeMarkdown(told.reason), codeBlock(told.headline));
  }
}

const section = (title: string, ...parts: string[]) => `### ${title}\n\n${parts.join('\n\n')}\n`;

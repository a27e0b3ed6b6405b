import { code, escapeMarkdown } from '@lockkeeper/action';
import type { Recovered } from '@lockkeeper/compose';

export interface InterruptionReport {
  good: boolean;
  /** One annotation: on each host what was interrupted, what post did, what serves now. */
  message: string;
  /** The next command to type. */
  next: string;
  /** The section of the job summary. */
  summary: string;
}

/** What post tells of a main that ended without finishing. Pure. */
export function reportInterruption(
  recovered: readonly Recovered[],
  run: { repository: string; runId: string },
): InterruptionReport {
  const good = recovered.every((host) => host.good);
  const messages = recovered.map(({ message }) => message);
  const next =
    recovered.find((host) => host.next)?.next || `gh run rerun ${run.runId} --repo ${run.repository}`;
  return {
    good,
    message: messages.join('\n'),
    next,
    summary: [
      `### ${good ? '⏪' : '❌'} compose-deploy was interrupted`,
      messages.map((line) => `- ${escapeMarkdown(line)}`).join('\n'),
      `Next: ${code(next)}`,
      '',
    ].join('\n\n'),
  };
}

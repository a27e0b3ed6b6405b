import { code, codeBlock, escapeMarkdown, table } from '@lockkeeper/action';
import type { Opening } from '@lockkeeper/aws';
import type { Ending } from './closing.ts';
import type { Ended } from './leave-all.ts';
import type { Held } from './rule.ts';

const how: Record<Held['how'], string> = {
  created: 'opened by this step',
  joined: 'shared with another run',
  foreign: 'was open already, not ours',
};

/** The section that main adds to the job summary. */
export function openSummary(held: Held[], expiresAt: string, swept: string[]): string {
  return [
    '### Ephemeral SSH ingress',
    '',
    `🔓 Open until this job ends, at the latest until ${expiresAt}.`,
    '',
    table(
      ['Group', 'Port', 'Address', 'Rule', 'How'],
      held.map((one) => [
        code(one.groupId),
        String(one.port),
        code(one.cidr),
        code(one.ruleId),
        how[one.how],
      ]),
    ),
    ...(swept.length > 0 ? ['', `Expired rules closed on the way: ${swept.map(code).join(', ')}`] : []),
    '',
  ].join('\n');
}

/** Why main failed, below what it had opened by then, if anything. */
export function failedSummary(reason: string, next: string | undefined): string {
  return [
    '### Ephemeral SSH ingress: failed',
    '',
    `❌ ${escapeMarkdown(reason)}`,
    ...(next ? ['', 'Next:', '', codeBlock(next)] : []),
    '',
  ].join('\n');
}

/** What a dry run would open. */
export function planSummary(openings: Opening[], expiresAt: string): string {
  return [
    '### Ephemeral SSH ingress (dry run)',
    '',
    `Would open until ${expiresAt}; nothing was changed.`,
    '',
    table(
      ['Group', 'Port', 'Address'],
      openings.map(({ groupId, port, cidr }) => [code(groupId), String(port), code(cidr)]),
    ),
    '',
  ].join('\n');
}

const outcomes: Record<Extract<Ending, { outcome: unknown }>['outcome'], string> = {
  closed: 'closed',
  gone: 'was closed already',
  kept: 'left open: other runs still hold a lease',
  'not-ours': 'left as it is: not ours any more',
  foreign: 'left as it is: not ours',
};
const failed = '**STILL OPEN**';

export const outcomeInWords = (outcome: keyof typeof outcomes) => outcomes[outcome];

/** The section that post adds. */
export function closedSummary(endings: Ending[], commands: string[]): string {
  return [
    '### Ephemeral SSH ingress: after the job',
    '',
    commands.length > 0 ? '❌ Not everything could be closed.' : '🔒 Nothing of this step is open.',
    '',
    table(
      ['Group', 'Port', 'Address', 'Rule', 'Result'],
      endings.map((ending) => [
        code(ending.opening.groupId),
        String(ending.opening.port),
        code(ending.opening.cidr),
        ending.ruleId ? code(ending.ruleId) : '',
        'outcome' in ending ? outcomes[ending.outcome] : failed,
      ]),
    ),
    ...(commands.length > 0 ? ['', 'Close by hand:', '', '```sh', ...commands, '```'] : []),
    '',
  ].join('\n');
}

/** The section of `mode: close` and `mode: sweep`. */
export function endedSummary(title: string, line: string, { rules, failures }: Ended): string {
  const rows = [
    ...rules.map(({ rule, outcome }) => [rule, outcomes[outcome]] as const),
    ...failures.map(({ rule }) => [rule, failed] as const),
  ];
  return [
    `### Ephemeral SSH ingress: ${title}`,
    '',
    failures.length > 0 ? '❌ Not everything could be closed.' : line,
    '',
    ...(rows.length > 0
      ? [
          table(
            ['Rule', 'Group', 'Result'],
            rows.map(([{ id, groupId }, result]) => [code(id), code(groupId), result]),
          ),
          '',
        ]
      : []),
  ].join('\n');
}

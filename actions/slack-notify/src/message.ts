import type { GitHubContext } from '@lockkeeper/action';
import { formatDuration } from '@lockkeeper/wait';
import type { ContextBlock, KnownBlock, MessageAttachment, MrkdwnElement, SectionBlock } from '@slack/types';
import { bare, codeFence, codeSpan, limits, link, oneLine, plain } from './mrkdwn.ts';
import type { FailedJob, Outcome, Status } from './outcome.ts';

/** What the user of the action had to say. */
export interface Words {
  title: string;
  stage: string;
  version: string;
  url: string;
  reason: string;
  fields: Array<[name: string, value: string]>;
  mentions: Mention[];
}

export type Mention = { special: 'here' | 'channel' } | { user: string } | { group: string };

export interface Payload {
  text: string;
  unfurl_links: false;
  unfurl_media: false;
  attachments: [MessageAttachment & { color: string; fallback: string; blocks: KnownBlock[] }];
}

const looks: Record<Status, { colour: string; emoji: string; verb: string }> = {
  success: { colour: '#1f883d', emoji: ':white_check_mark:', verb: 'succeeded' },
  failure: { colour: '#d1242f', emoji: ':x:', verb: 'failed' },
  cancelled: { colour: '#bf8700', emoji: ':no_entry_sign:', verb: 'was cancelled' },
  skipped: { colour: '#6e7781', emoji: ':fast_forward:', verb: 'was skipped' },
};

/**
 * The message of a run. The headline is the top-level text, which is also what a notification shows and a
 * screen reader reads; the rest stands in one attachment, because only attachments have a colour bar.
 */
export function compose(outcome: Outcome, words: Words, context: GitHubContext): Payload {
  // Blocks beyond Slack's total are refused as a whole: give each free text less room until all fit.
  const rooms = [
    { reason: 2_500, field: 1_500 },
    { reason: 2_000, field: 500 },
    { reason: 1_500, field: 200 },
    { reason: 1_000, field: 100 },
    { reason: 500, field: 60 },
    { reason: 300, field: 30 },
  ];
  const attempts = rooms.map((room) => () => blocksOf(outcome, words, context, room));
  let blocks: KnownBlock[] = [];
  for (const attempt of attempts) {
    blocks = attempt();
    if (JSON.stringify(blocks).length <= limits.allBlocks) break;
  }
  const { colour, emoji, verb } = looks[outcome.status];
  const title = words.title || context.workflow || 'Workflow';
  const to = words.stage ? ` → ${plain(words.stage, 100)}` : '';
  const version = words.version ? ` (${plain(shortVersion(words.version, context), 80)})` : '';
  const mention = outcome.status === 'failure' ? words.mentions.map(mentionText).join(' ') : '';
  return {
    text: `${mention}${mention ? ' ' : ''}${emoji} *${plain(title, 200)} ${verb}*${to}${version}`,
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: colour,
        fallback: bare(`${title} ${verb}${words.stage ? ` → ${words.stage}` : ''}`, 300),
        blocks,
      },
    ],
  };
}

function blocksOf(
  outcome: Outcome,
  words: Words,
  context: GitHubContext,
  room: { reason: number; field: number },
): KnownBlock[] {
  const blocks: KnownBlock[] = [section(runText(outcome, context))];
  const reason = codeFence(words.reason, room.reason);
  // Who is called because it failed wants to know why, before all else.
  if (reason && outcome.status === 'failure') blocks.unshift(section(reason));
  else if (reason) blocks.push(section(`*Reason*\n${reason}`));
  const fields = [
    ...ownFields(words, context),
    ...words.fields.flatMap(([name, value]) => {
      const shown = valueText(value, room.field);
      return shown ? [field(plain(name, Math.min(100, room.field)), shown)] : [];
    }),
  ];
  for (let at = 0; at < fields.length; at += limits.fieldsPerSection)
    blocks.push({ type: 'section', fields: fields.slice(at, at + limits.fieldsPerSection) });
  const change = changeOf(context);
  if (change) blocks.push(change);
  return blocks.slice(0, limits.blocks);
}

/** `Run #128 (attempt 2) failed in deploy › Health gate after 6 min 12 s`, all links. */
function runText(outcome: Outcome, context: GitHubContext): string {
  const run = link(
    context.runUrl,
    `Run #${plain(context.runNumber || context.runId, 20)}${context.runAttempt > 1 ? ` (attempt ${context.runAttempt})` : ''}`,
  );
  const repository = plain(context.repository, 140);
  const took = outcome.durationMs === undefined ? '' : ` after ${formatDuration(outcome.durationMs)}`;
  const { verb } = looks[outcome.status];
  const [first, ...more] = outcome.failed;
  if (!first) return `${run} of ${repository} ${verb}${took}`;
  if (more.length === 0) return `${run} of ${repository} failed in ${failedText(first)}${took}`;
  const shown = outcome.failed.slice(0, 5);
  const rest = outcome.failed.length - shown.length;
  return [
    `${run} of ${repository} failed in ${outcome.failed.length} jobs${took}`,
    ...shown.map(
      (job) =>
        `• ${failedText(job)}${job.durationMs === undefined ? '' : ` after ${formatDuration(job.durationMs)}`}`,
    ),
    ...(rest > 0 ? [`• and ${rest} more`] : []),
  ].join('\n');
}

function failedText({ name, step, url }: FailedJob): string {
  const label = `${plain(name, 150) || 'a job'}${step ? ` › ${plain(step, 150)}` : ''}`;
  return url ? `*${link(url, label)}*` : `*${label}*`;
}

function ownFields(words: Words, context: GitHubContext): MrkdwnElement[] {
  const { serverUrl, repository, sha, actor } = context;
  const commit = sha ? link(`${serverUrl}/${repository}/commit/${sha}`, codeSpan(sha.slice(0, 7), 12)) : '';
  const isCommit = words.version && sha.startsWith(words.version.toLowerCase()) && words.version.length >= 7;
  const ref = refOf(context);
  const shown: Array<[string, string]> = [
    ['Stage', plain(words.stage, 200)],
    ['Version', isCommit ? '' : codeSpan(words.version, 200)],
    [isCommit ? 'Version' : 'Commit', commit],
    [ref.kind, ref.name && link(ref.url, codeSpan(ref.name, 200))],
    [
      'By',
      actor &&
        (/^[\w-]+$/.test(actor) ? link(`${serverUrl}/${actor}`, plain(actor, 100)) : plain(actor, 100)),
    ],
    ['URL', words.url && link(words.url, plain(words.url, 200))],
  ];
  return shown.filter(([, value]) => value).map(([name, value]) => field(name, value));
}

function shortVersion(version: string, { sha }: GitHubContext): string {
  return version.length > 12 && sha.startsWith(version.toLowerCase()) ? version.slice(0, 7) : version;
}

function refOf({ refType, refName, serverUrl, repository, event }: GitHubContext) {
  const request = asObject(event.pull_request);
  const head = asObject(request.head).ref;
  if (typeof head === 'string')
    return {
      kind: 'Pull request',
      name: `#${String(request.number)} ${head}`,
      url: `${serverUrl}/${repository}/pull/${String(request.number)}`,
    };
  const path = oneLine(refName).split('/').map(encodeURIComponent).join('/');
  return {
    kind: refType === 'tag' ? 'Tag' : 'Branch',
    name: refName,
    url: `${serverUrl}/${repository}/tree/${path}`,
  };
}

/** The change in its author's words. They are anybody's, so they stand in plain_text, where nothing is live. */
function changeOf({ event }: GitHubContext): ContextBlock | undefined {
  const request = asObject(event.pull_request);
  const commit = asObject(event.head_commit ?? asObject(event.workflow_run).head_commit);
  const title = [request.title, firstLine(commit.message)].find(
    (text) => typeof text === 'string' && text.trim(),
  );
  const author = [asObject(request.user).login, asObject(commit.author).name].find(
    (text) => typeof text === 'string',
  );
  const text = bare(`${String(title ?? '')}${title && author ? ` — ${String(author)}` : ''}`, 300);
  return text ? { type: 'context', elements: [{ type: 'plain_text', text, emoji: false }] } : undefined;
}

const firstLine = (text: unknown) => (typeof text === 'string' ? text.split('\n', 1)[0] : undefined);

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** '' for a value that says nothing, such as the output of a step that did not get so far. */
function valueText(value: string, limit: number): string {
  const text = oneLine(value);
  const label = plain(text, limit);
  return label && /^https?:\/\/\S+$/.test(text) ? link(text, label) : label;
}

const field = (name: string, value: string): MrkdwnElement => ({
  type: 'mrkdwn',
  verbatim: true,
  text: `*${name}*\n${value}`,
});

const section = (text: string): SectionBlock => ({
  type: 'section',
  text: { type: 'mrkdwn', verbatim: true, text },
});

function mentionText(mention: Mention): string {
  if ('special' in mention) return `<!${mention.special}>`;
  return 'user' in mention ? `<@${mention.user}>` : `<!subteam^${mention.group}>`;
}

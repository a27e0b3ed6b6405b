import type { GitHubContext } from '@lockkeeper/action';
import { formatDuration } from '@lockkeeper/wait';
import type {
  ContextBlock,
  KnownBlock,
  MessageAttachment,
  MrkdwnElement,
  PlainTextElement,
  SectionBlock,
} from '@slack/types';
import type { Change } from './change.ts';
import { bare, codeFence, codeSpan, headline, lifeless, link, oneLine, plain } from './mrkdwn.ts';
import type { EndedJob, Outcome, Status } from './outcome.ts';

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

/** Where the run is, as far as the message tells of it. */
export type Place = Pick<
  GitHubContext,
  'repository' | 'serverUrl' | 'runUrl' | 'runId' | 'runNumber' | 'runAttempt' | 'workflow'
>;

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

/** As many as a section holds. */
const fieldsPerSection = 10;
/** Undocumented (slackapi/bolt-js#2509): blocks of about 13,200 characters are refused as msg_blocks_too_long. */
const mostOfAllBlocks = 12_000;
/** Enough of a field to see that not all of it can be shown; not all of it is looked through for every room. */
const moreThanShown = 3_000;

interface Room {
  /** Characters of the reason, and of a field's value. */
  reason: number;
  field: number;
  /** How many of the user's fields. */
  fields: number;
}
/** How much is shown: the first with which all blocks fit. */
const rooms: Room[] = [
  { reason: 2_500, field: 1_500, fields: 50 },
  { reason: 2_000, field: 500, fields: 50 },
  { reason: 1_500, field: 200, fields: 50 },
  { reason: 1_000, field: 100, fields: 50 },
  { reason: 500, field: 60, fields: 50 },
  { reason: 300, field: 30, fields: 50 },
  { reason: 300, field: 30, fields: 20 },
];

/**
 * The message of a run. The headline is the top-level text, which is also what a notification shows and a
 * screen reader reads; the rest stands in one attachment, because only attachments have a colour bar.
 */
export function compose(outcome: Outcome, words: Words, change: Change, place: Place): Payload {
  const fields = words.fields.map(
    (pair) => pair.map((text) => oneLine(text).slice(0, moreThanShown)) as typeof pair,
  );
  let blocks: KnownBlock[] = [];
  for (const room of rooms) {
    blocks = blocksOf(outcome, { ...words, fields }, change, place, room);
    if (JSON.stringify(blocks).length <= mostOfAllBlocks) break;
  }
  const { colour, emoji, verb } = looks[outcome.status];
  const title = words.title || place.workflow || 'Workflow';
  const to = words.stage ? ` → ${headline(words.stage, 100)}` : '';
  const version = words.version ? ` (${headline(shortVersion(words.version, change), longestVersion)})` : '';
  const mention = outcome.status === 'failure' ? words.mentions.map(mentionText).join(' ') : '';
  return {
    text: `${mention}${mention ? ' ' : ''}${emoji} *${headline(title, 200)} ${verb}*${to}${version}`,
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      {
        color: colour,
        fallback: lifeless(`${title} ${verb}${words.stage ? ` → ${words.stage}` : ''}`, 300),
        blocks,
      },
    ],
  };
}

function blocksOf(outcome: Outcome, words: Words, change: Change, place: Place, room: Room): KnownBlock[] {
  const reason = codeFence(words.reason, room.reason);
  const fields = fieldsOf(words, room);
  const about = aboutOf(change, place);
  return [
    // Who is called because it failed wants to know why, before all else.
    ...(reason ? [section(reason)] : []),
    section(runText(outcome, place)),
    ...Array.from(
      { length: Math.ceil(fields.length / fieldsPerSection) },
      (_, at): SectionBlock => ({
        type: 'section',
        fields: fields.slice(at * fieldsPerSection, (at + 1) * fieldsPerSection),
      }),
    ),
    ...(about ? [about] : []),
  ];
}

/** `Run #128 (attempt 2) of octo/app failed in deploy › Health gate after 6 min 12 s`, and where to go from there. */
function runText({ status, ended, durationMs }: Outcome, place: Place): string {
  const attempt = place.runAttempt > 1 ? ` (attempt ${place.runAttempt})` : '';
  const run = runLink(place.runUrl, `Run #${plain(place.runNumber || place.runId, 20)}${attempt}`);
  const told = `${run} of ${plain(place.repository, 140)} ${looks[status].verb}`;
  const took = durationMs === undefined ? '' : ` after ${formatDuration(durationMs)}`;
  const [first, ...more] = ended;
  const where = !first ? '' : more.length === 0 ? ` in ${endedText(first, 150)}` : ` in ${ended.length} jobs`;
  // With several jobs, each line of the list is the way to its log.
  const listed = more.length === 0 ? [] : ended.slice(0, 5);
  const rest = ended.length - listed.length;
  const next = nextStep(status, ended, place);
  return [
    `${told}${where}${took}`,
    ...listed.map(
      (job) =>
        `• ${endedText(job, 70)}${job.durationMs === undefined ? '' : ` after ${formatDuration(job.durationMs)}`}`,
    ),
    ...(listed.length > 0 && rest > 0 ? [`• and ${rest} more`] : []),
    ...(next ? [`Next: ${next}`] : []),
  ].join('\n');
}

/** Where a reader goes from here; '' where there is nothing to do, or a list of logs to choose from. */
function nextStep(status: Status, [first, ...more]: EndedJob[], { runUrl }: Place): string {
  if (status === 'cancelled') return runLink(runUrl, 'open the run to start it again');
  if (status !== 'failure' || more.length > 0) return '';
  if (!first?.url) return runLink(runUrl, `open the run to see ${first ? 'why' : 'where'}`);
  return runLink(first.url, `open the log of that ${first.step ? 'step' : 'job'}`);
}

/** A page of the run. Six of them, labels and all, fit into a section. */
const runLink = (url: string, label: string) => link(url, label, 250);

function endedText({ name, step, url }: EndedJob, longest: number): string {
  const label = `${plain(name, longest) || 'a job'}${step ? ` › ${plain(step, longest)}` : ''}`;
  return `*${url ? runLink(url, label) : label}*`;
}

/** The user's own fields first: what serves now matters more than where the app is. */
function fieldsOf(words: Words, room: Room): MrkdwnElement[] {
  const shown = words.fields
    .slice(0, room.fields)
    .map(([name, value]): [string, string] => [
      plain(name, Math.min(100, room.field)),
      valueText(value, room.field),
    ]);
  const rest = words.fields.length - shown.length;
  if (rest > 0) shown.push(['…', `and ${rest} more fields`]);
  // A short one stands in the headline.
  if (words.version.length > longestVersion) shown.push(['Version', codeSpan(words.version, 200)]);
  shown.push(['URL', words.url && link(words.url, plain(words.url, 200))]);
  return shown
    .filter(([, value]) => value)
    .map(([name, value]) => ({ type: 'mrkdwn', verbatim: true, text: `*${name}*\n${value}` }));
}

/** '' for a value that says nothing, such as the output of a step that did not get so far. */
function valueText(value: string, limit: number): string {
  const text = oneLine(value);
  const label = plain(text, limit);
  return label && /^https?:\/\/\S+$/.test(text) ? link(text, label, Math.max(100, limit)) : label;
}

const longestVersion = 80;

function shortVersion(version: string, { sha }: Change): string {
  return version.length > 12 && sha.startsWith(version.toLowerCase()) ? version.slice(0, 7) : version;
}

/**
 * `abc1234 on main by octo`, and the change in its author's words. Those are anybody's, so they stand in
 * plain_text, where nothing is live.
 */
function aboutOf({ sha, ref, title, author, by }: Change, place: Place): ContextBlock | undefined {
  const { serverUrl, repository } = place;
  // Three of them, labels and all, fit into an element.
  const page = (url: string, label: string) => link(url, label, 600);
  const commit = sha && page(`${serverUrl}/${repository}/commit/${sha}`, codeSpan(sha.slice(0, 7), 12));
  const name = ref.name && page(ref.url, codeSpan(ref.name, 200));
  const actor = by && (/^[\w-]+$/.test(by) ? page(`${serverUrl}/${by}`, plain(by, 100)) : plain(by, 100));
  const facts = [
    commit,
    name && { branch: `on ${name}`, tag: `at ${name}`, 'pull request': `in ${name}` }[ref.kind],
    by === undefined ? 'by its schedule' : actor && `by ${actor}`,
  ].filter(Boolean);
  const words = bare(`${title}${title.trim() && author.trim() ? ` — ${author}` : ''}`, 300);
  const elements: Array<MrkdwnElement | PlainTextElement> = [];
  if (facts.length > 0) elements.push({ type: 'mrkdwn', verbatim: true, text: facts.join(' ') });
  if (words) elements.push({ type: 'plain_text', emoji: false, text: words });
  return elements.length > 0 ? { type: 'context', elements } : undefined;
}

const section = (text: string): SectionBlock => ({
  type: 'section',
  text: { type: 'mrkdwn', verbatim: true, text },
});

function mentionText(mention: Mention): string {
  if ('special' in mention) return `<!${mention.special}>`;
  return 'user' in mention ? `<@${mention.user}>` : `<!subteam^${mention.group}>`;
}

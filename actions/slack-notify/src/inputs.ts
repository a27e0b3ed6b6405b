import type { Inputs } from '@lockkeeper/action';
import * as v from 'valibot';
import type { Mention, Words } from './message.ts';
import { type Needs, type Status, statuses } from './outcome.ts';
import { readWebhookUrl, secretsOf } from './webhook-url.ts';

export interface NotifyInputs extends Words {
  /** Undefined = nothing to send to. */
  webhook: URL | undefined;
  /** Undefined when an emptied input left it to `needs`. */
  status: Status | undefined;
  needs: Needs;
  token: string;
  failOnError: boolean;
  dryRun: boolean;
}

const mostFields = 50;
const mostMentions = 20;
const needsShape = v.record(v.string(), v.looseObject({ result: v.picklist(statuses) }));

/** Reads and judges every input; throws all problems at once, before anything is contacted. */
export function parseInputs(inputs: Inputs): NotifyInputs {
  const webhook = readWebhook(inputs);
  const needs = readNeeds(inputs);
  const status = readStatus(inputs, needs);
  const fields = inputs.pairs('fields', { separator: ':', key: /\S/ });
  if (fields.length > mostFields)
    inputs.problem(
      'fields',
      `has ${fields.length} lines; expected at most ${mostFields}, which is what a message holds`,
    );
  const mentions = inputs.list('mention-on-failure');
  if (mentions.length > mostMentions)
    inputs.problem(
      'mention-on-failure',
      `names ${mentions.length}; expected at most ${mostMentions}; a user group calls many at once`,
    );
  const url = inputs.text('url');
  if (url && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    inputs.reject('url', url, 'an http(s) URL, such as https://app.example');
  const settings: NotifyInputs = {
    webhook,
    status,
    needs,
    title: inputs.text('title'),
    stage: inputs.text('stage'),
    version: inputs.text('version'),
    url,
    reason: inputs.raw('reason'),
    fields,
    mentions: [...new Set(mentions)].flatMap((text) => readMention(inputs, text)),
    token: inputs.secret('github-token').trim(),
    failOnError: inputs.boolean('fail-on-error'),
    dryRun: inputs.boolean('dry-run'),
  };
  inputs.done();
  return settings;
}

function readWebhook(inputs: Inputs): URL | undefined {
  const text = inputs.secret('webhook-url').trim();
  if (!text) return undefined;
  const webhook = readWebhookUrl(text);
  if ('problem' in webhook) {
    inputs.problem('webhook-url', webhook.problem);
    return undefined;
  }
  for (const secret of secretsOf(webhook.url)) inputs.mask(secret);
  return webhook.url;
}

function readNeeds(inputs: Inputs): Needs {
  const text = inputs.text('needs');
  if (!text) return {};
  try {
    const parsed = v.parse(needsShape, JSON.parse(text));
    return Object.fromEntries(Object.entries(parsed).map(([job, { result }]) => [job, result]));
  } catch {
    inputs.reject('needs', text, 'the jobs with their results as JSON: ${{ toJSON(needs) }}');
    return {};
  }
}

function readStatus(inputs: Inputs, needs: Needs): Status | undefined {
  const text = inputs.text('status').toLowerCase();
  const status = statuses.find((one) => one === text);
  if (status) return status;
  if (text) inputs.reject('status', text, statuses.join(', '));
  else if (Object.keys(needs).length === 0)
    inputs.problem(
      'status',
      `is empty; expected ${statuses.join(', ')}, or leave the input out for the job's own`,
    );
  return undefined;
}

function readMention(inputs: Inputs, text: string): Mention[] {
  const special = /^@(here|channel)$/.exec(text)?.[1];
  if (special) return [{ special: special as 'here' | 'channel' }];
  if (/^[UW][A-Z0-9]{2,20}$/.test(text)) return [{ user: text }];
  if (/^S[A-Z0-9]{2,20}$/.test(text)) return [{ group: text }];
  inputs.reject('mention-on-failure', text, '@here, @channel, or the id of a user (U…) or a user group (S…)');
  return [];
}
